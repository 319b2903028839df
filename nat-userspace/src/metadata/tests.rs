//! Questions and answers, of a gateway without a kernel.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use tokio::sync::{oneshot, watch};

use super::about::About;
use super::answer::{Desk, Door};
use super::document::{Surroundings, find};
use super::rate::Rate;
use super::token::Tokens;
use crate::address::{Command, Instance, InstanceDetail, NewEip, NewInstance, Time};
use crate::config::{Config, MetadataToken};
use crate::dataplane::Environment;
use crate::gateway::{Detached, Downlink, Handle, Opened, Outside};
use crate::http::{Body, Peer, Service as _};

const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const HIDDEN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 13);

fn config(state_dir: &Path) -> Config {
    Config {
        uplinks: vec!["eth0".parse().unwrap()],
        downlinks: vec!["eth1".parse().unwrap()],
        pools: vec!["8.8.8.0/29".parse().unwrap()],
        state_dir: state_dir.to_owned(),
        metadata: true,
        metadata_per_second: 0,
        ..Config::default()
    }
}

/// A door of a gateway with two instances, one of them without a public address.
struct Scene {
    door: Door,
    config: watch::Sender<Arc<Config>>,
    handle: Handle,
}

async fn during<R>(visit: impl AsyncFnOnce(Scene) -> R) -> R {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let outside = Outside::new(|| Time(1_795_174_980_000), || [7; 8]);
    let opened = Opened::new(&config, &Environment::default()).unwrap();
    let gateway = opened.take_over(Detached::default(), outside).await.unwrap();
    let (handle, jobs) = Handle::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(gateway.run(jobs, async { drop(stopped.await) }));
    for (id, private, bandwidth_mbps) in [("ins-web", WEB, 5), ("ins-hidden", HIDDEN, 0)] {
        let new =
            NewInstance::new(id.parse().unwrap(), "default".parse().unwrap(), "vpc-default".parse().unwrap(), private);
        let new = NewInstance { bandwidth_mbps, ..new };
        handle.ask(move |operations| operations.perform(Command::CreateInstance(new))).await.unwrap().unwrap();
    }
    let link = Downlink {
        vpc: "vpc-default".parse().unwrap(),
        interface: "eth1".into(),
        index: 3,
        networks: vec![([192, 168, 9, 1].into(), 24), ([10, 0, 0, 1].into(), 16)],
    };
    let (config, configuration) = watch::channel(Arc::new(config));
    let (_links, downlinks) = watch::channel(vec![link]);
    let tokens = Tokens::new([9; 32]);
    let desk = Desk { handle: handle.clone(), configuration, downlinks, tokens, rate: Rate::new() };
    let door = Door { desk: Arc::new(desk), vpc: "vpc-default".parse().unwrap(), index: 3 };
    let seen = visit(Scene { door, config, handle }).await;
    stop.send(()).unwrap();
    run.await.unwrap().unwrap();
    seen
}

impl Scene {
    /// The answer to a request with these headers, beside that of the host.
    async fn ask(&self, from: Ipv4Addr, method: &str, target: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
        let (status, body) = self.answer(from, method, target, headers).await;
        (status, String::from_utf8(body).unwrap())
    }

    async fn answer(
        &self,
        from: Ipv4Addr,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Vec<u8>) {
        let (head, body) = self.response(from, method, target, headers).await.into_parts();
        (head.status, body.collect().await.unwrap().to_bytes().into())
    }

    async fn response(&self, from: Ipv4Addr, method: &str, target: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let host = [("host", "metadata.tencentyun.com")];
        let host = &host[..if headers.iter().any(|(name, _)| *name == "host") { 0 } else { 1 }];
        let request = Request::builder().method(method).uri(target);
        let request = host.iter().chain(headers).fold(request, |request, (name, value)| request.header(*name, *value));
        let peer = Peer { address: (from, 4711).into(), local: ([169, 254, 0, 23], 80).into(), secure: false };
        self.door.answer(request.body(Bytes::new()).unwrap(), peer).await
    }

    async fn bytes(&self, from: Ipv4Addr, path: &str) -> Vec<u8> {
        self.answer(from, "GET", path, &[]).await.1
    }

    async fn get(&self, from: Ipv4Addr, path: &str) -> (StatusCode, String) {
        self.ask(from, "GET", path, &[]).await
    }

