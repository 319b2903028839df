//! What is seen: lists, searches, copies, plots.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lab::lab::server::{Server, udp_exchange};
use lab::lab::wait::RaisedAtEnd;
use lab::lab::{A, B, C, at};

use super::{WRITER, scene};

#[test]
fn an_instance_is_found_by_each_of_its_addresses() {
    let scene = scene();
    let web = scene.lab.instance("web", A).unwrap();
    scene.lab.instance("database", B).unwrap();
    scene.lab.private_instance("batch", C).unwrap();
    let eip = scene.lab.allocate().unwrap();
    scene.lab.bind(&eip, "database").unwrap();
    let id = scene.lab.daemon.json(&["instance", "show", "web"]).unwrap()["id"].as_str().unwrap().to_owned();
    scene.enter(WRITER);
    assert_eq!(scene.browser.count("[data-instance]").unwrap(), 3);
    let found = |text: &str| {
        scene.open("/instances");
        scene.browser.fill("#q", text).unwrap();
        scene.browser.leave_by(|| scene.browser.click("form.search button")).unwrap();
        let names = "[...document.querySelectorAll('[data-instance] .name')].map((name) => name.innerText).join(' ')";
        scene.browser.evaluate(names).unwrap().as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(found(&web.to_string()), "web", "by its ordinary public IP");
    assert_eq!(found(&eip.address.to_string()), "database", "by its EIP");
    assert_eq!(found("10.0.0.13"), "batch", "by its private address");
    assert_eq!(found("dat"), "database", "by the beginning of its name");
    assert_eq!(found(&id), "web", "by its id");
    assert_eq!(found("nobody"), "");
    assert!(scene.text("main").contains("Nothing matches"));
    for (choice, names) in [("eip", "database"), ("ordinary", "web"), ("none", "batch")] {
        scene.open("/instances");
        scene.browser.choose("#show", choice).unwrap();
        scene.browser.leave_by(|| scene.browser.click("form.search button")).unwrap();
        assert_eq!(scene.text("tbody .name"), names);
        assert_eq!(scene.browser.count("[data-instance]").unwrap(), 1, "{choice}");
    }
    scene.finish();
}

#[test]
fn hovering_over_an_address_shows_a_button_that_copies_it() {
    let scene = scene();
    let web = scene.lab.instance("web", A).unwrap();
    scene.enter(WRITER);
    let cell = scene.text("[data-instance] td[data-label='Primary IPv4']");
    let cell = cell.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(cell.contains(&format!("{web} (public)")) && cell.contains("10.0.0.11 (private)"), "{cell:?}");
    let button = format!("[data-copy='{web}']");
    let opacity = format!("getComputedStyle(document.querySelector(\"{button}\")).opacity");
    let seen = |expected: &str, when: &str| {
        scene.browser.wait(when, &format!("{opacity} === '{expected}'")).unwrap();
    };
    scene.browser.hover("h1").unwrap();
    seen("0", "no button without the mouse");
    scene.browser.hover(".copyable").unwrap();
    seen("1", "a button under the mouse");
    scene.browser.hover("h1").unwrap();
    seen("0", "no button after the mouse");
    scene.browser.evaluate(&format!("document.querySelector(\"{button}\").focus({{ focusVisible: true }})")).unwrap();
    seen("1", "a button that has the focus");

    // What the clipboard holds is what a paste brings.
    let pasted = || {
        scene.browser.fill("#q", "").unwrap();
        scene.browser.evaluate("document.querySelector('#q').focus()").unwrap();
        scene.browser.edit("Paste").unwrap();
        scene.browser.evaluate("document.querySelector('#q').value").unwrap()
    };
    for (setting, copied) in [("granted", web.to_string()), ("denied", "10.0.0.11".to_owned())] {
        scene.browser.permit("clipboard-write", setting).unwrap();
        let state = "navigator.permissions.query({ name: 'clipboard-write' }).then((found) => found.state)";
        assert_eq!(scene.browser.evaluate(state).unwrap(), setting);
        scene.browser.click(&format!("[data-copy='{copied}']")).unwrap();
        scene
            .browser
            .wait("word of it", &format!("document.querySelector('#said').innerText === 'Copied: {copied}'"))
            .unwrap();
        assert_eq!(pasted(), copied, "{setting}");
    }
    // Where the browser lets it be copied in neither way, that is said.
    scene.browser.evaluate("document.execCommand = () => false").unwrap();
    scene.browser.click(&format!("[data-copy='{web}']")).unwrap();
    let said = "document.querySelector('#said').innerText === 'The browser did not let it be copied'";
    scene.browser.wait("word of it", said).unwrap();
    scene.finish();
}

#[test]
fn plots_move_with_the_traffic() {
    let scene = scene();
    let _echo = Server::udp_echo(&scene.lab.a, 7).unwrap();
    let web = scene.lab.instance("web", A).unwrap();
    scene.enter(WRITER);
    scene.browser.evaluate("window.same = true").unwrap();
    let points = |least: usize| {
        let enough = format!("document.querySelector('[data-live=\"{web}\"] .in').points.length >= {least}");
        scene.browser.wait("points of the plot", &enough).unwrap();
        scene.browser.evaluate("document.querySelector('.plot .in').getAttribute('points')").unwrap()
    };
    let idle = points(1);
    assert_eq!(scene.text("[data-rate=in]"), "0 bit/s");
    let rate = "document.querySelector('[data-rate=in]').innerText";
    let busy = format!("{rate} !== '0 bit/s' && {rate}");
    let (lab, over) = (&scene.lab, &AtomicBool::new(false));
    let seen = thread::scope(|threads| {
        let _ends = RaisedAtEnd(over);
        threads.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                udp_exchange(&lab.internet, at(web, 7), &[7; 1000]).unwrap();
            }
        });
        scene.browser.wait("traffic in figures", &busy).unwrap()
    });
    assert!(seen.as_str().unwrap().ends_with("bit/s"), "{seen}");
    assert_ne!(points(2), idle);
    scene.browser.wait("rest in figures", &format!("{rate} === '0 bit/s'")).unwrap();
    assert_eq!(scene.browser.evaluate("window.same").unwrap(), true, "all on one page");

    // The instance's own page draws on, and adds up what the kernel has counted.
    scene.browser.leave_by(|| scene.browser.click("[data-instance] th a")).unwrap();
    scene.browser.leave_by(|| scene.browser.click(".tabs a[href*='tab=monitoring']")).unwrap();
    scene.browser.wait("large plots", "document.querySelector('.plot.large .in').points.length > 2").unwrap();
    let packets = scene.lab.daemon.map(&["get", &web.to_string()]).unwrap();
    let total = scene.text("[data-total=packets-in]").replace(',', "");
    assert!(packets.to_string().contains(&format!("\"packets_in\":{total}")), "{total} of {packets}");
    scene.finish();
}

