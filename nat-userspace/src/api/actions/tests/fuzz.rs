//! Calls made up at random, of which some are right: none is a defect, and the ledger is sound after all of them.
//! `EIPGATE_SEED` chooses others, `EIPGATE_CALLS` how many.

use super::*;
use crate::address::{Eip, Instance, Package};

/// SplitMix64: the same calls for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.roll() % most.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Parameters by what they are made of.
const IDS: [&str; 8] = [
    "AddressId",
    "InstanceId",
    "BandwidthPackageId",
    "NetworkInterfaceId",
    "TaskId",
    "DealName",
    "ImageId",
    "ClientToken",
];
const LISTS: [&str; 11] = [
    "AddressIds",
    "InstanceIds",
    "ResourceIds",
    "AddressIps",
    "IpAddresses",
    "BandwidthPackageIds",
    "PrivateIpAddresses",
    "VipCluster",
    "SecurityGroupIds",
    "Attributes",
    "ImageIds",
];
const NUMBERS: [&str; 10] = [
    "Offset",
    "Limit",
    "InternetMaxBandwidthOut",
    "InternetMaxBandwidth",
    "AddressCount",
    "InstanceCount",
    "MinCount",
    "BandwidthPackageCount",
    "Period",
    "AutoRenewFlag",
];
const FLAGS: [&str; 7] = [
    "DryRun",
    "PublicIpAssigned",
    "ReallocateNormalPublicIp",
    "ReleaseAddress",
    "DisableApiTermination",
    "EipDirectConnection",
    "EipVisibleOnEni",
];
const TEXTS: [&str; 19] = [
    "InternetChargeType",
    "InstanceChargeType",
    "StopType",
    "StoppedMode",
    "AddressName",
    "InstanceName",
    "BandwidthPackageName",
    "NetworkType",
    "ChargeType",
    "AddressType",
    "InternetServiceProvider",
    "VpcId",
    "SubnetId",
    "Zone",
    "HostName",
    "UserData",
    "PrivateIpAddress",
    "Egress",
    "IPChargeType",
];
const OBJECTS: [&str; 6] = [
    "Placement",
    "InternetAccessible",
    "VirtualPrivateCloud",
    "AddressChargePrepaid",
    "InstanceChargePrepaid",
    "LoginSettings",
];
const WORDS: [&str; 26] = [
    "TRAFFIC_POSTPAID_BY_HOUR",
    "BANDWIDTH_POSTPAID_BY_HOUR",
    "BANDWIDTH_PACKAGE",
    "BANDWIDTH_PREPAID_BY_MONTH",
    "PREPAID",
    "POSTPAID_BY_HOUR",
    "SOFT",
    "HARD",
    "STOP_CHARGING",
    "KEEP_CHARGING",
    "BGP",
    "ENHANCED95_POSTPAID_BY_MONTH",
    "EIP",
    "WanIP",
    "center_egress1",
    "IyEvYmluL3NoCg==",
    "vpc-default",
    "web-{R:3}",
    "web{R:999999999999999999999}{R:",
    "10.0.0.7",
    "8.8.8.3",
    "0.0.0.0",
    "你好",
    "a\u{0}b",
    "'; DROP TABLE instances; --",
    "",
];
const FILTERS: [&str; 16] = [
    "address-id",
    "address-ip",
    "address-status",
    "address-type",
    "address-name",
    "instance-id",
    "private-ip-address",
    "is-arrears",
    "tag-key",
    "tag:x",
    "instance-name",
    "instance-state",
    "creation-start-time",
    "resource.resource-id",
    "resource.address-ip",
    "no-such-filter",
];

/// What a call may name: what there is, and what there is not.
struct Known(Vec<String>);