    fn set(&self, change: impl FnOnce(&mut Config)) {
        self.config.send_modify(|config| change(Arc::make_mut(config)));
    }
}

async fn about(scene: &Scene, private: Ipv4Addr) -> About {
    let asked = scene.handle.ask(move |gateway| About::of(gateway, &"vpc-default".parse().unwrap(), private));
    asked.await.unwrap().unwrap()
}

#[tokio::test]
async fn an_instance_is_told_what_is_known_of_it() {
    let told = "\
app-id = default
instance/image-id = img-00000000
instance/instance-type = S5.MEDIUM2
instance-id = ins-web
local-ipv4 = 10.0.0.11
mac = 52:54:0A:00:00:0B
network/interfaces/macs/52:54:0A:00:00:0B/local-ipv4s/10.0.0.11/gateway = 10.0.0.1
network/interfaces/macs/52:54:0A:00:00:0B/local-ipv4s/10.0.0.11/local-ipv4 = 10.0.0.11
network/interfaces/macs/52:54:0A:00:00:0B/local-ipv4s/10.0.0.11/public-ipv4 = 8.8.8.0
network/interfaces/macs/52:54:0A:00:00:0B/local-ipv4s/10.0.0.11/public-ipv4-mode = NAT
network/interfaces/macs/52:54:0A:00:00:0B/local-ipv4s/10.0.0.11/subnet-mask = 255.255.0.0
network/interfaces/macs/52:54:0A:00:00:0B/mac = 52:54:0A:00:00:0B
network/interfaces/macs/52:54:0A:00:00:0B/owner-id = default
network/interfaces/macs/52:54:0A:00:00:0B/primary-local-ipv4 = 10.0.0.11
network/interfaces/macs/52:54:0A:00:00:0B/public-ipv4s = 8.8.8.0
network/interfaces/macs/52:54:0A:00:00:0B/subnet-id = subnet-default
network/interfaces/macs/52:54:0A:00:00:0B/vpc-id = vpc-default
payment/charge-type = POSTPAID_BY_HOUR
payment/create-time = 2026-11-20 11:43:00
placement/region = ap-guangzhou
placement/zone = ap-guangzhou-1
public-ipv4 = 8.8.8.0
";
    during(async |scene| {
        for root in ["/meta-data/", "/1.0/meta-data/", "/2017-09-19/meta-data/", "/latest/meta-data/"] {
            let mut found = String::new();
            let mut left = vec![String::new()];
            while let Some(path) = left.pop() {
                let (status, text) = scene.get(WEB, &format!("{root}{path}")).await;
                assert_eq!(status, StatusCode::OK, "{root}{path}");
                if path.is_empty() || path.ends_with('/') {
                    left.extend(text.lines().rev().map(|name| format!("{path}{name}")));
                } else {
                    found += &format!("{path} = {text}\n");
                }
            }
            assert_eq!(found, told, "{root}");
        }
    })
    .await;
}