/// As when an EIP is bound anew: nothing has flowed backwards.
#[test]
fn a_plot_begins_anew_where_counting_does() {
    let scene = scene();
    let web = scene.lab.instance("web", A).unwrap();
    scene.enter(WRITER);
    let figures = format!(
        "(() => {{ const own = window.fetch; window.asked = 0; window.fetch = async (place, options) => {{ \
         if (!String(place).startsWith('/live')) return own(place, options); \
         const round = window.asked++; \
         const bytes = round < 2 ? 9e6 + 1e5 * round : 1000 * (round - 2); \
         const told = {{ at: 1e9 + 1000 * round, rows: {{ '{web}': [bytes, bytes, round, round] }} }}; \
         return new Response(JSON.stringify(told), {{ headers: {{ 'Content-Type': 'application/json' }} }}); }}; }})()"
    );
    scene.browser.evaluate(&figures).unwrap();
    scene.browser.wait("figures from before and after", "window.asked > 5").unwrap();
    let inside = "[...document.querySelectorAll('.plot .in')].every((line) => line.points.length > 0 && \
                  [...line.points].every(({ y }) => y >= 0 && y <= line.ownerSVGElement.viewBox.baseVal.height))";
    assert_eq!(scene.browser.evaluate(inside).unwrap(), true);
    scene.finish();
}

