//! What the command line accepts, and what it prints.

mod past;

use std::net::Ipv4Addr;

use clap::{CommandFactory as _, error::ErrorKind};

use super::output::show;
use super::*;
use crate::admin::wire::*;
use crate::dataplane::{HopStatus, LinkStatus, MapUse, NotReady, PlaneStatus};

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
        "eipgate backup state-2026-11-21.db --state-dir /a",
        "eipgate check --state-dir /a --bpf-dir /b -o json",
        "eipgate instance create --private-ip 10.0.0.5 --bandwidth 5 --package bwp-1 --prepaid 720h --pending --client-token a:b",
        "eipgate instance start web",
        "eipgate instance stop web --no-charge",
        "eipgate instance renew web --period 24h",
        "eipgate instance modify web --bandwidth 50 --charge-type traffic_postpaid_by_hour",
        "eipgate instance convert-ip web --name mail",
        "eipgate instance return-ip 10.0.0.5 --vpc blue",
        "eipgate instance change-ip web",
        "eipgate eip allocate --bandwidth 5 --charge-type bandwidth_package --package bwp-1 --client-token x",
        "eipgate eip modify eip-1 --name mail --bandwidth 5 --blocked yes --arrears no",
        "eipgate package create --name office --bandwidth 200",
        "eipgate package list",
        "eipgate package show bwp-1",
        "eipgate package add bwp-1 eip-1",
        "eipgate package remove bwp-1 web",
        "eipgate package delete bwp-1",
        "eipgate quota -o json",
        "eipgate credential new --account alice --read-only",
        "eipgate credential new --file /etc/eipgate/credentials.toml -o json",
        "eipgate pool list --socket /s",
        "eipgate config check",
        "eipgate config check new.toml -o json",
        "eipgate config reload",
        "eipgate completions zsh",
        "eipgate import pairs.csv",
        "eipgate import --account alice --as ordinary --bandwidth 5 --check - -o json",
        "eipgate export",
        "eipgate export pairs.csv --account alice",
        "eipgate status -o json",
        "eipgate monitor",
        "eipgate monitor 8.8.8.8 --drops -o json --bpf-dir /b",
        "eipgate doctor --config /etc/x.toml -o json",
        "eipgate announce --all --rate 500/s -o json",
        "eipgate announce 8.8.8.8 8.8.4.4 --rate 5",
        "eipgate explain 8.8.8.8 10.0.0.5",
        "eipgate explain 10.0.0.5 8.8.8.8 udp/40000:53 -i eth0:7.9 --length 1500 --ttl 1 --may-fragment -o json",
        "eipgate map show -o json",
        "eipgate map get 8.8.8.8 --bpf-dir /b",
        "eipgate map --bpf-dir /b verify",
        "eipgate map counters",
        "eipgate map counters 8.8.8.8",
        "eipgate map doubt -o json --bpf-dir /b",
        "eipgate detach --bpf-dir /b --state-dir /a",
        "eipgate detach -o json",
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
        ("eipgate instance create --private-ip 10.0.0.5 --prepaid 30", ValueValidation),
        ("eipgate instance renew web", MissingRequiredArgument),
        ("eipgate eip allocate --package a/b", ValueValidation),
        ("eipgate package add bwp-1", MissingRequiredArgument),
        ("eipgate eip bind eip-1", MissingRequiredArgument),
        ("eipgate eip unbind eip-1 --reallocate maybe", InvalidValue),
        ("eipgate eip release eip-1 --force", UnknownArgument),
        ("eipgate import", MissingRequiredArgument),
        ("eipgate import pairs.csv --as wan", InvalidValue),
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
        package_id: None,
        state: InstanceStateRow::Running,
        stop_mode: None,
        state_since: "2026-11-20T11:43:00Z".into(),
        billing: BillingRow::Postpaid,
        due_at: None,
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
        state: InstanceStateRow::Stopped,
        stop_mode: Some(StopModeRow::StopCharging),
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
        bandwidth_mbps: 1,
        bandwidth_enforced: false,
        charge_type: "TRAFFIC_POSTPAID_BY_HOUR".into(),
        package_id: None,
        blocked: false,
        arrears: false,
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
ID            NAME  STATE                   VPC          PRIVATE IP  PUBLIC IP  KIND  BANDWIDTH (not enforced)  CREATED
ins-11111111  web   running                 vpc-default  10.0.0.5    8.8.8.1    eip   5 Mbit/s                  2026-11-20T11:43:00Z
ins-33333333  -     stopped without charge  vpc-default  10.0.0.16   -          -     0 Mbit/s                  2026-11-20T11:43:00Z"
    );
    assert_eq!(instance::list(&[]), "no instances");
    assert_eq!(
        instance::one(&web()),
        "\
id:           ins-11111111
name:         web
account:      default
state:        running since 2026-11-20T11:43:00Z
billing:      by the hour
vpc:          vpc-default
private ip:   10.0.0.5
public ip:    8.8.8.1 (EIP eip-22222222)
bandwidth:    5 Mbit/s (not enforced)
charge type:  BANDWIDTH_POSTPAID_BY_HOUR
package:      -
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
  \"package_id\": null,
  \"state\": \"running\",
  \"stop_mode\": null,
  \"state_since\": \"2026-11-20T11:43:00Z\",
  \"billing\": \"postpaid\",
  \"due_at\": null,
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
id:           eip-22222222
name:         mail
account:      default
address:      8.8.8.1
state:        bound
instance:     ins-11111111 (10.0.0.5 in vpc-default)
bandwidth:    1 Mbit/s (not enforced)
charge type:  TRAFFIC_POSTPAID_BY_HOUR
package:      -
created:      2026-11-20T11:43:00Z"
    );
    let pool = PoolRow {
        prefix: "8.8.8.0/29".into(),
        kind: PoolRowKind::OnLink,
        state: PoolRowState::Draining,
        origin: PoolRowOrigin::Added,
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
POOL        KIND     STATE     ORIGIN  MEMBERS  HELD  COOLING DOWN  FREE  SET ASIDE  WITHHELD
8.8.8.0/29  on-link  draining  added   5        1     1             2     1          3"
    );
}

