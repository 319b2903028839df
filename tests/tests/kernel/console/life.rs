//! An address's life by the console's dialogs, each step seen on the wire.

use std::net::Ipv4Addr;
use std::time::Duration;

use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, B, Namespace, at};

use super::{Scene, WRITER, scene};

#[track_caller]
fn answers(from: &Namespace, address: Ipv4Addr) {
    udp_exchange(from, at(address, 7), b"by the console").unwrap();
}

/// Nothing answers there. What was sent before it has arrived by now, or never will.
#[track_caller]
fn is_silent(scene: &Scene, address: Ipv4Addr) {
    let to = format!("{address}");
    let pinged = scene.lab.internet.output(&["ping", "-c1", "-W1", &to], Duration::from_secs(10)).unwrap();
    assert!(!pinged.success(), "{address} still answers: {pinged}");
}

impl Scene {
    /// Opens the dialog behind the first link like this.
    fn begin(&self, selector: &str, field: &str) {
        self.browser.click(selector).unwrap();
        self.browser.wait_for(&format!("dialog {field}")).unwrap();
    }

    /// The EIP of the only row.
    fn eip(&self) -> (String, Ipv4Addr) {
        let id = self.browser.evaluate("document.querySelector('[data-eip]').dataset.eip").unwrap();
        let address = self.browser.evaluate("document.querySelector('[data-eip] [data-copy]').dataset.copy").unwrap();
        (id.as_str().unwrap().to_owned(), address.as_str().unwrap().parse().unwrap())
    }
}

#[test]
fn an_eip_is_allocated_bound_unbound_and_released() {
    let scene = scene();
    let _echo = Server::udp_echo(&scene.lab.a, 7).unwrap();
    let ordinary = scene.lab.instance("web", A).unwrap();
    answers(&scene.lab.internet, ordinary);
    scene.enter(WRITER);
    scene.open("/addresses");

    scene.begin(".empty a[href^='/do/allocate']", "#bandwidth");
    scene.browser.fill("dialog #name", "front door").unwrap();
    scene.browser.fill("dialog #bandwidth", "9").unwrap();
    assert!(scene.submit().ends_with(" is yours."));
    let (id, address) = scene.eip();
    let row = scene.text("[data-eip]");
    for shown in ["front door", "9 Mbit/s", "By traffic", "Not bound"] {
        assert!(row.contains(shown), "{shown}: {row}");
    }

    // What is refused is said in the dialog, and what was typed stays.
    scene.begin("[data-eip] a[href^='/do/bind']", "#instance");
    scene.browser.fill("dialog #instance", "nobody").unwrap();
    scene.browser.click("dialog button[type=submit]").unwrap();
    let sentence = scene.text("dialog [role=alert]");
    assert!(sentence.contains("Not done:") && sentence.contains("nobody"), "{sentence}");
    assert_eq!(scene.browser.evaluate("document.querySelector('dialog #instance').value").unwrap(), "nobody");
    scene.browser.fill("dialog #instance", "10.0.0.1").unwrap();
    let offered = scene.browser.wait("instances to choose from", "document.querySelector('datalist option')?.label");
    assert!(offered.unwrap().as_str().unwrap().starts_with("web · 10.0.0.11"));
    scene.browser.fill("dialog #instance", "web").unwrap();
    let said = scene.submit();
    assert_eq!(said, format!("{address} serves web now; its ordinary public IP {ordinary} went back to the pool."));
    answers(&scene.lab.internet, address);
    is_silent(&scene, ordinary);
    assert!(scene.text("[data-eip]").contains("Bound"));
    assert_eq!(scene.browser.count("a[href^='/do/release']").unwrap(), 0, "a bound one is not released");

    scene.begin("[data-eip] a[href^='/do/unbind']", "#reallocate");
    assert_eq!(scene.browser.evaluate("document.querySelector('#reallocate').checked").unwrap(), true);
    let said = scene.submit();
    let new = scene.public_of("web").unwrap();
    assert_eq!(said, format!("{address} is unbound; web has the new ordinary public IP {new}."));
    assert!(new != ordinary && new != address);
    answers(&scene.lab.internet, new);
    is_silent(&scene, address);

    scene.begin("[data-eip] a[href^='/do/rename']", "#name");
    scene.browser.fill("dialog #name", "<i>back</i> door").unwrap();
    scene.submit();
    assert!(scene.text("[data-eip]").contains("<i>back</i> door"));
    scene.begin("[data-eip] a[href^='/do/bandwidth']", "#bandwidth");
    scene.browser.fill("dialog #bandwidth", "42").unwrap();
    scene.browser.choose("dialog #charge", "BANDWIDTH_POSTPAID_BY_HOUR").unwrap();
    scene.submit();
    let row = scene.text("[data-eip]");
    assert!(row.contains("42 Mbit/s") && row.contains("By bandwidth, hourly"), "{row}");

    scene.begin("[data-eip] a[href^='/do/release']", "button.danger");
    assert!(scene.text("dialog").contains("You cannot get it back."));
    assert!(scene.submit().starts_with(&format!("{address} is released and rests until ")));
    assert!(scene.text("main").contains("No EIPs yet"));
    assert!(!scene.lab.daemon.cli(&["eip", "show", &id]).unwrap().success());
    scene.finish();
}

