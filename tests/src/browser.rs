//! A real browser, headless, in one of the lab's namespaces: Chromium, spoken to by its DevTools protocol through two
//! pipes, so that nothing listens anywhere and it ends with the test.
//!
//! ```no_run
//! use lab::browser::Browser;
//! use lab::lab::Lab;
//!
//! let lab = Lab::serving().unwrap();
//! let page = Browser::start(&lab.gateway, &lab.directory).unwrap();
//! page.open("http://127.0.0.1:8080/").unwrap();
//! page.click("button[type=submit]").unwrap();
//! ```

mod pipe;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::lab::Namespace;
use crate::lab::wait;

use self::pipe::Pipe;

/// A browser starts and draws more slowly than anything else here.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it does not need: it is to talk to the page and to nobody else.
const FLAGS: [&str; 22] = [
    "--headless",
    "--remote-debugging-pipe",
    // It runs as root, in a namespace that leads nowhere.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    // Certificates of the lab's are nobody's.
    "--ignore-certificate-errors",
    "--mute-audio",
    "--password-store=basic",
    "--force-color-profile=srgb",
    "--lang=en-US",
    // A mouse, which hovers.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
];

/// A browser with one page open; dropping it ends it.
pub struct Browser {
    pipe: Pipe,
    session: String,
}

/// A key as keyboards have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Tab,
    Enter,
    Escape,
}

impl Key {
    fn parts(self) -> (&'static str, u32, Option<&'static str>) {
        match self {
            Key::Tab => ("Tab", 9, None),
            Key::Enter => ("Enter", 13, Some("\r")),
            Key::Escape => ("Escape", 27, None),
        }
    }
}

