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
    for key in file::KEYS {
        let shown = whole.iter().filter(|line| line.starts_with(&format!("{key} = "))).count();
        assert_eq!(shown, 1, "{key}");
    }
    let mut uncommented = config(&whole.join("\n"));
    // The one key that has no default shows an example.
    assert_eq!(uncommented.socket_group.take().as_deref(), Some("eipgate"));
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
