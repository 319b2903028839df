//! Who had which address when, asked of the daemon that was killed in between.

use lab::lab::{A, Lab};
use serde_json::Value;

/// What `history` says: address, instance's name, EIP or not, whether it lasts.
fn history(lab: &Lab, words: &[&str]) -> Vec<(String, Option<String>, bool, bool)> {
    let report = lab.daemon.json(&[&["history"], words].concat()).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let tenures = report["tenures"].as_array().unwrap().iter().map(|tenure| {
        let address = text(&tenure["address"]).unwrap();
        (address, text(&tenure["instance_name"]), !tenure["eip_id"].is_null(), tenure["until"].is_null())
    });
    tenures.collect()
}

/// Every event after a revision, one object a line.
fn events(lab: &Lab, since: u64) -> Vec<Value> {
    let told = lab.daemon.tell(&["events", "--since", &since.to_string(), "-o", "json"]).unwrap();
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_history_and_its_revisions_outlast_the_daemon() {
    let lab = Lab::serving().unwrap();
    let first = lab.instance("web", A).unwrap().to_string();
    let eip = lab.allocate().unwrap();
    lab.bind(&eip, "web").unwrap();
    let seen = events(&lab, 0);
    let kinds: Vec<&str> = seen.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["instance_created", "ordinary_assigned", "eip_allocated", "ordinary_released", "eip_bound"]);
    let bound_at = seen[4]["at"].as_str().unwrap().to_owned();

    lab.daemon.kill().unwrap();
    lab.daemon.restart().unwrap();
    lab.daemon.tell(&["instance", "terminate", "web"]).unwrap();
    // The name and the private address a second time, by another instance.
    let second = lab.instance("web", A).unwrap().to_string();
    let rest = events(&lab, 5);
    let revisions: Vec<u64> = rest.iter().map(|event| event["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (6..6 + revisions.len() as u64).collect::<Vec<_>>());

    let address = eip.address.to_string();
    let web = Some("web".to_owned());
    let had = |address: &str, eip, lasts| (address.to_owned(), web.clone(), eip, lasts);
    assert_eq!(
        history(&lab, &["web"]),
        [had(&first, false, false), had(&address, true, false), had(&second, false, true)]
    );
    assert_eq!(history(&lab, &[&address, "--at", &bound_at]), [had(&address, true, false)]);
    // Before and after that it was the account's, bound to nothing.
    let whole = history(&lab, &[&address]);
    assert_eq!(whole.iter().map(|tenure| tenure.1.is_some()).collect::<Vec<_>>(), [false, true, false]);
    lab.finish().unwrap();
}
