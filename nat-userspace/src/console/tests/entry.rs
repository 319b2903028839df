//! Coming in, and who may not.

use super::*;

#[tokio::test]
async fn a_stranger_is_led_to_the_form_and_shown_nothing() {
    during(async |visit| {
        let client = visit.client();
        for place in ["/", "/instances", "/addresses", "/instances/ins-web", "/do/allocate", "/live?of=8.8.8.0", "/x"] {
            let reply = client.get(place).await;
            assert_eq!(reply.status, 303, "{place}");
            assert!(reply.header("location").unwrap().starts_with("/login"), "{place}");
            assert!(reply.body.is_empty(), "{place}");
        }
        let back = client.get("/addresses?kind=ordinary").await;
        assert_eq!(back.header("location"), Some("/login?back=%2Faddresses%3Fkind%3Dordinary"));
        let form = client.get(back.header("location").unwrap()).await;
        assert_eq!((form.status, form.hidden("back").as_str()), (200, "/addresses?kind=ordinary"));
        for place in ["/style.css", "/script.js", "/icon.svg"] {
            assert_eq!(client.get(place).await.status, 200, "{place}");
        }
        let form = client.post("/do/allocate", &[("bandwidth", "1")]).await;
        assert_eq!((form.status, form.header("location")), (303, Some("/login")), "nobody comes back to what was sent");
        assert_eq!(visit.eips().await, 2);
    })
    .await;
}

#[tokio::test]
async fn every_answer_carries_the_policy() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        let form = [("csrf", "wrong")];
        let replies = [
            client.get("/instances").await,
            client.get("/nowhere").await,
            client.get("/style.css").await,
            client.get("/live").await,
            client.get("/").await,
            client.post("/logout", &form).await,
            visit.client().get("/login").await,
            client.post("/instances", &[("x", "x".repeat(20_000).as_str())]).await,
        ];
        for reply in replies {
            let policy = reply.header("content-security-policy").unwrap();
            for rule in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "form-action 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            ] {
                assert!(policy.split("; ").any(|own| own == rule), "{policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(reply.header("x-frame-options"), Some("DENY"));
            assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
            for inline in ["<script>", " style=\"", " onclick=", "javascript:"] {
                assert!(!reply.body.contains(inline), "{inline}");
            }
        }
        assert_eq!(client.get("/instances").await.header("cache-control"), Some("no-store"));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_key_does_not_open_and_is_not_tried_for_long() {
    during(async |visit| {
        let client = visit.client();
        let mut seen = Vec::new();
        for attempt in 0..12 {
            let (id, key) = if attempt % 2 == 0 { ("AKIDwriter", "wrong") } else { ("AKIDnobody", KEY) };
            let reply = client.post("/login", &[("secret_id", id), ("secret_key", key)]).await;
            assert!(reply.header("set-cookie").is_none());
            assert!(!reply.body.contains("wrong\""), "the key is not shown again");
            assert!(reply.body.contains(&format!("value=\"{id}\"")), "the id is: {}", reply.body);
            seen.push((reply.status, reply.header("retry-after").is_some()));
        }
        assert_eq!(seen[..10], [(403, false); 10], "no matter what was wrong");
        assert_eq!(seen[10..], [(429, true); 2]);
        let right = client.post("/login", &[("secret_id", "AKIDwriter"), ("secret_key", KEY)]).await;
        assert_eq!(right.status, 429, "nor the right one, or it could be told from the others");
    })
    .await;
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_and_ends_with_the_session() {
    during(async |visit| {
        let client = visit.client();
        let fields = [("secret_id", "AKIDwriter"), ("secret_key", KEY), ("back", "//evil.example")];
        let reply = client.post("/login", &fields).await;
        assert_eq!(reply.header("location"), Some("/"), "nothing leads away");
        let cookie = reply.cookie();
        assert!(cookie.starts_with("eipgate=") && !cookie.contains("Max-Age"), "{cookie}");
        for rule in ["HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.split("; ").any(|own| own == rule), "{cookie}");
        }

        let client = visit.enter("AKIDwriter").await;
        let page = client.get("/instances").await;
        assert_eq!(page.status, 200);
        assert_eq!(client.post("/logout", &[]).await.status, 403, "not without the token");
        let reply = client.post("/logout", &[("csrf", page.hidden("csrf").as_str())]).await;
        assert_eq!((reply.status, reply.header("location")), (303, Some("/login?said=out")));
        assert!(reply.cookie().contains("Max-Age=0"), "{}", reply.cookie());
        assert_eq!(reply.header("clear-site-data"), Some("\"cache\", \"storage\""));
        let over = client.get("/instances").await;
        assert_eq!(over.header("location"), Some("/login?said=over&back=%2Finstances"));
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_gets_nowhere() {
    during(async |visit| {
        let mut client = visit.enter("AKIDwriter").await;
        let csrf = client.get("/instances").await.hidden("csrf");
        let fields = [("csrf", csrf.as_str()), ("bandwidth", "1")];
        for strange in ["Origin: http://evil.example\r\n", "Origin: null\r\n"] {
            client.more = strange.into();
            assert_eq!(client.post("/do/allocate", &fields).await.status, 403, "{strange}");
            assert_eq!(client.post("/login", &[("secret_id", "AKIDwriter"), ("secret_key", KEY)]).await.status, 403);
        }
        // Under a name that leads here but is not ours, even reading is refused.
        client.more = "Host: evil.example\r\nOrigin: http://evil.example\r\n".into();
        assert_eq!(client.get("/instances").await.status, 403);
        assert_eq!(client.post("/do/allocate", &fields).await.status, 403);
        client.more = "Host: console.example\r\nOrigin: http://console.example\r\n".into();
        assert_eq!(client.get("/instances").await.status, 200);
        client.more.clear();
        for wrong in ["", "wrong", &csrf[1..]] {
            assert_eq!(client.post("/do/allocate", &[("csrf", wrong), ("bandwidth", "1")]).await.status, 403);
        }
        assert_eq!(visit.eips().await, 2);
        assert_eq!(client.post("/do/allocate", &fields).await.status, 303, "and from here it is done");
        assert_eq!(visit.eips().await, 3);
    })
    .await;
}

#[tokio::test]
async fn the_language_is_what_was_chosen_or_what_the_browser_prefers() {
    during(async |visit| {
        let mut client = visit.client();
        assert!(client.get("/login").await.body.contains("<html lang=\"en\">"));
        client.more = "Accept-Language: zh-CN,zh;q=0.9,en;q=0.5\r\n".into();
        let page = client.get("/login").await.body;
        assert!(page.contains("<html lang=\"zh-CN\">") && page.contains("登录"), "{page}");
        let chosen = client.get("/language?to=en&back=%2Flogin").await;
        assert_eq!((chosen.status, chosen.header("location")), (303, Some("/login")));
        assert_eq!(client.get("/language?to=en&back=https%3A%2F%2Fevil.example").await.header("location"), Some("/"));
        client.cookie = chosen.cookie().split(';').next().unwrap().to_owned();
        assert!(client.get("/login").await.body.contains("<html lang=\"en\">"));
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_the_head_only_is_told_what_the_whole_would_be() {
    during(async |visit| {
        let client = visit.enter("AKIDwriter").await;
        for place in ["/style.css", "/nowhere"] {
            let (whole, head) = (client.get(place).await, client.ask("HEAD", place, "").await);
            assert_eq!((head.status, head.body.as_str()), (whole.status, ""), "{place}");
            assert_eq!(head.header("content-length"), whole.header("content-length"), "{place}");
        }
    })
    .await;
}
