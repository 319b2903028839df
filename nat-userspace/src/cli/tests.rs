//! What the command line accepts, and what it prints.

use clap::{CommandFactory as _, error::ErrorKind};

use super::output::show;
use super::*;
use crate::admin::wire::*;
use crate::dataplane::{LinkStatus, MapUse, PlaneStatus};

fn parse(line: &str) -> Result<Cli, ErrorKind> {
    Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.kind())
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_help_with_examples() {
    fn check(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path}");
        for option in command.get_arguments() {
            assert!(option.get_help().is_some(), "{path} {}", option.get_id());
        }
        let groups = command.get_subcommands().filter(|command| command.get_name() != "help");
        let groups: Vec<_> = groups.collect();
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(examples.contains("eipgate ") || !groups.is_empty() || path.starts_with("eipgate map "), "{path}");
        for command in groups {
            check(command, &format!("{path} {}", command.get_name()));
        }
    }
    check(&Cli::command(), "eipgate");
}

#[test]
fn the_lines_of_the_documentation_are_understood() {
    for line in [
        "eipgate run",
        "eipgate run --config /etc/x.toml --uplink eth0 --uplink eth2:7 --downlink eth1 --downlink eth3:100.200=blue \
         --pool 198.51.100.0/24 --pool 8.8.8.8 --allow-reserved-pools --cool-down 10m --xdp-mode generic \
         --state-dir /a --bpf-dir /b --socket /c",
        "eipgate instance create --private-ip 10.0.0.5",
        "eipgate instance create --private-ip 10.0.0.5 --vpc blue --name web --bandwidth 5 --charge-type bandwidth_package",
        "eipgate instance terminate ins-1 --vpc blue",
        "eipgate --account alice instance list -o json",
        "eipgate instance show 10.0.0.5",
        "eipgate eip allocate --address 8.8.8.8 --name mail",
        "eipgate eip bind 8.8.8.8 10.0.0.5 --vpc blue",
        "eipgate eip unbind eip-1 --reallocate yes",
        "eipgate eip unbind eip-1 --reallocate no",
        "eipgate eip release eip-1",
        "eipgate eip list --output table",
        "eipgate eip show eip-1 --account alice",
        "eipgate pool list --socket /s",
        "eipgate status -o json",
        "eipgate monitor",
        "eipgate monitor 8.8.8.8 --drops -o json --bpf-dir /b",
        "eipgate map show -o json",
        "eipgate map get 8.8.8.8 --bpf-dir /b",
        "eipgate map --bpf-dir /b verify",
        "eipgate map counters",
        "eipgate map counters 8.8.8.8",
        "eipgate detach --bpf-dir /b --state-dir /a",
    ] {
        if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_is_wrong_is_wrong_usage() {
    use ErrorKind::{InvalidValue, MissingRequiredArgument, UnknownArgument, ValueValidation};
    for (line, kind) in [
        ("eipgate run --uplink eth0:4095", ValueValidation),
        ("eipgate run --downlink eth0:1.2.3", ValueValidation),
        ("eipgate run --pool 8.8.8.1/24", ValueValidation),
        ("eipgate run --cool-down 10", ValueValidation),
        ("eipgate run --xdp-mode hybrid", ValueValidation),
        ("eipgate instance create", MissingRequiredArgument),
        ("eipgate instance create --private-ip 10.0.0.256", ValueValidation),
        ("eipgate instance create --private-ip 10.0.0.5 --charge-type FREE", ValueValidation),
        ("eipgate eip bind eip-1", MissingRequiredArgument),
        ("eipgate eip unbind eip-1 --reallocate maybe", InvalidValue),
        ("eipgate eip release eip-1 --force", UnknownArgument),
        ("eipgate status -o yaml", InvalidValue),
        ("eipgate status --account a/b", ValueValidation),
    ] {
        assert_eq!(parse(line).unwrap_err(), kind, "{line}");
    }
    let error = Cli::try_parse_from(["eipgate", "eip", "bind"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

fn web() -> InstanceRow {
    InstanceRow {
        id: "ins-11111111".into(),
        account: "default".into(),
        name: Some("web".into()),
        vpc: "vpc-default".into(),
        private_ip: [10, 0, 0, 5].into(),
        public_ip: Some([8, 8, 8, 1].into()),
        public_ip_kind: Some(PublicIpKind::Eip),
        eip_id: Some("eip-22222222".into()),
        bandwidth_mbps: 5,
        bandwidth_enforced: false,
        charge_type: "BANDWIDTH_POSTPAID_BY_HOUR".into(),
        created_at: "2026-11-20T11:43:00Z".into(),
    }
}

fn hidden() -> InstanceRow {
    InstanceRow {
        id: "ins-33333333".into(),
        name: None,
        private_ip: [10, 0, 0, 16].into(),
        public_ip: None,
        public_ip_kind: None,
        eip_id: None,
        bandwidth_mbps: 0,
        ..web()
    }
}

fn mail() -> EipRow {
    EipRow {
        id: "eip-22222222".into(),
        account: "default".into(),
        name: Some("mail".into()),
        address: [8, 8, 8, 1].into(),
        state: EipState::Bound,
        instance_id: Some("ins-11111111".into()),
        vpc: Some("vpc-default".into()),
        private_ip: Some([10, 0, 0, 5].into()),
        created_at: "2026-11-20T11:43:00Z".into(),
    }
}

fn spare() -> EipRow {
    EipRow { name: None, state: EipState::Unbound, instance_id: None, vpc: None, private_ip: None, ..mail() }
}

#[test]
fn instances_are_shown() {
    assert_eq!(
        instance::list(&[web(), hidden()]),
        "\
ID            NAME  VPC          PRIVATE IP  PUBLIC IP  KIND  BANDWIDTH (not enforced)  CREATED
ins-11111111  web   vpc-default  10.0.0.5    8.8.8.1    eip   5 Mbit/s                  2026-11-20T11:43:00Z
ins-33333333  -     vpc-default  10.0.0.16   -          -     0 Mbit/s                  2026-11-20T11:43:00Z"
    );
    assert_eq!(instance::list(&[]), "no instances");
    assert_eq!(
        instance::one(&web()),
        "\
id:           ins-11111111
name:         web
account:      default
vpc:          vpc-default
private ip:   10.0.0.5
public ip:    8.8.8.1 (EIP eip-22222222)
bandwidth:    5 Mbit/s (not enforced)
charge type:  BANDWIDTH_POSTPAID_BY_HOUR
created:      2026-11-20T11:43:00Z"
    );
    assert_eq!(
        show(Format::Json, &web(), |_| String::new()),
        "\
{
  \"id\": \"ins-11111111\",
  \"account\": \"default\",
  \"name\": \"web\",
  \"vpc\": \"vpc-default\",
  \"private_ip\": \"10.0.0.5\",
  \"public_ip\": \"8.8.8.1\",
  \"public_ip_kind\": \"eip\",
  \"eip_id\": \"eip-22222222\",
  \"bandwidth_mbps\": 5,
  \"bandwidth_enforced\": false,
  \"charge_type\": \"BANDWIDTH_POSTPAID_BY_HOUR\",
  \"created_at\": \"2026-11-20T11:43:00Z\"
}"
    );
}

#[test]
fn eips_and_pools_are_shown() {
    assert_eq!(
        eip::list(&[mail(), spare()]),
        "\
ID            NAME  ADDRESS  STATE    INSTANCE      VPC          PRIVATE IP  CREATED
eip-22222222  mail  8.8.8.1  bound    ins-11111111  vpc-default  10.0.0.5    2026-11-20T11:43:00Z
eip-22222222  -     8.8.8.1  unbound  -             -            -           2026-11-20T11:43:00Z"
    );
    assert_eq!(
        eip::one(&mail()),
        "\
id:        eip-22222222
name:      mail
account:   default
address:   8.8.8.1
state:     bound
instance:  ins-11111111 (10.0.0.5 in vpc-default)
created:   2026-11-20T11:43:00Z"
    );
    let pool = PoolRow {
        prefix: "8.8.8.0/29".into(),
        kind: PoolRowKind::OnLink,
        members: 5,
        held: 1,
        cooling_down: 1,
        free: 2,
        set_aside: 1,
        withheld: 3,
    };
    assert_eq!(
        pool::list(&[pool]),
        "\
POOL        KIND     MEMBERS  HELD  COOLING DOWN  FREE  SET ASIDE  WITHHELD
8.8.8.0/29  on-link  5        1     1             2     1          3"
    );
}

#[test]
fn a_change_is_told_in_one_line() {
    let address = |last| Some([8, 8, 8, last].into());
    assert_eq!(
        instance::created(&InstanceRow { public_ip: address(0), ..web() }),
        "created instance ins-11111111: private address 10.0.0.5 in vpc-default, ordinary public IP 8.8.8.0, \
         bandwidth 5 Mbit/s (not enforced)"
    );
    assert_eq!(
        instance::created(&hidden()),
        "created instance ins-33333333: private address 10.0.0.16 in vpc-default, no public IP, \
         bandwidth 0 Mbit/s (not enforced)"
    );
    for (released_ip, unbound_eip, told) in [
        (address(0), None, "terminated instance ins-11111111: ordinary public IP 8.8.8.0 went back to the pool"),
        (None, Some("eip-2"), "terminated instance ins-11111111: EIP eip-2 is unbound and stays yours"),
        (None, None, "terminated instance ins-11111111"),
    ] {
        let done = Terminated { instance: web(), released_ip, unbound_eip: unbound_eip.map(Into::into) };
        assert_eq!(instance::terminated(&done), told);
    }
    assert_eq!(eip::allocated(&spare()), "allocated EIP eip-22222222: 8.8.8.1");
    for (released_ip, told) in [(address(0), "; ordinary public IP 8.8.8.0 went back to the pool"), (None, "")] {
        let done = Bound { eip: mail(), released_ip };
        assert_eq!(
            eip::bound(&done),
            format!("bound EIP eip-22222222 (8.8.8.1) to instance ins-11111111 (10.0.0.5){told}")
        );
    }
    for (assigned_ip, told) in
        [(address(2), "which has the new ordinary public IP 8.8.8.2"), (None, "which has no public IP now")]
    {
        let done = Unbound { eip: spare(), unbound_from: "ins-11111111".into(), assigned_ip };
        assert_eq!(
            eip::unbound(&done),
            format!("unbound EIP eip-22222222 (8.8.8.1) from instance ins-11111111, {told}")
        );
    }
    let done = Released { eip: spare(), rests_until: "2026-11-20T11:53:00Z".into() };
    assert_eq!(eip::released(&done), "released EIP eip-22222222: 8.8.8.1 rests until 2026-11-20T11:53:00Z");
}

#[test]
fn the_status_is_one_page() {
    let link = |interface: &str, tags: &[u16], vpc: Option<&str>, attached: bool| LinkStatus {
        interface: interface.into(),
        tags: tags.to_vec(),
        side: if vpc.is_some() { "downlink" } else { "uplink" }.into(),
        vpc: vpc.map(Into::into),
        attached,
        mode: attached.then(|| "native".into()),
        ifindex: attached.then_some(2),
        mtu: attached.then_some(1500),
        up: attached,
    };
    let report = StatusReport {
        version: "0.1.0".into(),
        pid: 7,
        serving_since: "2026-11-20T11:43:00Z".into(),
        degraded: true,
        problems: vec!["interface eth1 does not exist; waiting for it".into()],
        dirty: false,
        instances: Usage { entries: 2, capacity: 8 },
        pairs: Usage { entries: 1, capacity: 4 },
        eips: 1,
        held_outside_pools: 0,
        data_plane: PlaneStatus {
            program_id: Some(42),
            guard: true,
            links: vec![link("eth0", &[], None, true), link("eth1", &[100, 7], Some("blue"), false)],
            maps: vec![MapUse { name: "INBOUND".into(), entries: 1, capacity: 4 }],
            problems: vec![],
        },
        notes: vec!["good to know".into()],
    };
    assert_eq!(
        status::page(&report),
        "\
eipgate:    0.1.0, pid 7, serving since 2026-11-20T11:43:00Z
state:      degraded
instances:  2 of 8
pairs:      1 of 4
eips:       1
maps:       in step with the ledger
program:    id 42
guard:      present
degraded: interface eth1 does not exist; waiting for it

INTERFACE  SIDE      VLAN   VPC   STATE     MODE    MTU
eth0       uplink    -      -     attached  native  1500
eth1       downlink  100.7  blue  waiting   -       -

MAP      ENTRIES  CAPACITY
INBOUND  1        4

note: good to know"
    );
}
