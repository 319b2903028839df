//! Long lists: how many rows are looked at for a page, and that a walk leaves the gateway to others.

use std::collections::BTreeSet;

use super::super::walk::STRETCH;
use super::*;
use crate::address::{AccountId, Command, Import, NewEip, NewPair, PublicAs, Together};

/// Bound EIPs, instances with ordinary public IPs, and unbound EIPs.
const EACH: u32 = 1500;

/// A gateway where alice has many addresses of every kind, of which those unbound all have one name, and bob one.
async fn crowded() -> Served {
    let served = Served::with(|config| {
        config.pools = vec!["8.0.0.0/16".parse().unwrap()];
        (config.max_pairs, config.max_instances) = (20_000, 20_000);
        config.eips_per_account = 0;
    })
    .await;
    served.handle.ask(populate).await.unwrap();
    served
}

fn populate(operations: &mut dyn Operations) {
    let account: AccountId = "alice".parse().unwrap();
    let mut import = |first: u32, public_as: &mut dyn FnMut(u32) -> PublicAs| {
        let pairs = (0..EACH).map(|number| NewPair {
            instance: format!("ins-{:08}", first + number).parse().unwrap(),
            vpc: "vpc-default".parse().unwrap(),
            private: (0x0a01_0000 + first + number).into(),
            public: (0x0800_0000 + first + number).into(),
            name: Some(format!("vm-{}", first + number)),
            public_as: public_as(number),
        });
        let (account, pairs) = (account.clone(), pairs.collect());
        operations.perform(Command::ImportPairs(Import { account, pairs, bandwidth_mbps: 1 })).unwrap();
    };
    import(0, &mut |number| PublicAs::Eip(format!("eip-{number:08}").parse().unwrap()));
    import(10_000, &mut |_| PublicAs::Ordinary);
    let allocation = |number: u32| {
        let id = format!("eip-{:08}", 50_000 + number).parse().unwrap();
        Command::AllocateEip(NewEip { name: Some("spare".into()), ..NewEip::new(id, account.clone()) })
    };
    let allocations = (0..EACH).map(allocation).collect();
    operations.perform(Command::Together(Together::new(allocations))).unwrap();
    let bobs = NewEip::new("eip-99999999".parse().unwrap(), "bob".parse().unwrap());
    operations.perform(Command::AllocateEip(bobs)).unwrap();
}

/// What a call is answered with after its first stretch, and how far it is.
async fn first_stretch(served: &Served, action: &str, params: Value) -> (Map<String, Value>, usize, bool) {
    let call = served.call("alice", action, params);
    let (_, run) = find(action).unwrap();
    let site = Site { region: "ap-guangzhou".into(), zone: "ap-guangzhou-1".into() };
    let looked = served.handle.ask(move |gateway| {
        let mut walk = Walk::default();
        let params = Params::new(&call.params);
        let answer = run(&mut Asked { call: &call, params, gateway, site: &site, walk: &mut walk });
        (answer, walk.looked_at(), walk.is_unfinished())
    });
    let (answer, looked_at, unfinished) = looked.await.unwrap();
    (answer.unwrap(), looked_at, unfinished)
}

fn filters(filters: &[(&str, &[&str])]) -> Value {
    let filter = |(name, values): &(&str, &[&str])| json!({ "Name": name, "Values": values });
    filters.iter().map(filter).collect()
}

