//! Dialogs while the gateway lets them wait, or does not answer at all.

use lab::browser::Key;
use lab::lab::A;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Scene, WRITER, scene};

const NO_ANSWER: &str = "The gateway does not answer. Try again in a moment.";

/// Halts the daemon, or has it go on.
fn signal(scene: &Scene, signal: Signal) {
    kill(Pid::from_raw(scene.lab.daemon.pid().unwrap()), signal).unwrap();
}

#[test]
fn a_dialog_says_that_it_is_coming_and_that_it_is_at_work() {
    let scene = scene();
    scene.enter(WRITER);
    scene.open("/addresses");
    signal(&scene, Signal::SIGSTOP);
    scene.browser.click("a[href^='/do/allocate']").unwrap();
    let busy = "document.querySelector('dialog[open] [role=status][aria-busy=true]')?.innerText";
    assert_eq!(scene.browser.wait("word of it", busy).unwrap(), "Loading…");
    signal(&scene, Signal::SIGCONT);
    scene.browser.wait_for("dialog #name").unwrap();
    assert_eq!(scene.browser.count("dialog [aria-busy]").unwrap(), 0);

    scene
        .browser
        .leave_by(|| {
            signal(&scene, Signal::SIGSTOP);
            scene.browser.click("dialog button[type=submit]")?;
            let working = "document.querySelector('dialog button[type=submit]:disabled')?.innerText";
            assert_eq!(scene.browser.wait("word of it", working)?, "Working…");
            signal(&scene, Signal::SIGCONT);
            Ok(())
        })
        .unwrap();
    assert!(scene.text("main > .notice.good").ends_with(" is yours."));
    scene.finish();
}

#[test]
fn a_dialog_says_that_the_gateway_does_not_answer_and_keeps_what_was_typed() {
    let scene = scene();
    scene.lab.instance("web", A).unwrap();
    scene.enter(WRITER);
    scene.open("/addresses");
    scene.browser.click("main a[href^='/do/allocate']").unwrap();
    scene.browser.fill("dialog #name", "front door").unwrap();
    scene.lab.daemon.terminate().unwrap();
    scene.browser.click("dialog button[type=submit]").unwrap();
    let said = scene.text("dialog [role=alert]");
    assert_eq!(said, "The gateway did not answer. Look whether it was done before you try again.");
    assert_eq!(scene.browser.evaluate("document.querySelector('dialog #name').value").unwrap(), "front door");
    assert_eq!(scene.text("dialog button[type=submit]:enabled"), "Allocate EIP");
    scene.browser.click("dialog [data-close]").unwrap();
    scene.browser.wait("the end of the dialog", "!document.querySelector('dialog[open]')").unwrap();

    scene.browser.click("main a[href^='/do/allocate']").unwrap();
    let said = "document.querySelector('dialog[open] [role=status][aria-busy=false]')?.innerText";
    let said = scene.browser.wait("word of it", said).unwrap();
    assert!(said.as_str().unwrap().starts_with(NO_ANSWER), "{said}");
    // The button has the focus, so a key is enough.
    scene.browser.press(Key::Enter).unwrap();
    scene.browser.wait("the end of the dialog", "!document.querySelector('dialog[open]')").unwrap();

    // The session went with the daemon, so the next dialog leads to the form that begins one.
    scene.lab.daemon.restart().unwrap();
    scene.browser.leave_by(|| scene.browser.click("main a[href^='/do/allocate']")).unwrap();
    assert_eq!(scene.text("h1"), "Log in");
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("ERR_CONNECTION")), "{complaints:?}");
    scene.finish();
}

#[test]
fn an_answer_that_comes_late_fills_no_other_dialog() {
    let scene = scene();
    scene.lab.allocate().unwrap();
    scene.enter(WRITER);
    scene.open("/addresses");
    let hold_back = "(() => { const own = window.fetch; window.fetch = async (place, options) => { \
                     const answer = await own(place, options); \
                     if (!String(place).includes('/do/allocate')) return answer; \
                     const text = await answer.text(); \
                     await new Promise((resolve) => { window.letIn = resolve; }); \
                     answer.text = async () => { setTimeout(() => { window.cameIn = true; }); return text; }; \
                     return answer; }; })()";
    scene.browser.evaluate(hold_back).unwrap();
    scene.browser.click("main a[href^='/do/allocate']").unwrap();
    scene.browser.wait("the answer that is held back", "window.letIn !== undefined").unwrap();
    scene.browser.press(Key::Escape).unwrap();
    scene.browser.wait("the end of the dialog", "!document.querySelector('dialog[open]')").unwrap();
    scene.browser.click("[data-eip] a[href^='/do/release']").unwrap();
    scene.browser.wait_for("dialog button[type=submit]").unwrap();
    let title = scene.text("#dialog-title");
    scene.browser.evaluate("window.letIn()").unwrap();
    scene.browser.wait("the late answer", "window.cameIn === true").unwrap();
    assert_eq!(scene.text("#dialog-title"), title);
    scene.finish();
}