fn fence() -> FenceRow {
    FenceRow {
        address: Ipv4Addr::new(8, 8, 8, 1),
        reason: Some("abuse".into()),
        since: "2026-11-20T11:43:00Z".into(),
        held_by: Some("EIP eip-22222222".into()),
        instance_id: Some("ins-11111111".into()),
    }
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
        let state_now = InstanceStateRow::Terminated;
        let done = Terminated { instance: web(), released_ip, unbound_eip: unbound_eip.map(Into::into), state_now };
        assert_eq!(instance::terminated(&done), told);
        let binned = Terminated { state_now: InstanceStateRow::Shutdown, ..done };
        let told = told.replace("terminated instance ins-11111111", "moved instance ins-11111111 to the recycle bin");
        assert_eq!(instance::terminated(&binned), told);
    }
    for (released_ip, assigned_ip, told) in [
        (None, None, "is running"),
        (address(0), None, "is running: ordinary public IP 8.8.8.0 went back to the pool"),
        (None, address(2), "is running with the new ordinary public IP 8.8.8.2"),
        (address(0), address(2), "has the new ordinary public IP 8.8.8.2 instead of 8.8.8.0"),
    ] {
        let done = Readdressed { instance: web(), released_ip, assigned_ip };
        assert_eq!(instance::readdressed(&done), format!("instance ins-11111111 {told}"));
    }
    assert_eq!(
        instance::converted(&mail()),
        "converted ordinary public IP 8.8.8.1 of instance ins-11111111 into EIP eip-22222222"
    );
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
fn packages_and_quotas_are_shown() {
    let office = PackageRow {
        id: "bwp-44444444".into(),
        account: "default".into(),
        name: Some("office".into()),
        bandwidth_mbps: Some(200),
        bandwidth_enforced: false,
        members: vec!["ins-11111111".into(), "eip-22222222".into()],
        created_at: "2026-11-20T11:43:00Z".into(),
    };
    let empty = PackageRow { name: None, bandwidth_mbps: None, members: vec![], ..office.clone() };
    assert_eq!(
        package::list(&[office.clone(), empty.clone()]),
        "\
ID            NAME    BANDWIDTH (not enforced)  MEMBERS  CREATED
bwp-44444444  office  200 Mbit/s                2        2026-11-20T11:43:00Z
bwp-44444444  -       no limit                  0        2026-11-20T11:43:00Z"
    );
    assert_eq!(
        package::one(&office),
        "\
id:         bwp-44444444
name:       office
account:    default
bandwidth:  200 Mbit/s (not enforced)
members:    ins-11111111 eip-22222222
created:    2026-11-20T11:43:00Z"
    );
    assert_eq!(package::created(&empty), "created package bwp-44444444: no limit (not enforced)");
    assert_eq!(package::deleted(&empty), "deleted package bwp-44444444");
    let row = |quota: &str, used, limit| QuotaRow { quota: quota.into(), used, limit };
    assert_eq!(
        package::quotas(&[row("TOTAL_EIP_QUOTA", 3, Some(20)), row("DAILY_PUBLIC_IP_ASSIGN", 0, None)]),
        "\
QUOTA                   USED  LIMIT
TOTAL_EIP_QUOTA         3     20
DAILY_PUBLIC_IP_ASSIGN  0     no limit"
    );
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
        fences: vec![fence()],
        data_plane: PlaneStatus {
            program_id: Some(42),
            guard: true,
            links: vec![link("eth0", &[], None, true), link("eth1", &[100, 7], Some("blue"), false)],
            maps: vec![MapUse { name: "INBOUND".into(), entries: 1, capacity: 4 }],
            next_hops: HopStatus {
                ready: 3,
                asked: 11,
                not_ready: vec![
                    NotReady {
                        internet: true,
                        interface: None,
                        address: None,
                        reason: "there is no default route".into(),
                    },
                    NotReady {
                        internet: false,
                        interface: Some("eth1".into()),
                        address: Some(Ipv4Addr::new(10, 0, 0, 9)),
                        reason: "its MAC address is not known".into(),
                    },
                ],
                instances_without: 4,
                instances_reason: Some("its route has several next hops".into()),
            },
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
next hops:  3 ready, 11 asked for
8.8.8.1 is fenced since 2026-11-20T11:43:00Z (abuse); instance ins-11111111 has no traffic by it
degraded: interface eth1 does not exist; waiting for it

INTERFACE  SIDE      VLAN   VPC   STATE     MODE    MTU
eth0       uplink    -      -     attached  native  1500
eth1       downlink  100.7  blue  waiting   -       -

MAP      ENTRIES  CAPACITY
INBOUND  1        4

the kernel is asked about the way to the Internet: there is no default route
the kernel is asked about the way to 10.0.0.9 on eth1: its MAC address is not known
the kernel is asked about 9 more next hops
the kernel is asked about the ways to 4 instances; to one of them, because its route has several next hops

note: good to know"
    );
}

