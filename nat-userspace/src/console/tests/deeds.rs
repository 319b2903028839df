//! What is seen and done.

use super::*;

#[tokio::test]
async fn an_account_sees_its_own_and_nothing_else() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        let page = client.get("/instances").await.body;
        for own in ["ins-web", "ins-spare", "10.0.0.1", "8.8.8.0", "(public)", "(private)", "5 Mbit/s", "2 instances"] {
            assert!(page.contains(own), "{own}: {page}");
        }
        assert!(!page.contains("ins-other") && !page.contains("10.0.0.3"), "{page}");
        let page = client.get("/addresses").await.body;
        assert!(page.contains("eip-one") && page.contains("1 of 20 EIPs") && !page.contains("eip-other"), "{page}");
        let page = client.get("/addresses?kind=ordinary").await.body;
        assert!(page.contains("8.8.8.0") && !page.contains("8.8.8.1"), "{page}");
        for place in ["/instances/ins-other", "/addresses/eip-other", "/addresses/8.8.8.1", "/instances/x"] {
            assert_eq!(client.get(place).await.status, 404, "{place}");
        }
        for search in ["ins-other", "other", "10.0.0.3", "8.8.8.1"] {
            let page = client.get(&format!("/instances?q={search}")).await.body;
            assert!(page.contains("Nothing matches") && !page.contains("href=\"/instances/ins-other"), "{search}");
        }
        let live = client.get("/live?of=8.8.8.0&of=8.8.8.1&of=8.8.8.2&of=x").await;
        let live: serde_json::Value = serde_json::from_str(&live.body).unwrap();
        // Neither another's, nor an EIP that serves nothing.
        assert_eq!(live["rows"].as_object().unwrap().keys().collect::<Vec<_>>(), ["8.8.8.0"]);
        // Another's is refused like what is not there.
        let sentence =
            |reply: Reply| reply.body.split_once("lang=\"en\">").unwrap().1.split_once("</span>").unwrap().0.to_owned();
        let fields = |instance| [("of", "eip"), ("eip", "eip-one"), ("instance", instance)];
        let others = sentence(client.act("bind", "eip=eip-one", &fields("ins-other")).await);
        let nobodys = sentence(client.act("bind", "eip=eip-one", &fields("ins-nobody")).await);
        assert_eq!(others.replace("ins-other", "ins-nobody"), nobodys);
    })
    .await;
}

