//! The configuration file, the flags over it, and what is refused before anything is touched.

use std::fs;

use super::*;

const SAMPLE: &str = include_str!("../../../packaging/eipgate.toml");

fn parse(text: &str) -> Result<Config, (usize, String)> {
    file::parse(text)
}

fn config(text: &str) -> Config {
    parse(text).unwrap()
}

#[test]
fn the_sample_shows_every_key_with_its_default() {
    let as_installed = config(SAMPLE);
    let is_setting = |line: &str| {
        let key = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let whole: Vec<&str> = SAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|setting| is_setting(setting)).unwrap_or(line))
        .collect();
    for key in keys::KEYS {
        let shown = whole.iter().filter(|line| line.starts_with(&format!("{key} = "))).count();
        assert_eq!(shown, 1, "{key}");
    }
    let mut uncommented = config(&whole.join("\n"));
    // The keys that have no default show an example.
    assert_eq!(uncommented.socket_group.take().as_deref(), Some("eipgate"));
    assert_eq!(uncommented.metrics_listen.take(), Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(uncommented.credentials.take(), Some("/etc/eipgate/credentials.toml".into()));
    assert_eq!(uncommented.tls_certificate.take(), Some("/etc/eipgate/tls.crt".into()));
    assert_eq!(uncommented.tls_key.take(), Some("/etc/eipgate/tls.key".into()));
    assert_eq!(uncommented.api_listen.take(), Some("127.0.0.1:8443".parse().unwrap()));
    assert_eq!(uncommented.console_listen.take(), Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(uncommented, as_installed);
    let defaults = Config { uplinks: vec![], downlinks: vec![], pools: vec![], ..as_installed };
    assert_eq!(defaults, Config::default());
}

#[test]
fn every_error_names_its_line_and_says_what_would_be_right() {
    for (text, line, problem) in [
        ("uplinks = [\"a\"]\nuplink = \"b\"", 2, "there is no setting \"uplink\"; did you mean \"uplinks\"?"),
        ("cooldown = \"5m\"", 1, "there is no setting \"cooldown\"; did you mean \"cool_down\"?"),
        ("[pools]\n", 1, "invalid type: map, expected a sequence"),
        ("\npools = [\"8.8.8.1/24\"]", 2, "8.8.8.1/24 has host bits set: write 8.8.8.0/24"),
        ("cool_down = 10", 1, "invalid type: integer `10`, expected a string"),
        ("cool_down = \"-10m\"", 1, "\"-10m\" is negative"),
        ("xdp_mode = \"hybrid\"", 1, "`hybrid` is no XDP mode; take native or generic"),
        ("socket_mode = \"0999\"", 1, "\"0999\" is not a file mode; write it in octal, like \"0660\""),
        ("log_level = \"loud\"", 1, "`loud` is no log level; take error, warn, info, debug or trace"),
        ("log_format = \"xml\"", 1, "`xml` is no log format; take auto, text or json"),
        ("metrics_listen = \"9464\"", 1, "invalid socket address syntax"),
        ("max_pairs = -1", 1, "invalid value: integer `-1`, expected u32"),
    ] {
        assert_eq!(parse(text), Err((line, problem.to_string())), "{text}");
    }
    assert_eq!(parse("pools = [").unwrap_err().0, 1);
}

#[test]
fn flags_override_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("eipgate.toml");
    let text =
        "uplinks = [\"eth0\"]\ndownlinks = [\"eth1\"]\npools = [\"8.8.8.0/24\"]\ncool_down = \"5m\"\nmax_pairs = 9";
    fs::write(&path, text).unwrap();
    let flags = Overrides {
        downlinks: vec!["eth2:7=blue".parse().unwrap(), "eth3".parse().unwrap()],
        cool_down: Some(Duration::ZERO),
        xdp_mode: Some(Mode::Generic),
        ..Overrides::default()
    };
    let expected = Config {
        downlinks: flags.downlinks.clone(),
        cool_down: Duration::ZERO,
        xdp_mode: Mode::Generic,
        ..config(text)
    };
    assert_eq!(Config::load(Some(&path), flags).unwrap(), expected);
    assert_eq!(expected.vpcs().into_iter().map(|vpc| vpc.to_string()).collect::<Vec<_>>(), ["blue", "vpc-default"]);
    let missing = Config::load(Some(&directory.path().join("no")), Overrides::default()).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read the configuration /"), "{missing}");
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let refusal = |text: &str| config(text).check().unwrap_err().to_string();
    let links = "uplinks = [\"eth0\"]\ndownlinks = [\"eth1\"]\n";
    assert_eq!(
        refusal("downlinks = [\"eth1\"]"),
        "no uplink is given; name the interface towards the Internet with --uplink"
    );
    assert_eq!(
        refusal("uplinks = [\"eth1\"]"),
        "no downlink is given; name the interface towards the instances with --downlink"
    );
    assert_eq!(
        refusal("uplinks = [\"eth0:7\"]\ndownlinks = [\"eth0:7=blue\"]"),
        "link eth0:7 is given twice; a link is one uplink or one downlink"
    );
    assert_eq!(
        refusal(&format!("uplinks = [\"eth0\"]\ndownlinks = [\"eth1={}\"]", "v".repeat(33))),
        format!("VPC name {} is longer than 32 characters; shorten it", "v".repeat(33))
    );
    assert_eq!(
        refusal(&format!("{links}exclude = [\"8.0.0.0/8\"]")),
        "exclude 8.0.0.0/8 is too large; shrink the pool instead"
    );
    assert_eq!(refusal(&format!("{links}max_pairs = 0")), "max_pairs and max_instances must be at least 1");
    assert_eq!(refusal(&format!("{links}socket = \"s\"")), "the socket s must be an absolute path");
    assert_eq!(
        refusal(&format!("{links}metrics_listen = \"0.0.0.0:9464\"")),
        "metrics_listen 0.0.0.0:9464 can be reached from other hosts; take an address of the loopback, like \
         127.0.0.1:9464, or set metrics_anywhere = true"
    );
    let anywhere = format!("{links}metrics_listen = \"[::]:9464\"\nmetrics_anywhere = true");
    assert!(config(&anywhere).check().is_ok());
    assert_eq!(refusal(&format!("{links}metrics_top = 1001")), "metrics_top must be at most 1000");
    let secret = "credentials = \"/c\"\n";
    assert_eq!(
        refusal(&format!("{links}{secret}api_listen = \"0.0.0.0:80\"")),
        "api_listen 0.0.0.0:80 can be reached from other hosts and is not encrypted; set tls_certificate and tls_key, take \
         an address of the loopback, like 127.0.0.1:80, or set api_anywhere = true"
    );
    let tls = "tls_certificate = \"/t\"\ntls_key = \"/k\"\n";
    assert!(config(&format!("{links}{secret}{tls}api_listen = \"0.0.0.0:443\"")).check().is_ok());
    assert_eq!(
        refusal(&format!("{links}api_listen = \"127.0.0.1:80\"")),
        "api_listen without credentials serves nobody; name the file of credentials"
    );
    assert_eq!(
        refusal(&format!("{links}{secret}console_listen = \"[::]:80\"")),
        "console_listen [::]:80 can be reached from other hosts and is not encrypted; set tls_certificate and tls_key, \
         take an address of the loopback, like 127.0.0.1:80, or set console_anywhere = true"
    );
    assert_eq!(
        refusal(&format!("{links}console_names = [\"a:80\"]")),
        "console_names has \"a:80\", which is no host name; write it like \"console.example.com\", without a port"
    );
    assert_eq!(
        refusal(&format!("{links}tls_key = \"/k\"")),
        "tls_certificate and tls_key are of use only together; set both or neither"
    );
    assert_eq!(
        refusal(&format!("{links}zone = \"a b\"")),
        "zone \"a b\" is not 1 to 64 of the characters a-z A-Z 0-9 -"
    );
    // FNV-1a of these two collides.
    let twins: Vec<VpcId> = ["costarring", "liquid"].iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(
        check_vpcs(twins.iter()).unwrap_err().to_string(),
        "VPC names costarring and liquid have the same number in the maps; rename one of them"
    );
    assert!(check_vpcs([&twins[0], &twins[0]].into_iter()).is_ok());
}

