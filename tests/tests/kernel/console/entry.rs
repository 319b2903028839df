//! Coming in and going out, and who is kept from what.

use lab::lab::A;
use lab::lab::edges::{self, Credential};

use super::{HOME, READER, STRANGER, Scene, WRITER, scene, scene_with};

#[test]
fn only_the_right_key_opens_and_the_way_out_is_for_good() {
    let scene = scene();
    scene.open("/addresses");
    scene.log_in(Credential { secret_key: "no-key-of-anybody-1", ..WRITER });
    assert!(scene.text("[role=alert]").contains("No credential has this secret ID and key"), "a wrong key");
    assert_eq!(scene.browser.evaluate("document.querySelector('#secret-key').value").unwrap(), "");
    // What the browser notes of a page that is refused is the only complaint.
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("403") && one.contains("/login")), "{complaints:?}");
    scene.log_in(WRITER);
    assert_eq!(scene.browser.place().unwrap(), format!("{HOME}/addresses"), "where it was to go");
    assert_eq!(scene.browser.evaluate("document.cookie").unwrap(), "", "scripts do not see the session");

    scene.browser.leave_by(|| scene.browser.click("form[action='/logout'] button")).unwrap();
    assert!(scene.text("main").contains("You are logged out."));
    scene.browser.leave_by(|| scene.browser.evaluate("history.back()").map(drop)).unwrap();
    scene.browser.wait("the form again", "location.pathname === '/login'").unwrap();
    assert!(!scene.text("body").contains("EIP"), "nothing is kept of what was seen");
    scene.finish();
}

#[test]
fn a_forged_form_changes_nothing() {
    let scene = scene();
    let eip = scene.lab.allocate().unwrap();
    scene.enter(WRITER);
    let posted = format!(
        "fetch('/do/release', {{ method: 'POST', body: new URLSearchParams({{ eip: '{}', csrf: 'x' }}) }})\
         .then((answer) => answer.status)",
        eip.id
    );
    assert_eq!(scene.browser.evaluate(&posted).unwrap(), 403, "without the session's token");
    // Another site's form: the browser neither sends the cookie with it nor a name that is ours.
    scene.browser.open("about:blank").unwrap();
    let forged = format!(
        "(() => {{ document.body.innerHTML = '<form method=post action=\"{HOME}/do/release\"><input name=eip value={}>\
         </form>'; document.forms[0].submit(); }})()",
        eip.id
    );
    scene.browser.leave_by(|| scene.browser.evaluate(&forged).map(drop)).unwrap();
    assert!(scene.text("main").contains("A form of another site was refused."));
    scene.lab.daemon.tell(&["eip", "show", &eip.id]).unwrap();
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("403")), "{complaints:?}");
    scene.finish();
}

#[test]
fn what_the_policy_forbids_is_heard_of() {
    let scene = scene();
    scene.open("/login");
    let injected = "document.body.insertAdjacentHTML('beforeend', '<a id=forbidden onclick=\"window.done = 1\">x</a>')";
    scene.browser.evaluate(injected).unwrap();
    scene.browser.evaluate("document.querySelector('#forbidden').click()").unwrap();
    assert_eq!(scene.browser.evaluate("window.done").unwrap(), serde_json::Value::Null);
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().any(|one| one.contains("Content Security Policy")), "{complaints:?}");
    scene.finish();
}