#[tokio::test]
async fn paths_are_exact_and_what_is_absent_is_not_found() {
    during(async |scene| {
        let listing = "app-id\ninstance/\ninstance-id\nlocal-ipv4\nmac\nnetwork/\npayment/\nplacement/\npublic-ipv4";
        for (path, text) in [
            ("/", "1.0\n2017-09-19\nlatest\nmeta-data"),
            ("/latest", "meta-data/"),
            ("/latest/", "meta-data/"),
            ("/meta-data", listing),
            ("/latest/meta-data", listing),
            ("/meta-data/instance/", "image-id\ninstance-type"),
            ("/meta-data/placement", "region\nzone"),
            ("/meta-data/placement/", "region\nzone"),
            ("/meta-data/network/interfaces/macs/", "52:54:0A:00:00:0B/"),
            ("/meta-data/instance-id?x=1", "ins-web"),
        ] {
            assert_eq!(scene.get(WEB, path).await, (StatusCode::OK, text.to_owned()), "{path}");
        }
        for path in [
            "/Meta-Data/",
            "/meta-data/Instance-Id",
            "/meta-data/instance-id/",
            "/meta-data/instance-id/more",
            "/meta-data//instance-id",
            "//meta-data/instance-id",
            "/meta-data/placement/../instance-id",
            "/meta-data/%69nstance-id",
            "/latest/1.0/meta-data/",
            "/2.0/meta-data/",
            "/user-data",
            "/latest/user-data",
            "/meta-data/instance-name",
            "/meta-data/uuid",
            "/meta-data/instance/security-group",
            "/meta-data/spot/termination-time",
            "/meta-data/cam/security-credentials/role",
            "/meta-data/payment/termination-time",
            "/latest/api/token",
        ] {
            assert_eq!(scene.get(WEB, path).await, (StatusCode::NOT_FOUND, "not found\n".into()), "{path}");
        }
        let hidden = scene.get(HIDDEN, "/meta-data/").await.1;
        assert_eq!(hidden, listing.replace("\npublic-ipv4", ""));
        assert_eq!(scene.get(HIDDEN, "/meta-data/public-ipv4").await.0, StatusCode::NOT_FOUND);
        // Whoever is no instance.
        assert_eq!(scene.get(Ipv4Addr::new(10, 0, 0, 99), "/").await.0, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn an_instance_is_told_what_its_owner_said_of_it() {
    const TOLD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 14);
    const CARD: &str = "network/interfaces/macs/52:54:0A:00:00:0E";
    let said = InstanceDetail {
        zone: Some("ap-guangzhou-6".into()),
        image: Some("img-1".into()),
        instance_type: Some("S5.SMALL1".into()),
        subnet: Some("subnet-1".into()),
        security_groups: vec!["sg-1".into(), "sg-2".into()],
        uuid: Some("cfac763a-7094-446b-a8a9-b995e638471a".into()),
        user_data: Some("IyEvYmluL3NoCgD/".into()),
        ..InstanceDetail::default()
    };
    let new =
        NewInstance::new("ins-told".parse().unwrap(), "default".parse().unwrap(), "vpc-default".parse().unwrap(), TOLD);
    let new = NewInstance { detail: Some(Box::new(said)), ..new };
    during(async |scene| {
        let create = Command::CreateInstance(new.clone());
        scene.handle.ask(move |operations| operations.perform(create)).await.unwrap().unwrap();
        let subnet = format!("/meta-data/{CARD}/subnet-id");
        for (path, text) in [
            ("/meta-data/placement/zone", "ap-guangzhou-6"),
            ("/meta-data/instance/image-id", "img-1"),
            ("/meta-data/instance/instance-type", "S5.SMALL1"),
            ("/meta-data/instance/security-group", "sg-1\nsg-2"),
            ("/meta-data/instance/", "image-id\ninstance-type\nsecurity-group"),
            ("/meta-data/uuid", "cfac763a-7094-446b-a8a9-b995e638471a"),
            (&subnet, "subnet-1"),
            ("/", "1.0\n2017-09-19\nlatest\nmeta-data\nuser-data"),
            ("/latest/", "meta-data/\nuser-data"),
            ("/1.0", "meta-data/\nuser-data"),
        ] {
            assert_eq!(scene.get(TOLD, path).await, (StatusCode::OK, text.to_owned()), "{path}");
        }
        for path in ["/user-data", "/1.0/user-data", "/2017-09-19/user-data", "/latest/user-data"] {
            assert_eq!(scene.bytes(TOLD, path).await, b"#!/bin/sh\n\0\xff", "{path}");
        }
        for path in ["/user-data/", "/latest/meta-data/user-data"] {
            assert_eq!(scene.get(TOLD, path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        // What is another's is not told.
        assert_eq!(scene.get(WEB, "/user-data").await.0, StatusCode::NOT_FOUND);
    })
    .await;
}

#[tokio::test]
async fn user_data_that_nobody_looked_at_is_not_told() {
    let about = during(async |scene| about(&scene, WEB).await).await;
    let detail = InstanceDetail { user_data: Some("not base64!".into()), ..InstanceDetail::default() };
    let instance = Instance { detail: Some(Box::new(detail)), ..about.instance.clone() };
    let around = Surroundings { region: "r".into(), zone: "z".into(), networks: vec![] };
    let of = |path| find(&About { instance: instance.clone(), ..about.clone() }, &around, path);
    assert_eq!(of("/latest/user-data"), None);
    assert_eq!(of("/latest/").unwrap(), b"meta-data/");
}

#[tokio::test]
async fn the_public_address_is_that_of_the_moment() {
    during(async |scene| {
        let eip = NewEip::new("eip-1".parse().unwrap(), "default".parse().unwrap());
        let allocate = move |gateway: &mut dyn crate::gateway::Operations| {
            gateway.perform(Command::AllocateEip(eip)).unwrap();
            let (account, eip) = ("default".parse().unwrap(), "eip-1".parse().unwrap());
            let bind = Command::BindEip { account, eip, instance: "ins-hidden".parse().unwrap() };
            gateway.perform(bind).unwrap();
            gateway.ledger().eips().next().unwrap().address
        };
        let address = scene.handle.ask(allocate).await.unwrap();
        assert_eq!(scene.get(HIDDEN, "/meta-data/public-ipv4").await, (StatusCode::OK, address.to_string()));
    })
    .await;
}

#[tokio::test]
async fn only_questions_to_us_and_of_the_asker_itself_are_answered() {
    during(async |scene| {
        let ask = async |headers: &[(&str, &str)]| scene.ask(WEB, "GET", "/meta-data/instance-id", headers).await.0;
        for host in [
            "metadata.tencentyun.com",
            "Metadata.TencentYun.com.",
            "metadata.tencentyun.com:80",
            "169.254.0.23",
            "169.254.169.254:80",
        ] {
            assert_eq!(ask(&[("host", host)]).await, StatusCode::OK, "{host}");
        }
        for host in
            ["rebound.example", "10.0.0.1", "metadata.tencentyun.com:8080", "169.254.0.24", "", "a@169.254.0.23"]
        {
            assert_eq!(ask(&[("host", host)]).await, StatusCode::FORBIDDEN, "{host}");
        }
        let twice = [("host", "169.254.0.23"), ("host", "metadata.tencentyun.com")];
        assert_eq!(ask(&twice).await, StatusCode::BAD_REQUEST);
        for name in ["X-Forwarded-For", "forwarded", "via", "x-real-ip", "X-FORWARDED-HOST"] {
            assert_eq!(ask(&[(name, "10.0.0.13")]).await, StatusCode::FORBIDDEN, "{name}");
        }
        for (target, status) in [
            ("http://metadata.tencentyun.com/meta-data/instance-id", StatusCode::OK),
            ("http://elsewhere.example/meta-data/instance-id", StatusCode::FORBIDDEN),
        ] {
            assert_eq!(scene.ask(WEB, "GET", target, &[]).await.0, status);
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            assert_eq!(scene.ask(WEB, method, "/", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        }
        assert_eq!(scene.ask(WEB, "HEAD", "/meta-data/instance-id", &[]).await.0, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn with_tokens_required_nothing_is_told_without_one() {
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    const TOKEN: &str = "x-aws-ec2-metadata-token";
    during(async |scene| {
        let put = async |from, headers: &[(&str, &str)]| scene.ask(from, "PUT", "/latest/api/token", headers).await;
        let get = async |from, headers: &[(&str, &str)]| scene.ask(from, "GET", "/meta-data/", headers).await.0;
        let (status, token) = put(WEB, &[(TTL, "60")]).await;
        assert_eq!(status, StatusCode::OK);
        for life in ["0", "21601", "-1", "1.5", "soon", ""] {
            assert_eq!(put(WEB, &[(TTL, life)]).await.0, StatusCode::BAD_REQUEST, "{life}");
        }
        assert_eq!(put(WEB, &[]).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(put(WEB, &[(TTL, "60"), ("x-forwarded-for", "1.2.3.4")]).await.0, StatusCode::FORBIDDEN);
        // One that is sent must be right even where none is needed.
        let forged = format!("{:x}{}", (u8::from_str_radix(&token[..1], 16).unwrap() + 1) % 16, &token[1..]);
        let wrong = ["", "0", "token", &token[1..], &token[..16], &forged];
        for required in [MetadataToken::Optional, MetadataToken::Required] {
            scene.set(|config| config.metadata_token = required);
            assert_eq!(get(WEB, &[(TOKEN, &token)]).await, StatusCode::OK);
            assert_eq!(get(HIDDEN, &[(TOKEN, &token)]).await, StatusCode::UNAUTHORIZED, "of somebody else");
            for wrong in wrong {
                assert_eq!(get(WEB, &[(TOKEN, wrong)]).await, StatusCode::UNAUTHORIZED, "{wrong}");
            }
        }
        assert_eq!(get(WEB, &[]).await, StatusCode::UNAUTHORIZED);
    })
    .await;
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_instance_and_the_daemon() {
    let whose = during(async |scene| about(&scene, WEB).await.instance).await;
    let (tokens, now) = (Tokens::new([1; 32]), Instant::now());
    let token = tokens.issue(&whose, Duration::from_secs(60), now);
    assert!(tokens.is_good(&token, &whose, now));
    assert!(tokens.is_good(&token, &whose, now + Duration::from_secs(59)));
    assert!(!tokens.is_good(&token, &whose, now + Duration::from_secs(61)));
    assert!(!Tokens::new([2; 32]).is_good(&token, &whose, now), "of another daemon");
    let again = Instance { id: "ins-again".parse().unwrap(), ..whose.clone() };
    let elsewhere = Instance { vpc: "elsewhere".parse().unwrap(), ..whose.clone() };
    let moved = Instance { private: HIDDEN, ..whose };
    for other in [again, elsewhere, moved] {
        assert!(!tokens.is_good(&token, &other, now), "{other:?}");
    }
}

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    during(async |scene| {
        scene.set(|config| config.metadata_per_second = 3);
        let mut refused = 0;
        for _ in 0..20 {
            refused += usize::from(scene.get(WEB, "/").await.0 == StatusCode::TOO_MANY_REQUESTS);
        }
        assert!(refused > 0, "all of them were answered");
        assert_eq!(scene.get(HIDDEN, "/").await.0, StatusCode::OK);
    })
    .await;
}

#[tokio::test]
async fn the_same_address_on_another_downlink_has_questions_of_its_own() {
    during(async |scene| {
        scene.set(|config| config.metadata_per_second = 1);
        let door = Door { desk: Arc::clone(&scene.door.desk), vpc: "elsewhere".parse().unwrap(), index: 4 };
        let elsewhere = Scene { door, config: scene.config.clone(), handle: scene.handle.clone() };
        assert_eq!(scene.get(WEB, "/").await.0, StatusCode::OK);
        assert_eq!(scene.get(WEB, "/").await.0, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(elsewhere.get(WEB, "/").await.0, StatusCode::NOT_FOUND, "there it is no instance");
        assert_eq!(elsewhere.get(WEB, "/").await.0, StatusCode::TOO_MANY_REQUESTS);
    })
    .await;
}

#[tokio::test]
async fn nothing_that_is_told_is_kept_and_a_token_says_how_long_it_is_good() {
    const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
    during(async |scene| {
        let lasting = [(TTL, "60")];
        for (method, path, headers, status) in [
            ("GET", "/meta-data/public-ipv4", &[][..], StatusCode::OK),
            ("GET", "/meta-data/nothing", &[], StatusCode::NOT_FOUND),
            ("GET", "/", &[("host", "elsewhere.example")], StatusCode::FORBIDDEN),
            ("PUT", "/latest/api/token", &lasting, StatusCode::OK),
        ] {
            let response = scene.response(WEB, method, path, headers).await;
            assert_eq!(response.status(), status, "{method} {path}");
            assert_eq!(response.headers()["cache-control"], "no-store", "{method} {path}");
            let told = response.headers().get(TTL).map(|value| value.to_str().unwrap());
            assert_eq!(told, (method == "PUT").then_some("60"));
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_network_around_it_or_a_card_known_those_are_left_out() {
    let about = during(async |scene| about(&scene, WEB).await).await;
    let around = |networks: &[([u8; 4], u8)]| Surroundings {
        region: "r".into(),
        zone: "z".into(),
        networks: networks.iter().map(|(own, length)| (Ipv4Addr::from(*own), *length)).collect(),
    };
    let inside = "/meta-data/network/interfaces/macs/52:54:0A:00:00:0B/local-ipv4s/10.0.0.11/";
    let listed = |networks: &[([u8; 4], u8)]| String::from_utf8(find(&about, &around(networks), inside).unwrap());
    assert_eq!(listed(&[([10, 1, 0, 1], 16)]).unwrap(), "local-ipv4\npublic-ipv4\npublic-ipv4-mode");
    assert!(listed(&[([10, 1, 0, 1], 0)]).unwrap().contains("subnet-mask"));
    let unknown = About { mac: None, ..about };
    for path in ["/meta-data/mac", "/meta-data/network", "/meta-data/network/interfaces/macs/"] {
        assert_eq!(find(&unknown, &around(&[]), path), None, "{path}");
    }
}