#[test]
fn a_gateway_that_is_gone_is_noticed_and_so_is_its_return() {
    let scene = scene();
    scene.lab.instance("web", A).unwrap();
    scene.enter(WRITER);
    scene.browser.wait("figures", "document.querySelector('.plot .in').points.length > 0").unwrap();
    scene.lab.daemon.terminate().unwrap();
    let trouble = "!document.querySelector('#trouble').hidden && document.querySelector('#trouble').innerText";
    let said = scene.browser.wait("word of it", trouble).unwrap();
    assert!(said.as_str().unwrap().starts_with("The gateway does not answer."), "{said}");
    scene.lab.daemon.restart().unwrap();
    let over = "document.querySelector('#trouble').innerText.startsWith('Your session has ended.')";
    scene.browser.wait("the end of the session, which the daemon took along", over).unwrap();
    // That the page could not be reached is the browser's to say.
    assert!(scene.browser.complaints().iter().all(|one| one.contains("/live")));
    scene.finish();
}

/// Such a page asks for nothing but its rows.
#[test]
fn a_gateway_that_is_gone_is_noticed_where_nothing_is_plotted() {
    let scene = scene();
    scene.lab.allocate().unwrap();
    // No instance is there, and one EIP that serves nothing.
    for place in ["/instances", "/addresses"] {
        scene.enter(WRITER);
        scene.open(place);
        assert_eq!(scene.browser.count("[data-live]").unwrap(), 0, "{place}");
        scene.lab.daemon.terminate().unwrap();
        let trouble = "!document.querySelector('#trouble').hidden && document.querySelector('#trouble').innerText";
        let said = scene.browser.wait("word of it", trouble).unwrap();
        assert!(said.as_str().unwrap().starts_with("The gateway does not answer."), "{place}: {said}");
        scene.lab.daemon.restart().unwrap();
        let over = "document.querySelector('#trouble').innerText.startsWith('Your session has ended.')";
        scene.browser.wait("the end of the session, which the daemon took along", over).unwrap();
    }
    let complaints = scene.browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("ERR_CONNECTION")), "{complaints:?}");
    scene.finish();
}

#[test]
fn an_empty_list_gets_its_first_row_and_loses_its_last() {
    let scene = scene();
    scene.enter(WRITER);
    scene.browser.evaluate("window.same = true").unwrap();
    assert!(scene.text("main").contains("No instances yet"));
    scene.lab.private_instance("batch", C).unwrap();
    scene.browser.wait("the first row", "document.querySelectorAll('[data-instance]').length === 1").unwrap();
    scene.lab.daemon.tell(&["instance", "terminate", "batch"]).unwrap();
    let empty = "document.querySelector('.empty')?.innerText.includes('No instances yet')";
    scene.browser.wait("the end of the last row", empty).unwrap();
    assert_eq!(scene.browser.evaluate("window.same").unwrap(), true, "all on one page");
    scene.finish();
}

#[test]
fn rows_follow_what_others_do() {
    let scene = scene();
    let ordinary = scene.lab.instance("web", A).unwrap();
    let eip = scene.lab.allocate().unwrap();
    scene.enter(WRITER);
    scene.browser.evaluate("window.same = true").unwrap();
    assert!(scene.text("[data-instance]").contains(&ordinary.to_string()));
    let link = "[data-instance] a[href^='/instances/']";
    scene.browser.evaluate(&format!("document.querySelector(\"{link}\").focus()")).unwrap();
    scene.lab.bind(&eip, "web").unwrap();
    let shows = |what: &str| format!("document.querySelector('tbody').innerText.includes('{what}')");
    scene.browser.wait("the EIP in the row", &shows(&eip.address.to_string())).unwrap();
    let focused = format!("document.activeElement.matches(\"{link}\")");
    assert_eq!(scene.browser.evaluate(&focused).unwrap(), true, "who is in the row by keyboard stays there");
    scene.lab.instance("database", B).unwrap();
    scene.browser.wait("one row more", &shows("database")).unwrap();
    scene.browser.wait("a plot of it", "document.querySelectorAll('.plot .in').length === 2").unwrap();
    scene.browser.click("[data-instance] a[href^='/do/unbind']").unwrap();
    scene.browser.wait_for("dialog #reallocate").unwrap();
    assert_eq!(scene.browser.evaluate("window.same").unwrap(), true, "all on one page");
    scene.finish();
}
