//! Hands that have no mouse, and eyes that do not see.

use lab::browser::Key;
use lab::lab::{A, B};

use super::{Scene, WRITER, scene};

/// What is wrong with a page for those who hear it or see little of it, found by asking the browser about every element.
const AUDIT: &str = r#"(() => {
  const wrong = [];
  const name = (e) => (e.getAttribute("aria-label") || e.innerText || e.title || "").trim();
  const shown = (e) => e.getClientRects().length > 0;
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  if (!document.documentElement.lang) wrong.push("no language");
  for (const e of document.querySelectorAll("input:not([type=hidden]), select")) {
    if (!e.labels.length && !e.getAttribute("aria-label")) wrong.push(`no label: ${e.outerHTML}`);
  }
  for (const e of document.querySelectorAll("button, a[href], [role=img]")) {
    if (shown(e) && !name(e)) wrong.push(`no name: ${e.outerHTML}`);
  }
  for (const e of document.querySelectorAll("th")) if (!e.scope) wrong.push(`no scope: ${e.outerHTML}`);
  for (const e of document.querySelectorAll("table")) if (!e.caption) wrong.push("a table without caption");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) wrong.push(`twice: #${id}`);
  const channels = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const [, , , alpha = 1] = channels(colour);
      if (colour.startsWith("rgb") && alpha === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const e = text.parentElement;
    if (!text.data.trim() || !shown(e) || e.closest(".visually-hidden, .off, :disabled, option, datalist")) continue;
    const [a, b] = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) wrong.push(`contrast ${contrast.toFixed(2)}: ${text.data.trim()}`);
  }
  return wrong;
})()"#;

#[track_caller]
fn nothing_is_wrong(scene: &Scene, place: &str) {
    let wrong = scene.browser.evaluate(AUDIT).unwrap();
    assert_eq!(wrong, serde_json::json!([]), "{place}");
}

#[test]
fn every_page_can_be_heard_and_read() {
    let scene = scene();
    scene.lab.instance("web", A).unwrap();
    scene.lab.instance("database", B).unwrap();
    let eip = scene.lab.allocate().unwrap();
    scene.lab.bind(&eip, "web").unwrap();
    scene.lab.allocate().unwrap();
    scene.open("/login");
    nothing_is_wrong(&scene, "/login");
    scene.log_in(WRITER);
    let id = scene.lab.daemon.json(&["instance", "show", "web"]).unwrap()["id"].as_str().unwrap().to_owned();
    let instance = |tab: &str| format!("/instances/{id}?tab={tab}");
    let mut places: Vec<String> =
        ["parameters", "monitoring", "health", "security", "log"].into_iter().map(instance).collect();
    places.extend(["/instances", "/instances?q=x", "/addresses", "/addresses?kind=ordinary"].map(str::to_owned));
    places.push(format!("/addresses/{}", eip.id));
    for scheme in ["light", "dark"] {
        scene.browser.media("prefers-color-scheme", scheme).unwrap();
        for place in &places {
            scene.open(place);
            nothing_is_wrong(&scene, &format!("{scheme} {place}"));
        }
        for (page, link, field) in [
            ("/addresses", "allocate", "#bandwidth"),
            ("/addresses", "unbind", "#reallocate"),
            ("/addresses", "bind", "#instance"),
            ("/addresses", "release", ".danger"),
            ("/addresses", "bandwidth", "#charge"),
            ("/addresses", "rename", "#name"),
            ("/instances", "convert", "#name"),
        ] {
            scene.open(page);
            scene.browser.click(&format!("a[href^='/do/{link}']")).unwrap();
            scene.browser.wait_for(&format!("dialog {field}")).unwrap();
            nothing_is_wrong(&scene, &format!("{scheme} {link}"));
        }
    }
    // The audit itself sees what is wrong.
    scene.browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<input><button></button>')").unwrap();
    assert_eq!(scene.browser.evaluate(AUDIT).unwrap().as_array().unwrap().len(), 2);
    scene.finish();
}

/// What has the focus.
fn focused(scene: &Scene) -> String {
    let script =
        "(document.activeElement.id || document.activeElement.getAttribute('href') || document.activeElement.tagName)";
    scene.browser.evaluate(script).unwrap().as_str().unwrap_or_default().to_owned()
}

#[test]
fn everything_is_done_by_keyboard() {
    let scene = scene();
    scene.open("/");
    assert_eq!(focused(&scene), "secret-id");
    scene.browser.fill("#secret-id", WRITER.secret_id).unwrap();
    scene.browser.press(Key::Tab).unwrap();
    assert_eq!(focused(&scene), "secret-key");
    scene.browser.fill("#secret-key", WRITER.secret_key).unwrap();
    scene.browser.leave_by(|| scene.browser.press(Key::Enter)).unwrap();

    scene.open("/addresses");
    scene.browser.press(Key::Tab).unwrap();
    assert_eq!(focused(&scene), "#main", "the first stop leads past the bar");
    let allocate = "/do/allocate?back=%2Faddresses";
    let mut stops = 0;
    while focused(&scene) != allocate {
        scene.browser.press(Key::Tab).unwrap();
        stops += 1;
        assert!(stops < 20, "the button is not to be reached");
    }
    scene.browser.press(Key::Enter).unwrap();
    scene.browser.wait_for("dialog #name").unwrap();
    assert_eq!(focused(&scene), "name");
    // Going on and on leads to nothing behind the dialog.
    for _ in 0..12 {
        let inside = "document.activeElement.closest('dialog') !== null || document.activeElement === document.body";
        assert_eq!(scene.browser.evaluate(inside).unwrap(), true, "the focus is at {}", focused(&scene));
        scene.browser.press(Key::Tab).unwrap();
    }
    scene.browser.press(Key::Escape).unwrap();
    scene.browser.wait("the end of the dialog", "!document.querySelector('dialog[open]')").unwrap();
    assert_eq!(focused(&scene), allocate, "the focus is where it came from");
    scene.browser.press(Key::Enter).unwrap();
    scene.browser.wait_for("dialog #name").unwrap();
    scene.browser.leave_by(|| scene.browser.press(Key::Enter)).unwrap();
    assert!(scene.text("main > .notice.good").ends_with(" is yours."));
    scene.finish();
}

/// Browsers tell of a dialog's end with the next frame, which may come after the same dialog was opened again.
#[test]
fn a_dialog_opened_in_the_moment_it_was_closed_is_filled() {
    let scene = scene();
    scene.open("/login");
    scene.log_in(WRITER);
    scene.open("/addresses");
    scene.browser.click("a[href^='/do/allocate']").unwrap();
    scene.browser.wait_for("dialog #name").unwrap();
    let again = "(() => { const dialog = document.querySelector('dialog'); \
                 window.closes = 0; dialog.addEventListener('close', () => { window.closes += 1; }); \
                 dialog.close(); document.querySelector(\"a[href^='/do/allocate']\").click(); })()";
    scene.browser.evaluate(again).unwrap();
    scene.browser.wait("the late news of the end", "window.closes === 1").unwrap();
    scene.browser.wait_for("dialog #name").unwrap();
    scene.finish();
}