impl Known {
    async fn of(served: &Served) -> Known {
        let ids = served.handle.ask(|operations| {
            let ledger = operations.ledger();
            let mut ids: Vec<String> =
                ["eip-zzzzzzzz", "ins-zzzzzzzz", "bwp-zzzzzzzz", "10000123"].map(String::from).into();
            ids.extend(ledger.eips().flat_map(|eip: &Eip| [eip.id.to_string(), eip.address.to_string()]));
            ids.extend(ledger.instances().map(|instance: &Instance| instance.id.to_string()));
            ids.extend(ledger.instances().filter_map(|instance| Some(instance.ordinary?.to_string())));
            ids.extend(ledger.packages().map(|package: &Package| package.id.to_string()));
            ids
        });
        Known(ids.await.unwrap())
    }

    fn junk(&self, dice: &mut Dice, depth: usize) -> Value {
        match dice.below(if depth == 0 { 9 } else { 11 }) {
            0 => Value::Null,
            1 => true.into(),
            2 => (dice.roll() as i64).into(),
            3 => i64::MIN.into(),
            4 => u64::MAX.into(),
            5 => (-0.5).into(),
            6 => dice.pick(&self.0).as_str().into(),
            7 | 8 => (*dice.pick(&WORDS)).into(),
            9 => (0..dice.below(4)).map(|_| self.junk(dice, depth - 1)).collect(),
            _ => self.object(dice, depth - 1),
        }
    }

    fn object(&self, dice: &mut Dice, depth: usize) -> Value {
        let members = (0..dice.below(6)).map(|_| self.member(dice, depth));
        Value::Object(members.collect())
    }

    fn member(&self, dice: &mut Dice, depth: usize) -> (String, Value) {
        let small = |dice: &mut Dice| -> Value { (dice.below(130) as i64 - 3).into() };
        let (name, right): (&str, Value) = match dice.below(8) {
            0 | 1 => (*dice.pick(&IDS), dice.pick(&self.0).as_str().into()),
            2 => {
                let name = *dice.pick(&LISTS);
                (name, (0..1 + dice.below(3)).map(|_| dice.pick(&self.0).clone()).collect())
            }
            3 => (*dice.pick(&NUMBERS), small(dice)),
            4 => (*dice.pick(&FLAGS), (dice.below(2) == 0).into()),
            5 => (*dice.pick(&TEXTS), (*dice.pick(&WORDS)).into()),
            6 if depth > 0 => (*dice.pick(&OBJECTS), self.object(dice, depth - 1)),
            6 => ("Tags", json!([{ "Key": dice.pick(&WORDS), "Value": "x" }])),
            _ => {
                let filter = |dice: &mut Dice| json!({ "Name": dice.pick(&FILTERS), "Values": [dice.pick(&self.0), dice.pick(&WORDS)] });
                ("Filters", (0..1 + dice.below(3)).map(|_| filter(dice)).collect())
            }
        };
        let value = if dice.below(6) == 0 { self.junk(dice, depth) } else { right };
        (name.to_owned(), value)
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test]
async fn e12_no_call_however_made_up_is_a_defect() {
    let served = Served::with(|config| {
        config.pools = vec!["8.8.8.0/27".parse().unwrap()];
        config.return_ordinary_ip = true;
        config.change_ordinary_ip = true;
        config.eips_per_account = 0;
    })
    .await;
    let (seed, calls) = (setting("EIPGATE_SEED", 0x1b57), setting("EIPGATE_CALLS", 6000));
    let mut dice = Dice(seed);
    let (mut known, mut done) = (Known::of(&served).await, 0);
    for number in 0..calls {
        if number % 20 == 0 {
            known = Known::of(&served).await;
        }
        let action = dice.pick(ACTIONS).name;
        let params = known.object(&mut dice, 3);
        match served.of("alice", action, params.clone()).await {
            Ok(_) => done += 1,
            Err(error) => assert_ne!(error.code, "InternalError", "seed {seed}: {action} {params}: {}", error.message),
        }
        if number % 500 == 0 {
            let sound = served.handle.ask(|operations| operations.ledger().check_invariants()).await.unwrap();
            assert_eq!(sound, Ok(()), "seed {seed}: after {action} {params}");
        }
    }
    println!("{done} of {calls} calls were done");
    assert!(done > calls / 10, "only {done} were done");
}