/// Every command that is shown, as its manual page is called.
fn pages(command: &clap::Command, name: &str) -> Vec<String> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    let below = shown.flat_map(|command| pages(command, &format!("{name}-{}", command.get_name())));
    std::iter::once(name.to_owned()).chain(below).collect()
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let args = Cli::try_parse_from(["eipgate", "man", &directory.path().join("new").display().to_string()]).unwrap();
    execute(args).unwrap();
    let files = std::fs::read_dir(directory.path().join("new")).unwrap();
    let mut written: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    written.sort();
    let mut expected: Vec<String> = pages(&Cli::command(), "eipgate").iter().map(|name| format!("{name}.1")).collect();
    expected.sort();
    assert_eq!(written, expected);
    for name in expected {
        let path = directory.path().join("new").join(&name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}");
        let Ok(rendered) =
            std::process::Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(&path).output()
        else {
            continue;
        };
        assert!(rendered.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&rendered.stderr));
    }
}

#[test]
fn completions_know_every_command() {
    for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "eipgate", &mut script);
        let script = String::from_utf8(script).unwrap();
        for page in pages(&Cli::command(), "eipgate") {
            let last = page.rsplit('-').next().unwrap();
            assert!(script.contains(last), "{shell}: {page}");
        }
        // As fish does not parse the others' scripts, so do they not parse fish's; bash is everywhere.
        if shell == clap_complete::Shell::Bash {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), script).unwrap();
            assert!(std::process::Command::new("bash").arg("-n").arg(file.path()).status().unwrap().success());
        }
    }
}

#[test]
fn a_configuration_is_judged_without_a_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("eipgate.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let args = Cli::try_parse_from(["eipgate", "config", "check", &file.display().to_string()]).unwrap();
        execute(args).map(drop).map_err(|failure| (failure.status, failure.sentence))
    };
    let shown = file.display();
    let good = "uplinks = [\"eth0\"]\ndownlinks = [\"eth1\"]\n";
    assert_eq!(check(good), Ok(()));
    assert_eq!(
        check(&format!("{good}poools = []")),
        Err((1, format!("{shown}:3: there is no setting \"poools\"; did you mean \"pools\"?")))
    );
    let refused = check(&format!("{good}pools = [\"203.0.113.0/24\"]")).unwrap_err();
    assert!(refused.1.starts_with(&format!("{shown}: ")) && refused.1.contains("203.0.113.0/24"), "{}", refused.1);
    assert_eq!(check("").unwrap_err().1, "no uplink is given; name the interface towards the Internet with --uplink");
}