#[test]
fn excluded_ranges_become_addresses() {
    let text = "exclude = [\"8.8.8.1\", \"8.8.8.4/31\"]";
    assert_eq!(
        config(text).excluded().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["8.8.8.1", "8.8.8.4", "8.8.8.5"]
    );
}

#[test]
fn a_time_span_is_read_as_people_write_it() {
    for (text, seconds) in [("10m", 600), ("0s", 0), ("1h 30m", 5400), ("48 hours", 172_800)] {
        assert_eq!(parse_time_span(text).unwrap().as_secs(), seconds);
    }
    assert_eq!(parse_time_span("10").unwrap_err().to_string(), "\"10\" is not a time; write it like 10m");
}

#[test]
fn differences_are_named_with_their_effect_and_only_immediate_ones_are_taken_over() {
    let before = Config::default();
    let after = config(
        "cool_down = \"5m\"\nmax_pairs = 9\nmartian_exceptions = [\"10.0.0.0/8\"]\nmetrics_top = 3\nlog_level = \"debug\"",
    );
    let named: Vec<(&str, Effect)> = before.differences(&after).iter().map(|found| (found.key, found.effect)).collect();
    let expected = [
        ("cool_down", Effect::AtOnce),
        ("martian_exceptions", Effect::AtOnce),
        ("max_pairs", Effect::Restart),
        ("log_level", Effect::AtOnce),
        ("metrics_top", Effect::AtOnce),
    ];
    assert_eq!(named, expected);
    let taken = before.clone().with_immediate(&after);
    assert_eq!(taken, Config { max_pairs: before.max_pairs, ..after.clone() });
    assert_eq!(before.differences(&before), []);
}

#[test]
fn the_sample_says_of_each_key_whether_it_needs_a_restart() {
    // Each setting's paragraph, which ends with the setting.
    let mut marked = Vec::new();
    for paragraph in SAMPLE.split("\n\n") {
        let keys = keys::KEYS
            .iter()
            .filter(|key| paragraph.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} = "))));
        marked.extend(keys.map(|key| (*key, paragraph.contains("(at once)"))));
    }
    let other = config(
        "cool_down = \"1s\"\nmartian_exceptions = [\"10.0.0.0/8\"]\nicmp_errors_per_second = 1\nicmp_error_burst = 1\n\
         monitor_per_second = 1\nlog_level = \"warn\"\nmetrics_top = 1\nordinary_ip_on_bind = \"refuse\"\n\
         ordinary_ip_on_unbind = \"none\"\nreturn_ordinary_ip = true\nchange_ordinary_ip = true\n\
         eips_per_account = 1\nreallocations_per_day = 1\nrecycle_bin = \"1s\"\n\
         api_changes_per_second = 1\napi_reads_per_second = 1\napi_weak_signatures = true\n\
         console_names = [\"console.example\"]\nprivate_ranges = [\"10.0.0.0/8\"]\n\
         metadata_token = \"required\"\nmetadata_per_second = 1",
    );
    let immediate: Vec<&str> = Config::default().differences(&other).iter().map(|found| found.key).collect();
    for (key, at_once) in marked {
        assert_eq!(at_once, immediate.contains(&key), "{key}");
    }
}