#[tokio::test]
async fn what_an_index_knows_costs_only_the_rows_that_are_shown() {
    let served = crowded().await;
    let all = 2 * EACH as usize;
    let each = EACH as usize;
    let rows: [(&str, Value, usize, usize); 19] = [
        ("DescribeAddresses", json!({}), all, 20),
        ("DescribeAddresses", json!({ "Offset": all - 5, "Limit": 100 }), all, 5),
        ("DescribeAddresses", json!({ "Offset": 1_000_000 }), all, 0),
        ("DescribeAddresses", json!({ "AddressIds": ["eip-00000007", "eip-00050007", "eip-99999999"] }), 2, 3),
        ("DescribeAddresses", json!({ "Filters": filters(&[("address-id", &["eip-00000007"])]) }), 1, 1),
        ("DescribeAddresses", json!({ "Filters": filters(&[("address-ip", &["8.0.0.7", "8.0.39.23"])]) }), 1, 2),
        ("DescribeAddresses", json!({ "Filters": filters(&[("instance-id", &["ins-00000007"])]) }), 1, 1),
        ("DescribeAddresses", json!({ "Filters": filters(&[("private-ip-address", &["10.1.0.7"])]) }), 1, 1),
        ("DescribeAddresses", json!({ "Filters": filters(&[("address-status", &["BIND"])]) }), each, 20),
        ("DescribeAddresses", json!({ "Filters": filters(&[("address-status", &["UNBIND", "BIND"])]) }), all, 20),
        ("DescribeAddresses", json!({ "Filters": filters(&[("address-status", &["BINDING"])]) }), 0, 0),
        ("DescribeAddresses", json!({ "Filters": filters(&[("address-type", &["WanIP"])]) }), each, 20),
        (
            "DescribeAddresses",
            json!({ "Offset": all - 3, "Filters": filters(&[("address-type", &["EIP", "WanIP"])]) }),
            all + each,
            20,
        ),
        (
            "DescribeAddresses",
            json!({ "Filters": filters(&[("address-type", &["EIP"]), ("address-status", &["UNBIND"])]) }),
            each,
            20,
        ),
        ("DescribeInstances", json!({ "Offset": all - 2 }), all, 2),
        ("DescribeInstances", json!({ "Filters": filters(&[("public-ip-address", &["8.0.0.7"])]) }), 1, 1),
        ("DescribeInstances", json!({ "Filters": filters(&[("instance-name", &["vm-7"])]) }), 1, 1),
        ("DescribeInstancesStatus", json!({}), all, 20),
        ("DescribeBandwidthPackages", json!({}), 0, 0),
    ];
    for (action, params, total, looked_at) in rows {
        let (answer, looked, unfinished) = first_stretch(&served, action, params.clone()).await;
        assert_eq!((&answer["TotalCount"], looked, unfinished), (&json!(total), looked_at, false), "{action} {params}");
    }
}

