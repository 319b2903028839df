//! The console as people use it: a real browser in the gateway's namespace, the real daemon, real traffic.

mod entry;
mod keyboard;
mod life;
mod pictures;
mod sight;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Mutex, MutexGuard};

use lab::browser::Browser;
use lab::lab::wait::locked;
use lab::lab::{Lab, Settings};

const HOME: &str = "http://127.0.0.1:8080";

/// Secret id and key of credentials that may change what they see, may not, and belong to somebody else.
const WRITER: [&str; 2] = ["AKIDwriter", "key-of-the-writer-0001"];
const READER: [&str; 2] = ["AKIDreader", "key-of-the-reader-0001"];
const STRANGER: [&str; 2] = ["AKIDstranger", "key-of-a-stranger-0001"];

/// Browsers run one at a time: several at once, beside all other tests, would only wait for each other.
static ONE: Mutex<()> = Mutex::new(());

/// A lab whose daemon serves the console, and a browser beside it.
struct Scene {
    /// Ends before the lab's namespaces do.
    browser: Browser,
    lab: Lab,
    _turn: MutexGuard<'static, ()>,
}

fn scene() -> Scene {
    let turn = locked(&ONE);
    let lab = Lab::new().unwrap();
    let credentials = lab.directory.join("credentials.toml");
    let entry = |[id, key]: [&str; 2], account: &str, access: &str| {
        format!(
            "[[credential]]\nsecret_id = \"{id}\"\nsecret_key = \"{key}\"\naccount = \"{account}\"\naccess = \"{access}\"\n"
        )
    };
    let text = [
        entry(WRITER, "default", "read-write"),
        entry(READER, "default", "read-only"),
        entry(STRANGER, "stranger", "read-write"),
    ];
    fs::write(&credentials, text.concat()).unwrap();
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
    let config = lab.directory.join("eipgate.toml");
    let path = credentials.display();
    fs::write(&config, format!("credentials = \"{path}\"\nconsole_listen = \"127.0.0.1:8080\"\n")).unwrap();
    let more = vec!["--config".into(), config.display().to_string()];
    lab.daemon.start(Settings { more, ..Settings::default() }).unwrap();
    let browser = Browser::start(&lab.gateway, &lab.directory).unwrap();
    Scene { browser, lab, _turn: turn }
}

impl Scene {
    fn open(&self, place: &str) {
        self.browser.open(&format!("{HOME}{place}")).unwrap();
    }

    /// Types a credential into the form that is there.
    fn log_in(&self, [id, key]: [&str; 2]) {
        self.browser.fill("#secret-id", id).unwrap();
        self.browser.fill("#secret-key", key).unwrap();
        self.browser.leave_by(|| self.browser.click("main button[type=submit]")).unwrap();
    }

    /// Opens the page and logs in.
    fn enter(&self, credential: [&str; 2]) {
        self.open("/");
        self.log_in(credential);
        self.browser.wait("the list of instances", "location.pathname === '/instances'").unwrap();
    }

    fn text(&self, selector: &str) -> String {
        self.browser.text(selector).unwrap()
    }

    /// Sends the form in the dialog, and answers what the next page says was done.
    fn submit(&self) -> String {
        self.browser.leave_by(|| self.browser.click("dialog button[type=submit]")).unwrap();
        self.text("main > .notice.good")
    }

    /// Creates an instance by the command line.
    fn create(&self, words: &[&str]) -> serde_json::Value {
        self.lab.daemon.json(&[&["instance", "create"], words].concat()).unwrap()
    }

    fn public_of(&self, instance: &str) -> Option<Ipv4Addr> {
        self.lab.public_ip(instance).unwrap()
    }

    /// Nothing that a page did was forbidden or failed, and the lab is taken down.
    #[track_caller]
    fn finish(self) {
        assert_eq!(self.browser.complaints(), [""; 0]);
        let Scene { browser, lab, _turn } = self;
        drop(browser);
        lab.finish().unwrap();
    }
}