impl Browser {
    /// Starts one there, with an empty profile in the directory.
    pub fn start(namespace: &Namespace, directory: &Path) -> Result<Browser> {
        let profile = directory.join("chromium");
        let user_data = format!("--user-data-dir={}", profile.display());
        // The protocol's pipes are descriptors 3 and 4 of the browser, and ours are its input and output.
        let script = "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null";
        let shell = ["sh", "-c", script, "sh", "chromium"];
        let mut command = namespace.command(&[&shell, &FLAGS[..], &[user_data.as_str(), "about:blank"]].concat());
        // Whatever a browser writes about itself stays in the lab's directory.
        command.env("HOME", directory).env("XDG_CONFIG_HOME", &profile).env("XDG_CACHE_HOME", &profile);
        let pipe = Pipe::start(command, &directory.join("chromium.log"))?;
        let created = pipe.call(None, "Target.createTarget", json!({ "url": "about:blank" }))?;
        let target = created["targetId"].as_str().context("a target has an id")?.to_owned();
        let attached = pipe.call(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true }))?;
        let session = attached["sessionId"].as_str().context("an attached target has a session")?.to_owned();
        let browser = Browser { pipe, session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            browser.call(domain, json!({}))?;
        }
        browser.viewport(1440, 900)?;
        Ok(browser)
    }

    fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.pipe.call(Some(&self.session), method, params)
    }

    /// Takes this size of window; a narrow one is that of a telephone.
    pub fn viewport(&self, width: u32, height: u32) -> Result<()> {
        let mobile = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        self.call("Emulation.setTouchEmulationEnabled", json!({ "enabled": mobile })).map(drop)
    }

    /// Prefers that language from now on.
    pub fn prefer(&self, languages: &str) -> Result<()> {
        let agent = self.evaluate("navigator.userAgent")?;
        self.call("Emulation.setUserAgentOverride", json!({ "userAgent": agent, "acceptLanguage": languages }))
            .map(drop)
    }

    /// What a media feature like `prefers-color-scheme` says from now on.
    pub fn media(&self, feature: &str, value: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": feature, "value": value }] });
        self.call("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Grants or denies the page what it may ask for.
    pub fn permit(&self, name: &str, setting: &str) -> Result<()> {
        let permission = json!({ "permission": { "name": name }, "setting": setting });
        self.pipe.call(None, "Browser.setPermission", permission).map(drop)
    }

    /// Goes to a place and waits until its page is there.
    pub fn open(&self, place: &str) -> Result<()> {
        self.leave_by(|| {
            let gone = self.call("Page.navigate", json!({ "url": place }))?;
            match gone["errorText"].as_str() {
                Some(error) => bail!("{place} cannot be opened: {error}"),
                None => Ok(()),
            }
        })
    }

    /// Does what leads to another page, and waits until that is there.
    pub fn leave_by(&self, leave: impl FnOnce() -> Result<()>) -> Result<()> {
        // What stands on the page that is left is not on the next one.
        self.evaluate("window.left = true")?;
        leave()?;
        self.wait("another page", "!window.left && document.readyState === 'complete'").map(drop)
    }

    /// The value of an expression, awaited where it is a promise.
    pub fn evaluate(&self, expression: &str) -> Result<Value> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let mut answer = self.call("Runtime.evaluate", params)?;
        ensure!(answer.get("exceptionDetails").is_none(), "{expression}: {}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression is true, or something else that counts as true, and returns it.
    pub fn wait(&self, what: &str, expression: &str) -> Result<Value> {
        let is_true = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0;
        // A page that is being left answers nothing.
        let found = wait::until(what, PATIENCE, || self.evaluate(expression).ok().filter(is_true));
        found.with_context(|| {
            let text = self.evaluate("document.body.innerText").unwrap_or_default();
            format!("on the page {}:\n{}", self.place().unwrap_or_default(), text.as_str().unwrap_or_default())
        })
    }

    /// Where it is.
    pub fn place(&self) -> Result<String> {
        Ok(self.evaluate("location.href")?.as_str().unwrap_or_default().to_owned())
    }

    /// What can be read in the first element like this.
    pub fn text(&self, selector: &str) -> Result<String> {
        let found = self.wait(selector, &format!("{} && {0}.innerText", element(selector)))?;
        Ok(found.as_str().unwrap_or_default().to_owned())
    }

    /// How many elements are like this.
    pub fn count(&self, selector: &str) -> Result<usize> {
        let found = self.evaluate(&format!("document.querySelectorAll({}).length", quoted(selector)))?;
        Ok(found.as_u64().unwrap_or_default() as usize)
    }

    /// Waits until there is such an element to be seen.
    pub fn wait_for(&self, selector: &str) -> Result<()> {
        self.wait(selector, &format!("{}?.getClientRects().length > 0", element(selector))).map(drop)
    }

    /// Moves the mouse over an element, and answers where it is now.
    pub fn hover(&self, selector: &str) -> Result<(f64, f64)> {
        self.wait_for(selector)?;
        let script = format!(
            "(() => {{ const e = {}; e.scrollIntoView({{ block: 'center' }}); const r = e.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()",
            element(selector)
        );
        let at = self.evaluate(&script)?;
        let (x, y) = (at[0].as_f64().context("no place")?, at[1].as_f64().context("no place")?);
        self.mouse("mouseMoved", x, y)?;
        Ok((x, y))
    }

    /// Clicks on an element, as a hand would.
    pub fn click(&self, selector: &str) -> Result<()> {
        let (x, y) = self.hover(selector)?;
        self.mouse("mousePressed", x, y)?;
        self.mouse("mouseReleased", x, y)
    }

    fn mouse(&self, kind: &str, x: f64, y: f64) -> Result<()> {
        let (button, clicks) = if kind == "mouseMoved" { ("none", 0) } else { ("left", 1) };
        let event = json!({ "type": kind, "x": x, "y": y, "button": button, "clickCount": clicks });
        self.call("Input.dispatchMouseEvent", event).map(drop)
    }

    /// Types into a field, in place of what is there.
    pub fn fill(&self, selector: &str, text: &str) -> Result<()> {
        self.wait_for(selector)?;
        self.evaluate(&format!("(() => {{ const e = {}; e.focus(); e.select?.(); }})()", element(selector)))?;
        if text.is_empty() {
            let clear = format!("(() => {{ const e = {}; e.value = ''; }})()", element(selector));
            return self.evaluate(&clear).map(drop);
        }
        self.call("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Chooses an option by its value.
    pub fn choose(&self, selector: &str, value: &str) -> Result<()> {
        self.wait_for(selector)?;
        let script = format!(
            "(() => {{ const e = {}; e.value = {}; e.dispatchEvent(new Event('change', {{ bubbles: true }})); \
             return e.value; }})()",
            element(selector),
            quoted(value)
        );
        let chosen = self.evaluate(&script)?;
        ensure!(chosen == value, "{selector} has no option {value:?}");
        Ok(())
    }

    /// Presses a key.
    pub fn press(&self, key: Key) -> Result<()> {
        let (name, code, text) = key.parts();
        let mut event = json!({ "type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event.clone())?;
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event).map(drop)
    }

    /// Presses a key that stands for an editing command, like `Paste`.
    pub fn edit(&self, command: &str) -> Result<()> {
        let event = json!({ "type": "rawKeyDown", "key": "v", "code": "KeyV", "modifiers": 2, "commands": [command] });
        self.call("Input.dispatchKeyEvent", event).map(drop)
    }

    /// Whether pages may run scripts.
    pub fn scripts(&self, may_run: bool) -> Result<()> {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !may_run })).map(drop)
    }

    /// Keeps a picture of the whole page, or of the window where a dialog is open.
    pub fn picture(&self, path: &Path) -> Result<()> {
        // What appears by and by is waited for.
        self.evaluate("Promise.all(document.getAnimations().map((one) => one.finished)).then(() => true)")?;
        let all = !self.evaluate("!!document.querySelector('dialog[open]')")?.as_bool().unwrap_or(false);
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": all }))?;
        let bytes = BASE64_STANDARD.decode(taken["data"].as_str().context("a picture has data")?)?;
        fs::write(path, bytes).with_context(|| format!("cannot keep {}", path.display()))
    }

    /// The cookies it has for where it is, with all it knows of them.
    pub fn cookies(&self) -> Result<Vec<Value>> {
        let mut answer = self.call("Network.getCookies", json!({}))?;
        Ok(answer["cookies"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// What the browser complained about since it was asked last: errors and warnings of pages, among them everything
    /// their policy forbade.
    pub fn complaints(&self) -> Vec<String> {
        self.pipe.take_events().iter().filter_map(complaint).collect()
    }
}

fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Log.entryAdded" => {
            let entry = &params["entry"];
            let text = |key: &str| entry[key].as_str().unwrap_or_default();
            matches!(text("level"), "warning" | "error")
                .then(|| format!("{}: {} ({})", text("level"), text("text"), text("url")))
        }
        "Runtime.consoleAPICalled" => Some(format!("console.{}: {}", params["type"], params["args"])),
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn element(selector: &str) -> String {
    format!("document.querySelector({})", quoted(selector))
}