#[tokio::test]
async fn a_package_of_many_is_paged_through_and_found_by_any_of_them() {
    let served = crowded().await;
    let package = text(&served.does("CreateBandwidthPackage", json!({})).await["BandwidthPackageId"]);
    for number in 0..19 {
        served.does("CreateBandwidthPackage", json!({ "BandwidthPackageName": format!("spare-{number}") })).await;
    }
    for first in (0..1000).step_by(500) {
        let ids: Vec<String> = (first..first + 500).map(|number| format!("eip-{number:08}")).collect();
        served.does("AddBandwidthPackageResources", json!({ "BandwidthPackageId": package, "ResourceIds": ids })).await;
    }
    let page = json!({ "BandwidthPackageId": package, "Offset": 990 });
    let (answer, looked_at, _) = first_stretch(&served, "DescribeBandwidthPackageResources", page).await;
    assert_eq!((&answer["TotalCount"], looked_at), (&json!(1000), 10));
    assert_eq!(answer["ResourceSet"][9]["ResourceId"], "eip-00000999");
    for (name, value, fitting) in [
        ("resource.resource-id", "eip-00000999", 1),
        ("resource.address-ip", "8.0.3.231", 1),
        ("resource.resource-id", "eip-00001000", 0),
        ("resource.resource-id", "8.0.3.231", 0),
    ] {
        let params = json!({ "Filters": filters(&[(name, &[value])]) });
        let (answer, looked_at, _) = first_stretch(&served, "DescribeBandwidthPackages", params).await;
        assert_eq!(answer["TotalCount"], fitting, "{name} {value}");
        assert!(looked_at <= 1);
    }
    let shown = served.does("DescribeBandwidthPackages", json!({ "BandwidthPackageIds": [package] })).await;
    assert_eq!(shown["BandwidthPackageSet"][0]["ResourceSet"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn what_no_index_knows_is_walked_in_stretches_and_told_in_full() {
    let served = crowded().await;
    let all = 2 * EACH as usize;
    let rows = [
        ("DescribeAddresses", filters(&[("is-arrears", &["false"])]), all, "AddressSet"),
        ("DescribeAddresses", filters(&[("address-name", &["spare", "nobody"])]), EACH as usize, "AddressSet"),
        (
            "DescribeAddresses",
            filters(&[("instance-type", &["CVM"]), ("address-type", &["EIP", "WanIP"])]),
            all,
            "AddressSet",
        ),
        ("DescribeInstances", filters(&[("instance-state", &["RUNNING"])]), all, "InstanceSet"),
    ];
    for (action, filters, total, set) in rows {
        let (_, looked_at, unfinished) = first_stretch(&served, action, json!({ "Filters": filters })).await;
        assert_eq!((looked_at, unfinished), (STRETCH, true), "{action} {filters}");
        let mut seen = BTreeSet::new();
        for offset in (0..total + 100).step_by(100) {
            let params = json!({ "Filters": filters, "Offset": offset, "Limit": 100 });
            let answer = served.does(action, params).await;
            assert_eq!(answer["TotalCount"], total, "{action} {filters}");
            let ids = answer[set].as_array().unwrap().iter().map(|row| {
                let id = if set == "AddressSet" { &row["AddressId"] } else { &row["InstanceId"] };
                text(id)
            });
            seen.extend(ids);
        }
        assert_eq!(seen.len(), total, "{action} {filters}");
    }
}

#[tokio::test]
async fn no_list_is_asked_with_more_than_there_may_be() {
    let served = Served::with(|config| config.private_ranges = vec!["10.0.0.0/16".parse().unwrap()]).await;
    let many = served.does("RunInstances", json!({ "ImageId": "i", "InstanceCount": 101 })).await;
    for (action, params, code) in [
        ("RebootInstances", json!({ "InstanceIds": many["InstanceIdSet"] }), "InvalidParameterValue.LimitExceeded"),
        // Refused before anything is looked up for it.
        ("ReleaseAddresses", json!({ "AddressIds": vec!["eip-zzzzzzzz"; 501] }), "InvalidParameterValue.LimitExceeded"),
        ("DescribeInstances", json!({ "Limit": 0 }), "InvalidParameterValue.LimitExceeded"),
        ("DescribeAddresses", json!({ "Limit": -1 }), "InvalidParameterValue.LimitExceeded"),
    ] {
        assert_eq!(served.refuses(action, params).await, code, "{action}");
    }
}

#[tokio::test]
async fn a_walk_lets_others_in_between_and_misses_nothing_that_stays() {
    let served = crowded().await;
    let params = json!({ "Filters": filters(&[("is-arrears", &["false"])]), "Offset": 2 * EACH - 10, "Limit": 100 });
    let walking = served.does("DescribeAddresses", params);
    // Others are served before it ends, and what they change does not confuse it.
    let order = std::sync::Mutex::new(Vec::new());
    let (walked, ()) = tokio::join!(
        async {
            let walked = walking.await;
            order.lock().unwrap().push("walk");
            walked
        },
        async {
            served.does("DescribeAddresses", json!({ "AddressIds": ["eip-00000001"] })).await;
            order.lock().unwrap().push("read");
            served.does("ReleaseAddresses", json!({ "AddressIds": ["eip-00050000"] })).await;
            order.lock().unwrap().push("change");
        }
    );
    assert_eq!(*order.lock().unwrap(), ["read", "change", "walk"]);
    let total = walked["TotalCount"].as_u64().unwrap();
    assert!((2 * u64::from(EACH) - 1..=2 * u64::from(EACH)).contains(&total), "{total}");
    let shown = walked["AddressSet"].as_array().unwrap();
    let last = text(&shown.last().unwrap()["AddressId"]);
    assert_eq!((shown.len() as u64, last.as_str()), (total - 2990, "eip-00051499"));
}
