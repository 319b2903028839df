//! The console as people use it: a real browser in the gateway's namespace, the real daemon, real traffic.

mod dialogs;
mod entry;
mod keyboard;
mod life;
mod pictures;
mod sight;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use lab::browser::Browser;
use lab::lab::Lab;
use lab::lab::edges::{self, Credential};
use lab::lab::wait::locked;

const HOME: &str = "http://127.0.0.1:8080";

const WRITER: Credential = edges::USER;
/// Of the same account, and may change nothing.
const READER: Credential =
    Credential { secret_id: "AKIDreader", secret_key: "key-of-the-reader-0001", access: "read-only", ..WRITER };
const STRANGER: Credential =
    Credential { secret_id: "AKIDstranger", secret_key: "key-of-a-stranger-0001", account: "stranger", ..WRITER };

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
    scene_with("")
}

/// One with more in its configuration, where `{directory}` is the lab's.
fn scene_with(more: &str) -> Scene {
    let turn = locked(&ONE);
    let lab = Lab::new().unwrap();
    let settings = edges::settings(&lab.directory, &[WRITER, READER, STRANGER]).unwrap();
    let config = lab.directory.join("eipgate.toml");
    let text = fs::read_to_string(&config).unwrap() + more;
    fs::write(&config, text.replace("{directory}", &lab.directory.display().to_string())).unwrap();
    if more.contains("tls_key") {
        make_certificate(&lab.directory);
    }
    lab.daemon.start(settings).unwrap();
    let browser = Browser::start(&lab.gateway, &lab.directory).unwrap();
    Scene { browser, lab, _turn: turn }
}

fn make_certificate(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(directory.join("tls.crt"), made.cert.pem()).unwrap();
    let key = directory.join("tls.key");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Scene {
    fn open(&self, place: &str) {
        self.browser.open(&format!("{HOME}{place}")).unwrap();
    }

    /// Types a credential into the form that is there.
    fn log_in(&self, credential: Credential) {
        self.browser.fill("#secret-id", credential.secret_id).unwrap();
        self.browser.fill("#secret-key", credential.secret_key).unwrap();
        self.browser.leave_by(|| self.browser.click("main button[type=submit]")).unwrap();
    }

    /// Opens the page and logs in.
    fn enter(&self, credential: Credential) {
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