#[test]
fn an_instance_is_given_an_eip_from_its_own_page() {
    let scene = scene();
    let _echo = Server::udp_echo(&scene.lab.b, 7).unwrap();
    let ordinary = scene.lab.instance("database", B).unwrap();
    scene.enter(WRITER);
    scene.browser.leave_by(|| scene.browser.click("[data-instance] th a")).unwrap();
    assert_eq!(scene.text("h1"), "database");

    scene.begin(".heading a[href^='/do/convert']", "#name");
    let said = scene.submit();
    assert!(said.starts_with(&format!("{ordinary} is EIP eip-")), "{said}");
    answers(&scene.lab.internet, ordinary);
    assert!(scene.text("dl").contains("EIP"));

    // Without an address at all, and then with another EIP from the list.
    scene.begin(".heading a[href^='/do/unbind']", "#reallocate");
    scene.browser.click("dialog #reallocate").unwrap();
    assert_eq!(scene.submit(), format!("{ordinary} is unbound; database has no public IP now."));
    is_silent(&scene, ordinary);
    let other = scene.lab.allocate().unwrap();
    scene.begin(".heading a[href^='/do/bind']", "#eip");
    scene.browser.choose("dialog #eip", &other.id).unwrap();
    assert_eq!(scene.submit(), format!("{} serves database now.", other.address));
    answers(&scene.lab.internet, other.address);

    scene.browser.leave_by(|| scene.browser.click(".tabs a[href*='tab=log']")).unwrap();
    let log = scene.text("table");
    for event in [
        "EIP bound",
        "EIP unbound",
        "Ordinary public IP converted to EIP",
        "Ordinary public IP assigned",
        "Instance created",
    ] {
        assert!(log.contains(event), "{event}: {log}");
    }
    scene.finish();
}

#[test]
fn without_scripts_everything_can_be_done_too() {
    let scene = scene();
    let _echo = Server::udp_echo(&scene.lab.a, 7).unwrap();
    scene.lab.instance("web", A).unwrap();
    scene.browser.scripts(false).unwrap();
    scene.enter(WRITER);
    scene.open("/addresses");
    scene.browser.leave_by(|| scene.browser.click("a[href^='/do/allocate']")).unwrap();
    scene.browser.leave_by(|| scene.browser.click("main form.deed-form button[type=submit]")).unwrap();
    assert!(scene.text("main > .notice.good").ends_with(" is yours."));
    let (_, address) = scene.eip();
    scene.browser.leave_by(|| scene.browser.click("[data-eip] a[href^='/do/bind']")).unwrap();
    scene.browser.fill("#instance", "web").unwrap();
    scene.browser.leave_by(|| scene.browser.click("main form.deed-form button[type=submit]")).unwrap();
    assert!(scene.text("main > .notice.good").starts_with(&format!("{address} serves web now")));
    answers(&scene.lab.internet, address);
    scene.finish();
}
