//! Every page at two widths, kept as pictures in `target/console` for people to look at. Chinese wants a font that has it,
//! such as Debian's fonts-wqy-zenhei.

use std::fs;
use std::path::{Path, PathBuf};

use lab::lab::server::{Server, udp_exchange};
use lab::lab::{A, B, C, at};

use super::{Scene, WRITER, scene};

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/console");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A picture of the page as it stands, wide and narrow. Nothing on it is wider than the window.
fn picture(scene: &Scene, name: &str) {
    for (width, height) in [(1440, 900), (390, 844)] {
        scene.browser.viewport(width, height).unwrap();
        let wide = "document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(scene.browser.evaluate(wide).unwrap(), true, "{name} is wider than {width}");
        scene.browser.picture(&folder().join(format!("{name}-{width}.png"))).unwrap();
    }
    scene.browser.viewport(1440, 900).unwrap();
}

/// Opens the first dialog of that kind on a page.
fn dialog(scene: &Scene, page: &str, deed: &str, field: &str) {
    scene.open(page);
    scene.browser.click(&format!("main a[href^='/do/{deed}']")).unwrap();
    scene.browser.wait_for(&format!("dialog {field}")).unwrap();
}

#[test]
fn every_page_is_kept_as_a_picture() {
    let scene = scene();
    scene.open("/");
    picture(&scene, "login");
    scene.enter(WRITER);
    picture(&scene, "instances-empty");
    scene.open("/addresses");
    picture(&scene, "addresses-empty");

    let web = scene.lab.instance("web", A).unwrap();
    scene.lab.instance("database-primary", B).unwrap();
    scene.lab.private_instance("batch-worker", C).unwrap();
    for number in 21..40 {
        let (private, name) = (format!("10.0.0.{number}"), format!("node-{number}"));
        scene.create(&["--private-ip", &private, "--name", &name, "--bandwidth", "0"]);
    }
    let eip = scene.lab.allocate().unwrap();
    scene.lab.bind(&eip, "database-primary").unwrap();
    let spare = scene.lab.allocate().unwrap();
    scene.lab.daemon.tell(&["eip", "modify", &spare.id, "--name", "spare", "--bandwidth", "20"]).unwrap();
    scene.lab.daemon.tell(&["package", "create", "--name", "shared"]).unwrap();

    scene.open("/instances?q=10.0.0.1");
    let _echo = Server::udp_echo(&scene.lab.a, 7).unwrap();
    for burst in 1..12 {
        (0..burst * 7 % 40).for_each(|_| drop(udp_exchange(&scene.lab.internet, at(web, 7), &[0; 900])));
        let moved = format!("(JSON.stringify([...samples.get('{web}') || []]).match(/\\[/g) || []).length > {burst}");
        scene.browser.wait("one more sample", &moved).unwrap();
    }
    scene.browser.hover("[data-instance] .copyable").unwrap();
    picture(&scene, "instances");
    scene.open("/instances");
    picture(&scene, "instances-pages");
    scene.open("/instances?q=nothing-like-it");
    picture(&scene, "instances-nothing");
    scene.open("/addresses");
    picture(&scene, "addresses");
    scene.open("/addresses?kind=ordinary");
    picture(&scene, "addresses-ordinary");
    for (page, deed, field) in [
        ("/addresses", "allocate", "#bandwidth"),
        ("/addresses", "bind", "#instance"),
        ("/addresses", "unbind", "#reallocate"),
        ("/addresses", "release", "button.danger"),
        ("/addresses", "bandwidth", "#charge"),
        ("/addresses", "rename", "#name"),
        ("/instances?q=10.0.0.1", "convert", "#name"),
    ] {
        dialog(&scene, page, deed, field);
        picture(&scene, &format!("dialog-{deed}"));
    }
    dialog(&scene, "/instances?q=10.0.0.13", "bind", "#eip");
    picture(&scene, "dialog-bind-instance");
    scene.open("/instances/database-primary");
    picture(&scene, "not-found");
    let id = scene.lab.daemon.json(&["instance", "show", "web"]).unwrap()["id"].as_str().unwrap().to_owned();
    for tab in ["parameters", "monitoring", "health", "security", "log"] {
        scene.open(&format!("/instances/{id}?tab={tab}"));
        if tab == "monitoring" {
            scene.browser.wait("a plot", "document.querySelector('.plot .in').points.length > 1").unwrap();
        }
        picture(&scene, &format!("instance-{tab}"));
    }
    scene.open(&format!("/addresses/{}", eip.id));
    picture(&scene, "eip");
    scene.open("/language?to=zh-CN&back=%2Finstances%3Fq%3D10.0.0.1");
    picture(&scene, "instances-chinese");
    scene.open("/addresses");
    picture(&scene, "addresses-chinese");
    scene.open(&format!("/instances/{id}"));
    picture(&scene, "instance-chinese");
    dialog(&scene, "/addresses", "bind", "#instance");
    scene.browser.fill("dialog #instance", "nobody").unwrap();
    scene.browser.click("dialog button[type=submit]").unwrap();
    scene.browser.wait_for("dialog [role=alert]").unwrap();
    picture(&scene, "dialog-refused-chinese");
    scene.browser.media("prefers-color-scheme", "dark").unwrap();
    scene.open("/instances?q=10.0.0.1");
    picture(&scene, "instances-dark");
    scene.open("/addresses");
    picture(&scene, "addresses-dark");
    scene.browser.media("prefers-color-scheme", "light").unwrap();
    // The page of an instance that is not there is the only one that was answered with an error.
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("/instances/database-primary")), "{complaints:#?}");

    scene.open("/language?to=en&back=%2Finstances%3Fq%3D10.0.0.1");
    scene.lab.daemon.terminate().unwrap();
    scene.browser.wait_for("#trouble").unwrap();
    picture(&scene, "trouble");
    scene.browser.click("main a[href^='/do/rename']").unwrap();
    scene.browser.wait_for("dialog [data-close]").unwrap();
    picture(&scene, "dialog-no-answer");
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("ERR_CONNECTION")), "{complaints:#?}");
    scene.finish();
}
