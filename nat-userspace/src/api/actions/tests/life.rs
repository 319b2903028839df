//! The life of instances by the API: how many are made, and what becomes of one that is paid for in advance.

use super::*;
use crate::config::OnUnbindChoice;

/// Sixteen addresses, so that other things can be short first.
async fn roomy(change: impl FnOnce(&mut Config)) -> Served {
    Served::with(|config| {
        config.pools = vec!["8.8.8.0/28".parse().unwrap()];
        change(config);
    })
    .await
}

fn some(least: Option<u32>, most: u32) -> Value {
    let mut asked = run(1);
    (asked["InstanceCount"], asked["MinCount"]) = (most.into(), least.into());
    asked["InstanceName"] = "web".into();
    asked
}

fn made(answer: &Value) -> usize {
    answer["InstanceIdSet"].as_array().unwrap().len()
}

#[tokio::test]
async fn where_fewer_are_enough_as_many_are_made_as_there_can_be() {
    const TOO_FEW: &str = "ResourceInsufficient.InsufficientOfferingMinimum";
    // Public addresses, private ones, and room in the maps for either.
    for (what, can_be) in [("public", 8), ("private", 14), ("instances", 9), ("pairs", 7)] {
        let served = roomy(|config| match what {
            "public" => config.pools = vec!["8.8.8.0/29".parse().unwrap()],
            "private" => config.private_ranges = vec!["10.0.0.0/28".parse().unwrap()],
            "instances" => config.max_instances = can_be,
            _ => config.max_pairs = can_be,
        })
        .await;
        assert_eq!(served.refuses("RunInstances", some(Some(can_be + 1), 20)).await, TOO_FEW, "{what}");
        assert_eq!(served.does("DescribeInstances", json!({})).await["TotalCount"], 0);
        let mut asked = some(Some(2), 20);
        asked["ClientToken"] = "t-1".into();
        let answer = served.does("RunInstances", asked.clone()).await;
        assert_eq!(made(&answer), can_be as usize, "{what}");
        assert_eq!(served.does("RunInstances", asked).await, answer, "{what}");
        let told = served.does("DescribeInstances", json!({ "Limit": 100 })).await;
        let mut names: Vec<String> =
            told["InstanceSet"].as_array().unwrap().iter().map(|row| text(&row["InstanceName"])).collect();
        names.sort_by_key(|name| name[3..].parse::<u32>().unwrap());
        assert_eq!(names, (1..=can_be).map(|number| format!("web{number}")).collect::<Vec<_>>());
        assert_eq!(served.refuses("RunInstances", some(Some(1), 1)).await, TOO_FEW, "{what}");
    }
}

#[tokio::test]
async fn how_many_are_enough_is_checked_and_said_of_those_that_are_named() {
    let served = Served::new().await;
    for least in [some(Some(3), 2), some(Some(0), 2)] {
        assert_eq!(served.refuses("RunInstances", least).await, "InvalidParameterValue.InvalidParameterMinCount");
    }
    let mut dry = some(Some(9), 10);
    dry["DryRun"] = true.into();
    let code = served.refuses("RunInstances", dry.clone()).await;
    assert_eq!(code, "ResourceInsufficient.InsufficientOfferingMinimum");
    dry["MinCount"] = 8.into();
    assert_eq!(served.does("RunInstances", dry).await, json!({}));
    let mut named = some(Some(1), 10);
    let privates: Vec<String> = (20..30).map(|last| format!("10.0.0.{last}")).collect();
    named["VirtualPrivateCloud"] = json!({ "PrivateIpAddresses": privates });
    // What is wrong is wrong with fewer too.
    let mut taken = named.clone();
    taken["VirtualPrivateCloud"]["PrivateIpAddresses"][0] = "10.9.0.1".into();
    assert_eq!(served.refuses("RunInstances", taken).await, "VpcAddrNotInSubNet");
    assert_eq!(made(&served.does("RunInstances", named).await), 8);
    let last = json!({ "Filters": [{ "Name": "private-ip-address", "Values": ["10.0.0.27", "10.0.0.28"] }] });
    assert_eq!(served.does("DescribeInstances", last).await["TotalCount"], 1);
}

#[tokio::test]
async fn full_maps_are_told_and_leave_nothing_half_made() {
    let served = roomy(|config| (config.max_pairs, config.max_instances) = (2, 4)).await;
    served.does("RunInstances", some(None, 2)).await;
    assert_eq!(served.refuses("RunInstances", run(1)).await, "LimitExceeded");
    let eip = served.allocate().await;
    let private = served.does("RunInstances", run(0)).await["InstanceIdSet"][0].clone();
    let bind = json!({ "AddressId": eip, "InstanceId": private });
    assert_eq!(served.refuses("AssociateAddress", bind).await, "LimitExceeded");
    assert_eq!(served.refuses("RunInstances", json!({ "ImageId": "i", "InstanceCount": 2 })).await, "LimitExceeded");
    assert_eq!(served.does("DescribeInstances", json!({})).await["TotalCount"], 3);
    let told = served.does("DescribeAddresses", json!({ "AddressIds": [eip] })).await;
    assert_eq!(told["AddressSet"][0]["AddressStatus"], "UNBIND");
}

