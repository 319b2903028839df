//! Requests that no client sends: heads and bodies that mean nothing, or two things.

use lab::caller::{Caller, signed, signed_with};
use lab::lab::edges::USER;

use super::{Siege, siege};

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// With this status and a close.
    Status(u16),
    /// In the envelope with this code, empty for success.
    Code(&'static str),
    /// Not at all.
    Cut,
}
use Fate::{Code, Cut, Status};

/// What becomes of a request, and of the connection afterwards: whether a second one would be answered.
fn fate(caller: &mut Caller) -> (String, bool) {
    let Some(answer) = caller.answer().unwrap() else { return ("Cut".into(), false) };
    let closes = answer.head.iter().any(|(name, value)| name == "connection" && value == "close");
    match answer.status {
        200 => (format!("Code({:?})", answer.code().unwrap()), !closes),
        status => (format!("Status({status})"), !closes),
    }
}

fn check(siege: &Siege, what: &str, request: &[u8], expected: Fate) {
    let mut caller = siege.caller();
    // The other end may close before all of it is sent.
    let _ = caller.send(request);
    let (found, _) = fate(&mut caller);
    assert_eq!(
        found,
        format!("{expected:?}"),
        "{what}: {:?}",
        String::from_utf8_lossy(&request[..request.len().min(300)])
    );
}

fn head(line: &str, headers: &[&str]) -> Vec<u8> {
    format!("{line}\r\n{}\r\n", headers.iter().map(|header| format!("{header}\r\n")).collect::<String>()).into_bytes()
}