/// Every place a link leads to on the pages of somebody.
fn links(scene: &Scene) -> String {
    let all = "[...document.links].map((link) => link.getAttribute('href')).join('\\n')";
    scene.browser.evaluate(all).unwrap().as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_reader_looks_and_changes_nothing() {
    let scene = scene();
    let web = scene.lab.instance("web", A).unwrap();
    let eip = scene.lab.allocate().unwrap();
    scene.enter(READER);
    assert!(scene.text("table").contains(&web.to_string()));
    assert!(scene.text("header").contains("Read-only"));
    scene.open("/addresses");
    assert!(scene.text("table").contains(&eip.id) && !links(&scene).contains("/do/"));
    let csrf = "document.querySelector('[name=csrf]').value";
    let posted = format!(
        "fetch('/do/release', {{ method: 'POST', body: new URLSearchParams({{ eip: '{}', csrf: {csrf} }}) }})\
         .then((answer) => answer.text())",
        eip.id
    );
    let answer = scene.browser.evaluate(&posted).unwrap();
    assert!(answer.as_str().unwrap().contains("A read-only credential cannot change anything."), "{answer}");
    scene.lab.daemon.tell(&["eip", "show", &eip.id]).unwrap();
    assert!(scene.browser.complaints().iter().all(|one| one.contains("403")));
    scene.finish();
}

#[test]
fn a_stranger_sees_nothing_of_another_account() {
    let scene = scene();
    let web = scene.lab.instance("web", A).unwrap();
    let eip = scene.lab.allocate().unwrap();
    scene.enter(STRANGER);
    assert!(scene.text("main").contains("No instances yet"));
    scene.open("/addresses");
    assert!(scene.text("main").contains("No EIPs yet"));
    for place in [format!("/instances?q={web}"), format!("/addresses?q={}", eip.id), "/addresses?kind=ordinary".into()]
    {
        scene.open(&place);
        assert_eq!(scene.browser.count("[data-instance], [data-eip]").unwrap(), 0, "{place}");
    }
    let live = scene.browser.evaluate(&format!("fetch('/live?of={web}').then((answer) => answer.json())")).unwrap();
    assert_eq!(live["rows"], serde_json::json!({}));
    scene.finish();
}

#[test]
fn both_languages_are_spoken() {
    let scene = scene();
    scene.lab.instance("web", A).unwrap();
    scene.browser.prefer("zh-CN,zh;q=0.9").unwrap();
    scene.open("/");
    assert_eq!(scene.text("h1"), "登录");
    scene.log_in(WRITER);
    assert_eq!(scene.text("h1"), "实例");
    assert!(scene.text("table").contains("(公)") && scene.text("table").contains("(内)"));
    scene.browser.leave_by(|| scene.browser.click("a.language")).unwrap();
    assert_eq!(scene.text("h1"), "Instances");
    scene.open("/addresses");
    assert_eq!(scene.text("h1"), "Public IPs", "what was chosen outranks what is preferred");
    scene.browser.leave_by(|| scene.browser.click("a.language")).unwrap();
    assert_eq!(scene.browser.evaluate("document.documentElement.lang").unwrap(), "zh-CN");
    scene.finish();
}

#[test]
fn a_session_ends_with_its_credential() {
    let scene = scene();
    scene.lab.instance("web", A).unwrap();
    scene.enter(WRITER);
    let file = scene.lab.directory.join("credentials.toml");
    let only_looking = Credential { access: "read-only", ..WRITER };
    edges::admit(&file, &[only_looking]).unwrap();
    scene
        .browser
        .wait("what it may do now", "document.querySelector('tbody').innerText.includes('Read-only')")
        .unwrap();
    edges::admit(&file, &[Credential { secret_key: "another-key-00000001", ..WRITER }]).unwrap();
    let over = "document.querySelector('#trouble').innerText.startsWith('Your session has ended.')";
    scene.browser.wait("the end of the session", over).unwrap();
    scene.open("/instances");
    assert!(scene.text("main").contains("Your session has ended. Log in again."));
    scene.finish();
}

#[test]
fn a_session_ends_with_its_credential_where_nothing_is_plotted() {
    let scene = scene();
    scene.lab.allocate().unwrap();
    scene.enter(WRITER);
    scene.open("/addresses");
    assert_eq!(scene.browser.count("[data-live]").unwrap(), 0);
    let file = scene.lab.directory.join("credentials.toml");
    edges::admit(&file, &[Credential { secret_key: "another-key-00000001", ..WRITER }]).unwrap();
    let over = "document.querySelector('#trouble').innerText.startsWith('Your session has ended.')";
    scene.browser.wait("the end of the session", over).unwrap();
    scene.finish();
}

/// What keeps a session alive is what somebody does, and not a page that was left open.
#[test]
fn what_a_page_asks_by_itself_says_that_nobody_asked() {
    let scene = scene();
    scene.lab.instance("web", A).unwrap();
    scene.enter(WRITER);
    let listen = "(() => { const own = window.fetch; window.unbidden = new Set(); window.other = []; \
                  window.fetch = (place, options) => { \
                  const said = new Headers(options.headers).get('X-Background') === '1'; \
                  const path = new URL(place, location).pathname; \
                  if (said) window.unbidden.add(path); else window.other.push(path); \
                  return own(place, options); }; })()";
    scene.browser.evaluate(listen).unwrap();
    let asked = "window.other.length > 0 || (window.unbidden.has('/live') && window.unbidden.has('/instances'))";
    scene.browser.wait("figures and rows to be asked for", asked).unwrap();
    assert_eq!(scene.browser.evaluate("window.other.join()").unwrap(), "");
    scene.finish();
}

#[test]
fn by_tls_the_cookie_stays_with_it() {
    let scene = scene_with("tls_certificate = \"{directory}/tls.crt\"\ntls_key = \"{directory}/tls.key\"\n");
    scene.lab.instance("web", A).unwrap();
    scene.browser.open("https://127.0.0.1:8080/").unwrap();
    scene.log_in(WRITER);
    assert_eq!(scene.browser.place().unwrap(), "https://127.0.0.1:8080/instances");
    let cookies = scene.browser.cookies().unwrap();
    let [cookie] = &cookies[..] else { panic!("{cookies:?}") };
    assert_eq!(cookie["name"], "__Host-eipgate");
    let kept = (&cookie["secure"], &cookie["httpOnly"], &cookie["sameSite"], &cookie["session"]);
    assert_eq!(kept, (&true.into(), &true.into(), &"Strict".into(), &true.into()), "{cookie}");
    scene.browser.wait("figures", "document.querySelector('.plot .in').points.length > 0").unwrap();
    scene.finish();
}