#[tokio::test]
async fn what_is_paid_in_advance_goes_to_the_recycle_bin_first_and_is_no_more_the_second_time() {
    let served = Served::new().await;
    let mut asked = run(5);
    asked["InstanceChargeType"] = "PREPAID".into();
    asked["InstanceChargePrepaid"] = json!({ "Period": 1 });
    let instance = text(&served.does("RunInstances", asked).await["InstanceIdSet"][0]);
    let (one, eip) = (json!({ "InstanceIds": [instance] }), served.allocate().await);
    let bind = json!({ "AddressId": eip, "InstanceId": instance });
    served.does("AssociateAddress", bind.clone()).await;
    let told = async || served.does("DescribeInstances", one.clone()).await["InstanceSet"][0].clone();
    let running = told().await;
    assert_eq!((&running["InstanceChargeType"], &running["InstanceState"]), (&json!("PREPAID"), &json!("RUNNING")));
    assert_eq!(running["ExpiredTime"], "2026-12-20T11:43:00Z");

    served.does("TerminateInstances", one.clone()).await;
    let shut_down = told().await;
    assert_eq!((&shut_down["InstanceState"], &shut_down["PublicIpAddresses"]), (&json!("SHUTDOWN"), &Value::Null));
    let address = served.does("DescribeAddresses", json!({ "AddressIds": [eip] })).await;
    assert_eq!(address["AddressSet"][0]["AddressStatus"], "UNBIND");
    let state = "UnsupportedOperation.InstanceStateShutdown";
    for (action, params, code) in [
        ("StartInstances", one.clone(), state),
        ("StopInstances", one.clone(), state),
        ("RebootInstances", one.clone(), state),
        ("AssociateAddress", bind, "UnsupportedOperation.InstanceStatusNotPermit"),
        ("TransformAddress", json!({ "InstanceId": instance }), "InvalidParameterValue.InstanceHasNoWanIP"),
    ] {
        assert_eq!(served.refuses(action, params).await, code, "{action}");
    }
    assert_eq!(told().await["InstanceState"], "SHUTDOWN");

    served.does("TerminateInstances", one.clone()).await;
    assert_eq!(served.does("DescribeInstances", json!({})).await["TotalCount"], 0);
    assert_eq!(served.refuses("TerminateInstances", one).await, "InvalidInstanceId.NotFound");
}

#[tokio::test]
async fn an_unbound_instance_gets_a_new_address_or_none_as_the_call_says_whatever_the_policy() {
    for (choice, by_policy) in [(OnUnbindChoice::New, true), (OnUnbindChoice::None, false)] {
        let served = roomy(|config| config.ordinary_ip_on_unbind = choice).await;
        for (said, new) in [(json!(true), true), (json!(false), false), (Value::Null, by_policy)] {
            let (instance, eip) = (served.run().await, served.allocate().await);
            served.does("AssociateAddress", json!({ "AddressId": eip, "InstanceId": instance })).await;
            let unbind = json!({ "AddressId": eip, "ReallocateNormalPublicIp": said });
            served.does("DisassociateAddress", unbind).await;
            assert_eq!(served.public(&instance).await != Value::Null, new, "{choice:?} {said}");
        }
    }
}

#[tokio::test]
async fn no_instance_is_promised_to_be_renewed_by_itself() {
    let served = Served::new().await;
    let asked = |flag: Value| {
        let mut asked = run(5);
        asked["InstanceChargeType"] = "PREPAID".into();
        asked["InstanceChargePrepaid"] = json!({ "Period": 1, "RenewFlag": flag });
        asked
    };
    for flag in ["NOTIFY_AND_AUTO_RENEW", "DISABLE_NOTIFY_AND_MANUAL_RENEW", "ALWAYS"] {
        assert_eq!(served.refuses("RunInstances", asked(flag.into())).await, "InvalidParameterValue", "{flag}");
    }
    for flag in [json!("NOTIFY_AND_MANUAL_RENEW"), Value::Null] {
        served.does("RunInstances", asked(flag)).await;
    }
    let told = served.does("DescribeInstances", json!({})).await;
    assert_eq!(told["TotalCount"], 2);
    for row in told["InstanceSet"].as_array().unwrap() {
        assert_eq!(row["RenewFlag"], "NOTIFY_AND_MANUAL_RENEW");
        // How its bandwidth is charged goes with it where nothing else is said.
        assert_eq!(row["InternetAccessible"]["InternetChargeType"], "BANDWIDTH_PREPAID");
    }
}