#[tokio::test]
async fn an_address_lives_its_life() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        let allocate = [("token", "t-1"), ("bandwidth", "7"), ("name", "<b>new</b>"), ("back", "/addresses")];
        let said = client.done("allocate", "back=/addresses", &allocate).await;
        assert!(said.starts_with("8.8.8.") && said.ends_with(" is yours."), "{said}");
        assert_eq!(client.done("allocate", "back=/addresses", &allocate).await, said, "sent twice, it is one");
        assert_eq!(visit.eips().await, 3);
        let page = client.get("/addresses").await.body;
        assert!(page.contains("&lt;b&gt;new&lt;/b&gt;") && !page.contains("<b>new"), "{page}");

        let bind = [("of", "eip"), ("eip", "eip-one"), ("instance", "web")];
        let said = client.done("bind", "eip=eip-one", &bind).await;
        assert_eq!(said, "8.8.8.2 serves web now; its ordinary public IP 8.8.8.0 went back to the pool.");
        assert_eq!(visit.public_of("ins-web").await, Some([8, 8, 8, 2].into()));

        // Refused in the gateway's own words, with what was typed still there.
        let again = client.act("bind", "eip=eip-one", &bind).await;
        assert_eq!(again.status, 409);
        assert!(
            again.body.contains("Not done:")
                && again.body.contains("EIP eip-one is already bound to this same instance ins-web"),
            "{}",
            again.body
        );
        assert_eq!(again.hidden("eip"), "eip-one");
        let release = client.act("release", "eip=eip-one", &[("eip", "eip-one")]).await;
        assert_eq!(release.status, 409);

        let said = client.done("unbind", "eip=eip-one", &[("eip", "eip-one"), ("reallocate", "yes")]).await;
        assert!(said.starts_with("8.8.8.2 is unbound; web has the new ordinary public IP 8.8.8."), "{said}");
        let new = visit.public_of("ins-web").await.unwrap();
        assert_ne!(new, Ipv4Addr::from([8, 8, 8, 0]));
        let said = client.done("convert", "instance=ins-web", &[("instance", "ins-web"), ("name", "kept")]).await;
        assert!(said.starts_with(&format!("{new} is EIP eip-")), "{said}");
        assert_eq!(visit.public_of("ins-web").await, Some(new));
        let said = client.done("unbind", &format!("eip={new}"), &[("eip", &new.to_string())]).await;
        assert_eq!(said, format!("{new} is unbound; web has no public IP now."));
        let said = client
            .done(
                "bandwidth",
                "eip=eip-one",
                &[("of", "eip"), ("eip", "eip-one"), ("bandwidth", "9"), ("charge", "BANDWIDTH_POSTPAID_BY_HOUR")],
            )
            .await;
        assert_eq!(said, "8.8.8.2 is saved.");
        let said = client.done("rename", "eip=eip-one", &[("eip", "eip-one"), ("name", "front")]).await;
        assert_eq!(said, "8.8.8.2 is saved.");
        let said = client
            .done("rename", "instance=ins-web", &[("of", "instance"), ("instance", "ins-web"), ("name", "shop")])
            .await;
        assert_eq!(said, "shop is saved.");
        assert!(client.get("/instances?q=sho").await.body.contains("data-instance=\"ins-web\""));
        let page = client.get("/addresses/eip-one").await.body;
        for now in ["9 Mbit/s", "By bandwidth, hourly", "front", "Not bound"] {
            assert!(page.contains(now), "{now}: {page}");
        }
        let log = client.get("/addresses/eip-one?tab=log").await.body;
        for event in ["EIP allocated", "EIP bound", "EIP unbound", "EIP&#39;s terms changed"] {
            assert!(log.contains(event) || log.contains(&event.replace("&#39;", "'")), "{event}: {log}");
        }
        let said = client.done("release", "eip=eip-one", &[("eip", "eip-one"), ("back", "/addresses")]).await;
        assert!(said.starts_with("8.8.8.2 is released and rests until 2026-11-20T"), "{said}");
        let log = client.get("/instances/ins-web?tab=log").await.body;
        assert!(log.contains("Ordinary public IP converted to EIP"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_form_that_says_too_little_is_shown_again() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        for (deed, of, fields) in [
            ("allocate", "", &[("bandwidth", "many")][..]),
            ("allocate", "", &[("bandwidth", "")]),
            ("allocate", "", &[("bandwidth", "1"), ("charge", "FREE")]),
            ("allocate", "", &[("bandwidth", "1"), ("charge", "package:bwp-nobody")]),
            ("allocate", "", &[("bandwidth", "0")]),
            ("bind", "eip=eip-one", &[("of", "eip"), ("eip", "eip-one")]),
            ("rename", "eip=eip-one", &[("eip", "eip-one"), ("name", "")]),
            ("convert", "instance=ins-spare", &[("instance", "ins-spare")]),
            ("unbind", "eip=eip-one", &[("eip", "eip-one")]),
        ] {
            let reply = client.act(deed, of, fields).await;
            assert_eq!(reply.status, 409, "{deed} {fields:?}");
            assert!(reply.body.contains("role=\"alert\""), "{deed}: {}", reply.body);
        }
        assert_eq!(visit.eips().await, 2);
        // In a dialog the same is no error of the browser's.
        let mut script = visit.enter("AKIDwriter").await;
        script.more = "X-Fragment: 1\r\n".into();
        let reply = script.act("allocate", "", &[("bandwidth", "many")]).await;
        assert!(reply.status == 200 && !reply.body.contains("<html"), "{}", reply.body);
        let reply = script.act("allocate", "", &[("bandwidth", "3"), ("back", "/addresses")]).await;
        assert_eq!((reply.status, reply.header("x-go-to")), (204, Some("/addresses")));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_agreed_on_is_refused_here_too() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        let (eip, web) = ([("of", "eip"), ("eip", "eip-one")], [("of", "instance"), ("instance", "ins-web")]);
        let by_hour = ("charge", "BANDWIDTH_POSTPAID_BY_HOUR");
        let (much, less) = (("bandwidth", "101"), ("bandwidth", "100"));
        let of =
            |whose: [(&'static str, &'static str); 2], more: &[(&'static str, &'static str)]| [&whose, more].concat();
        for (deed, place, fields, sentence) in [
            ("allocate", "", vec![much], "more than the 100 that there can be"),
            ("allocate", "", vec![less, ("charge", "BANDWIDTH_PACKAGE")], "shares a package"),
            ("bandwidth", "eip=eip-one", of(eip, &[much]), "more than the 100 that there can be"),
            ("bandwidth", "eip=eip-one", of(eip, &[much, by_hour]), "more than the 100 that there can be"),
            ("bandwidth", "eip=eip-one", of(eip, &[less, ("charge", "BANDWIDTH_PACKAGE")]), "shares a package"),
            ("bandwidth", "instance=ins-web", of(web, &[much]), "more than the 100 that there can be"),
        ] {
            let reply = client.act(deed, place, &fields).await;
            assert!(reply.status == 409 && reply.body.contains(sentence), "{deed} {fields:?}: {}", reply.body);
        }
        assert_eq!(visit.eips().await, 2);
        for charge in ["BANDWIDTH_POSTPAID_BY_HOUR", "TRAFFIC_POSTPAID_BY_HOUR"] {
            client.done("bandwidth", "eip=eip-one", &of(eip, &[less, ("charge", charge)])).await;
        }
        let reply = client.act("bandwidth", "eip=eip-one", &of(eip, &[less, by_hour])).await;
        assert!(reply.status == 409 && reply.body.contains("was changed 2 times"), "{}", reply.body);
        let page = client.get("/addresses/eip-one").await.body;
        assert!(page.contains("100 Mbit/s") && page.contains("By traffic"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    during(async |visit| {
        let client = visit.enter("AKIDreader").await;
        let page = client.get("/addresses").await;
        assert!(page.body.contains("eip-one") && page.body.contains("Read-only") && !page.body.contains("/do/"));
        let csrf = page.hidden("csrf");
        for (deed, fields) in [
            ("allocate", [("bandwidth", "1"), ("x", "")]),
            ("bind", [("eip", "eip-one"), ("instance", "ins-web")]),
            ("release", [("eip", "eip-one"), ("x", "")]),
            ("rename", [("eip", "eip-one"), ("name", "x")]),
        ] {
            assert_eq!(client.get(&format!("/do/{deed}?eip=eip-one")).await.status, 403);
            let fields = [&[("csrf", csrf.as_str())], &fields[..]].concat();
            let reply = client.post(&format!("/do/{deed}"), &fields).await;
            assert_eq!(reply.status, 403, "{deed}");
            assert!(reply.body.contains("A read-only credential cannot change anything."), "{}", reply.body);
        }
        assert_eq!(visit.eips().await, 2);
        assert_eq!(visit.public_of("ins-web").await, Some([8, 8, 8, 0].into()));
    })
    .await;
}

#[tokio::test]
async fn every_tab_says_what_is_known() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        let tab = async |name: &str| client.get(&format!("/instances/ins-web?tab={name}")).await.body;
        assert!(tab("parameters").await.contains("vpc-default"));
        assert!(tab("monitoring").await.contains("data-live=\"8.8.8.0\""));
        let health = tab("health").await;
        assert!(health.contains("sends the instance no probes"), "{health}");
        // The recording says that the program is not on the downlink.
        assert!(health.contains("Packet program is on the downlink of VPC vpc-default"), "{health}");
        assert!(tab("security").await.contains("no security groups"));
        assert!(tab("log").await.contains("Ordinary public IP assigned"));
        let without = client.get("/instances/ins-spare?tab=monitoring").await.body;
        assert!(without.contains("nothing to measure"), "{without}");
    })
    .await;
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    during(async |visit| {
        for number in 10..60_u8 {
            let id = format!("ins-x{number}").parse().unwrap();
            let (account, vpc) = ("acme".parse().unwrap(), "vpc-default".parse().unwrap());
            let new = NewInstance::new(id, account, vpc, [10, 0, 1, number].into());
            visit.perform(Command::CreateInstance(new)).await;
        }
        let client = visit.enter("AKIDwriter").await;
        let (mut place, mut seen) = ("/instances".to_owned(), std::collections::BTreeSet::new());
        for page in 0..3 {
            let body = client.get(&place).await.body;
            let ids = body.split("data-instance=\"").skip(1).map(|rest| rest.split_once('"').unwrap().0.to_owned());
            seen.extend(ids);
            let next = body.split_once("rel=\"next\" href=\"").map(|(_, rest)| rest.split_once('"').unwrap().0);
            assert_eq!(next.is_some(), page < 2);
            place = next.unwrap_or_default().to_owned();
        }
        assert_eq!(seen.len(), 52);
        let body = client.get("/instances?show=none").await.body;
        assert_eq!(body.matches("data-instance=").count(), 20);
        assert!(!body.contains("data-instance=\"ins-web\""));
        let choices = client.get("/choices?q=10.0.1.1").await.body;
        let choices: serde_json::Value = serde_json::from_str(&choices).unwrap();
        assert_eq!(choices.as_array().unwrap().len(), 10, "{choices}");
        for nonsense in ["/instances?from=99999999999999999999", "/instances?from=1000", "/instances?show=x&q=%00%ff"] {
            assert_eq!(client.get(nonsense).await.status, 200, "{nonsense}");
        }
    })
    .await;
}
