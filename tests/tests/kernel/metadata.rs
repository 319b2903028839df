//! What instances ask about themselves, with the cloud's own URL and a real curl inside the instance.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use lab::lab::{A, C, Finished, Lab, Namespace, SOON, Settings};

/// As the requirements have it.
const PUBLIC_IPV4: &str = "http://metadata.tencentyun.com/meta-data/public-ipv4";
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 23);

/// A daemon that answers instances, with more settings.
fn start(lab: &Lab, more: &str, settings: Settings) {
    let file = config(lab, more);
    let more = vec!["--config".into(), file.display().to_string()];
    lab.daemon.start(Settings { more, ..settings }).unwrap();
}

fn config(lab: &Lab, more: &str) -> PathBuf {
    let file = lab.directory.join("eipgate.toml");
    fs::write(&file, format!("metadata = true\n{more}\n")).unwrap();
    file
}

/// Runs curl in an instance whose resolver knows the name from its own hosts file.
fn curl(lab: &Lab, instance: &Namespace, words: &[&str]) -> Finished {
    let hosts = lab.directory.join("hosts");
    fs::write(&hosts, format!("127.0.0.1 localhost\n{METADATA} metadata.tencentyun.com\n")).unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && exec curl -sS --max-time 5 \"$@\"";
    let hosts = hosts.display().to_string();
    let inside = ["unshare", "--mount", "sh", "-c", script, &hosts];
    instance.output(&[&inside[..], words].concat(), SOON).unwrap()
}

/// The body of an answer that must be good.
fn get(lab: &Lab, instance: &Namespace, url: &str) -> String {
    let finished = curl(lab, instance, &["--fail", url]);
    assert!(finished.success(), "{url}: {finished}\n{}", lab.daemon.log());
    finished.stdout
}

/// The status of an answer.
fn status(lab: &Lab, instance: &Namespace, words: &[&str]) -> String {
    let finished = curl(lab, instance, &[&["-o", "/dev/null", "-w", "%{http_code}"], words].concat());
    assert!(finished.success(), "{words:?}: {finished}");
    finished.stdout
}

fn public(lab: &Lab, instance: &str) -> String {
    lab.public_ip(instance).unwrap().unwrap().to_string()
}

#[test]
fn a14_an_instance_is_told_its_public_address_by_the_requirements_own_url() {
    let lab = Lab::new().unwrap();
    start(&lab, "", Settings::default());
    let ordinary = lab.instance("web", A).unwrap().to_string();
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), ordinary);
    // It follows at once.
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "web").unwrap();
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), eip.address.to_string());
    lab.unbind(&eip).unwrap();
    let fresh = public(&lab, "web");
    assert!(fresh != ordinary && fresh != eip.address.to_string());
    assert_eq!(get(&lab, &lab.a, PUBLIC_IPV4), fresh);
    for root in ["http://169.254.0.23", "http://169.254.169.254", "http://metadata.tencentyun.com/latest"] {
        assert_eq!(get(&lab, &lab.a, &format!("{root}/meta-data/public-ipv4")), fresh);
    }
    // Without a public address all but that is told.
    lab.private_instance("private", C).unwrap();
    assert_eq!(status(&lab, &lab.c, &[PUBLIC_IPV4]), "404");
    assert_eq!(get(&lab, &lab.c, "http://metadata.tencentyun.com/meta-data/local-ipv4"), C.to_string());
    let listing = get(&lab, &lab.c, "http://metadata.tencentyun.com/meta-data/");
    assert!(listing.contains("instance-name") && !listing.contains("public-ipv4"), "{listing}");
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "private").unwrap();
    assert_eq!(get(&lab, &lab.c, PUBLIC_IPV4), eip.address.to_string());
    // Nobody to be told about.
    assert_ne!(curl(&lab, &lab.b, &[PUBLIC_IPV4]).code(), 0);
    lab.finish().unwrap();
}