#[test]
fn e12_heads_that_are_none_are_refused() {
    let siege = siege();
    let post = "POST / HTTP/1.1";
    let many: Vec<String> = (0..10_000).map(|number| format!("X-{number}: x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = format!("X-Long: {}", "x".repeat(1 << 20));
    let longer = format!("GET /?{} HTTP/1.1", "A=1&".repeat(20_000));
    let rows = [
        ("no protocol", head("hello", &[]), Status(400)),
        ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Cut),
        ("a TLS handshake", vec![0x16, 3, 1, 0, 0xa5, 1, 0, 0, 0xa1, 3, 3], Status(400)),
        ("a header of a megabyte", head(post, &["Host: x", &long]), Status(431)),
        ("ten thousand headers", head(post, &many), Status(431)),
        ("a query of 80 kB", head(&longer, &["Host: x"]), Status(431)),
        ("a carriage return in a header", head(post, &["Host: x", "X-A: a\rX-B: b"]), Status(400)),
        ("a zero byte in a header", head(post, &["Host: x", "X-A: a\0b"]), Status(400)),
        ("a name with a blank", head(post, &["Host : x"]), Status(400)),
        ("a line that goes on", head(post, &["X-A: a", " Host: x"]), Status(400)),
        ("no name", head(post, &[": x"]), Status(400)),
        ("two different lengths", head(post, &["Content-Length: 2", "Content-Length: 3"]), Status(400)),
        ("a length below nothing", head(post, &["Content-Length: -1"]), Status(400)),
        ("a length with a sign", head(post, &["Content-Length: +2"]), Status(400)),
        ("a length beyond counting", head(post, &["Content-Length: 99999999999999999999999"]), Status(400)),
        ("chunked, but not last", head(post, &["Transfer-Encoding: chunked, identity"]), Status(400)),
        ("another encoding", head(post, &["Transfer-Encoding: gzip"]), Status(400)),
        ("chunked in HTTP/1.0", head("POST / HTTP/1.0", &["Transfer-Encoding: chunked"]), Status(400)),
        ("a blank in the path", head("POST /a b HTTP/1.1", &["Host: x"]), Status(400)),
    ];
    siege.endured(|| {
        for (what, request, expected) in &rows {
            check(&siege, what, request, *expected);
        }
    });
}

#[test]
fn e12_what_can_be_read_two_ways_is_read_once() {
    let siege = siege();
    let inner = String::from_utf8(signed(USER, "DescribeRegions", b"{}")).unwrap();
    // Who goes by the length takes all of the second request for the first one's body; who goes by the chunks does not.
    let both = |first: &str, second: &str| {
        let body = format!("0\r\n\r\n{inner}");
        let head = head("POST / HTTP/1.1", &["Host: x", "Content-Type: application/json", first, second]);
        [head, body.into_bytes()].concat()
    };
    let length = format!("Content-Length: {}", inner.len() + 5);
    let chunked = "Transfer-Encoding: chunked";
    siege.endured(|| {
        for request in [both(&length, chunked), both(chunked, &length)] {
            let mut caller = siege.caller();
            caller.send(&request).unwrap();
            let (found, goes_on) = fate(&mut caller);
            assert!(!goes_on, "{found}");
            caller.end().unwrap();
        }
        // Chunks alone are a body like any other, signature and all, and end the connection.
        let body = b"{\"Limit\": 20}";
        let request = signed_with(USER, "DescribeAddresses", body, &[chunked]);
        let request = String::from_utf8(request)
            .unwrap()
            .replace("{\"Limit\": 20}", "1\r\n{\r\n0C;x=y\r\n\"Limit\": 20}\r\n0\r\nTrailer: x\r\n\r\n");
        let mut caller = siege.caller();
        caller.send(request.as_bytes()).unwrap();
        assert_eq!(fate(&mut caller), ("Code(\"\")".into(), false));
        caller.end().unwrap();
        for broken in ["zz\r\n{}\r\n0\r\n\r\n", "-1\r\n{}\r\n", "ffffffffffffffffff\r\n{}\r\n", "2\r\n{}x\r\n0\r\n\r\n"]
        {
            let request =
                [head("POST / HTTP/1.1", &["Host: x", "Content-Type: application/json", chunked]), broken.into()]
                    .concat();
            let mut caller = siege.caller();
            caller.send(&request).unwrap();
            let (found, goes_on) = fate(&mut caller);
            assert!(
                ["Code(\"InvalidRequest\")", "Status(400)", "Cut"].contains(&found.as_str()) && !goes_on,
                "{broken}: {found}"
            );
        }
        // One after the other without waiting: answered in their order.
        let mut caller = siege.caller();
        let other = signed(USER, "NoSuchAction", b"{}");
        caller.send(&[inner.as_bytes(), &other, inner.as_bytes()].concat()).unwrap();
        let found: Vec<String> = (0..3).map(|_| fate(&mut caller).0).collect();
        assert_eq!(found, ["Code(\"\")", "Code(\"InvalidAction\")", "Code(\"\")"]);
    });
}

#[test]
fn e12_there_is_one_place_and_two_methods() {
    let siege = siege();
    let at = |line: &str| head(line, &["Host: x", "Content-Length: 0"]);
    let rows = [
        ("another path", at("GET /etc/passwd HTTP/1.1"), Code("InvalidRequest")),
        ("a way up", at("GET /../../etc/passwd HTTP/1.1"), Code("InvalidRequest")),
        ("an encoded way up", at("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), Code("InvalidRequest")),
        ("a double slash", at("GET // HTTP/1.1"), Code("InvalidRequest")),
        ("an encoded slash", at("GET /%2f HTTP/1.1"), Code("InvalidRequest")),
        ("a zero byte", at("GET /%00 HTTP/1.1"), Code("InvalidRequest")),
        ("a path in another place", at("GET http://elsewhere/metrics HTTP/1.1"), Code("InvalidRequest")),
        ("a place alone", at("GET http://elsewhere/ HTTP/1.1"), Code("AuthFailure.InvalidAuthorization")),
        ("the star", at("OPTIONS * HTTP/1.1"), Code("InvalidRequest")),
        ("CONNECT", at("CONNECT elsewhere:443 HTTP/1.1"), Status(405)),
        ("PUT", at("PUT / HTTP/1.1"), Code("UnsupportedProtocol")),
        ("DELETE", at("DELETE / HTTP/1.1"), Code("UnsupportedProtocol")),
        ("TRACE", at("TRACE / HTTP/1.1"), Code("UnsupportedProtocol")),
        ("a method of our own", at("get / HTTP/1.1"), Code("UnsupportedProtocol")),
        ("HTTP/1.0", at("GET / HTTP/1.0"), Code("AuthFailure.InvalidAuthorization")),
        ("no kind of body", at("POST / HTTP/1.1"), Code("InvalidRequest")),
        ("two hosts", head("GET / HTTP/1.1", &["Host: x", "Host: y"]), Code("InvalidParameter")),
        ("a host that is not UTF-8", b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n".to_vec(), Code("InvalidParameter")),
    ];
    siege.endured(|| {
        for (what, request, expected) in &rows {
            check(&siege, what, request, *expected);
        }
    });
}

#[test]
fn e12_bodies_that_mean_nothing_are_refused() {
    let siege = siege();
    let of = |text: &str| signed(USER, "DescribeAddresses", text.as_bytes());
    let filters = |count: usize| {
        let filters = "{\"Name\":\"address-status\",\"Values\":[\"BIND\"]},".repeat(count);
        format!("{{\"Filters\":[{}]}}", filters.trim_end_matches(','))
    };
    let values = |count: usize| format!("{{\"AddressIds\":[{}]}}", vec!["\"eip-00000000\""; count].join(","));
    let deep = |depth: usize, opening: &str| format!("{{\"A\":{}", opening.repeat(depth));
    let rows = [
        ("nesting without end", of(&deep(200_000, "[")), Code("InvalidParameter")),
        ("objects without end", of(&deep(40_000, "{\"A\":")), Code("InvalidParameter")),
        ("a million filters", of(&filters(1_000_000)), Code("RequestSizeLimitExceeded")),
        ("as many as there is room for", of(&filters(5_000)), Code("InvalidParameterValue.LimitExceeded")),
        ("one filter too many", of(&filters(11)), Code("InvalidParameterValue.LimitExceeded")),
        ("ten thousand ids", of(&values(10_000)), Code("InvalidParameterValue.LimitExceeded")),
        ("a number beyond numbers", of("{\"Limit\":1e999}"), Code("InvalidParameter")),
        ("a large number", of("{\"Limit\":99999999999999999999}"), Code("InvalidParameter")),
        ("half a number", of("{\"Limit\":0.5}"), Code("InvalidParameter")),
        ("the lowest offset", of("{\"Offset\":-9223372036854775808}"), Code("InvalidParameterValue")),
        ("the highest offset", of("{\"Offset\":9223372036854775807}"), Code("")),
        ("a list", of("[]"), Code("InvalidParameter")),
        ("not a number", of("{\"Limit\":NaN}"), Code("InvalidParameter")),
        ("half a letter", of("{\"A\":\"\\ud800\"}"), Code("InvalidParameter")),
        ("something behind it", of("{} {}"), Code("InvalidParameter")),
        ("not UTF-8", signed(USER, "DescribeAddresses", b"{\"A\":\"\xff\xfe\"}"), Code("InvalidParameter")),
        ("a zero byte", of("{\"AddressIds\":[\"eip-\\u00000000\"]}"), Code("InvalidParameterValue.AddressIdMalformed")),
        // The last of the same name counts, as in all the languages that clients are written in.
        ("the same name twice", of("{\"Limit\":0,\"Limit\":20}"), Code("")),
        ("nothing", of(""), Code("")),
    ];
    siege.endured(|| {
        for (what, request, expected) in &rows {
            check(&siege, what, request, *expected);
        }
        // What it says comes back as data, in no header and in no line of the log of its own.
        let action = "X\\r\\nSet-Cookie: a=b";
        let mut caller = siege.caller();
        caller.send(&signed(USER, action, b"{\"A\":\"\\r\\nINFO forged\"}")).unwrap();
        let answer = caller.answer().unwrap().unwrap();
        assert_eq!(answer.code().unwrap(), "InvalidAction");
        assert!(answer.head.iter().all(|(name, _)| name != "set-cookie"));
        caller.send(&signed(USER, "AllocateAddresses", b"{\"AddressName\":\"a\\r\\nINFO forged\"}")).unwrap();
        assert_ne!(caller.answer().unwrap().unwrap().code().unwrap(), "");
        let log = siege.lab.daemon.log();
        assert!(!log.lines().any(|line| line.starts_with("INFO forged")), "{log}");
        // A body that ends early is not taken for a whole one.
        let request = of("{\"Limit\": 20}");
        let mut cut = siege.connect();
        std::io::Write::write_all(&mut cut, &request[..request.len() - 1]).unwrap();
        cut.shutdown(std::net::Shutdown::Write).unwrap();
        let mut said = String::new();
        let _ = std::io::Read::read_to_string(&mut cut, &mut said);
        assert!(!said.contains("AddressSet"), "{said}");
    });
}
