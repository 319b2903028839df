//! A request as the pages want it.

use std::net::{IpAddr, SocketAddr};

use hyper::body::Bytes;
use hyper::header::{COOKIE, HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Uri};

/// Fields of one query or form that are looked at.
const FIELDS: usize = 256;

/// What was asked.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) query: Fields,
    /// What a form says; empty where there is none.
    pub(super) form: Fields,
    pub(super) from: IpAddr,
}

impl Asked {
    pub(super) fn new(parts: Parts, body: &Bytes, from: IpAddr) -> Asked {
        let Parts { method, uri, headers, .. } = parts;
        let query = Fields::read(uri.query().unwrap_or_default().as_bytes());
        Asked { method, query, form: Fields::read(body), uri, headers, from }
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Path and query, to come back to.
    pub(super) fn place(&self) -> &str {
        self.uri.path_and_query().map_or("/", |place| place.as_str())
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The host as asked for, with its port.
    pub(super) fn host(&self) -> Option<&str> {
        self.uri.authority().map(|authority| authority.as_str()).or_else(|| self.header(&HOST))
    }

    /// The value of a cookie.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Whether the script asks for a dialog, and not the browser for a page.
    pub(super) fn wants_fragment(&self) -> bool {
        self.headers.contains_key("x-fragment")
    }

    /// Whether the script asks without anybody's doing.
    pub(super) fn is_background(&self) -> bool {
        self.headers.contains_key("x-background")
    }

    /// Whether it was sent by a page of this very place. Browsers say where a form comes from and no page can lie
    /// about it; whoever does not say is no browser with a session.
    pub(super) fn is_from_here(&self, scheme: &str) -> bool {
        let own = self.host().map(|host| format!("{scheme}://{host}"));
        match (self.header(&ORIGIN), own) {
            (Some(origin), Some(own)) => origin.eq_ignore_ascii_case(&own),
            _ => false,
        }
    }
}

/// Whether a page may be served under this host name. An attacker's own name can be made to lead here, so only names that
/// are known to be ours will do; an address or `localhost` is nobody's to give away.
pub(super) fn is_own_host(host: &str, names: &[String]) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bracketed.is_some_and(|address| address.parse::<IpAddr>().is_ok()) {
        return true;
    }
    let own = |known: &str| name.trim_end_matches('.').eq_ignore_ascii_case(known);
    own("localhost") || names.iter().any(|known| own(known))
}

/// Names with values, as in a query or a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn read(text: &[u8]) -> Fields {
        let pairs = form_urlencoded::parse(text).take(FIELDS);
        Fields(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The same, leading back to a place of these pages whatever they said.
    pub(super) fn with_local_back(&self) -> Fields {
        let back = |(name, value): &(String, String)| {
            let value = if name == "back" { local(value) } else { value.as_str() };
            (name.clone(), value.to_owned())
        };
        Fields(self.0.iter().map(back).collect())
    }

    /// The first value of that name, without the blanks around it; `None` where there is none or it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name)?.1.trim();
        (!found.is_empty()).then_some(found)
    }

    /// Every value of that name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// A place of these pages, where the text is one: what leads elsewhere is not followed.
pub(super) fn local(place: &str) -> &str {
    let leads_here =
        place.starts_with('/') && !place.starts_with("//") && place.bytes().all(|byte| byte.is_ascii_graphic());
    if leads_here && !place.contains('\\') { place } else { "/" }
}

/// A path with a query made of the fields that have a value.
pub(super) fn link(path: &str, fields: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_else_gave_this_address_is_refused() {
        let names = ["console.example".to_owned()];
        for own in [
            "127.0.0.1:8443",
            "127.0.0.1",
            "[::1]:80",
            "[::1]",
            "localhost",
            "LOCALHOST:1",
            "console.example:443",
            "console.example.",
        ] {
            assert!(is_own_host(own, &names), "{own}");
        }
        for strange in ["evil.example", "console.example.evil.example", "127.0.0.1.evil.example:80", "", ":80", "a b"] {
            assert!(!is_own_host(strange, &names), "{strange}");
        }
    }

    fn asked(build: impl FnOnce(hyper::http::request::Builder) -> hyper::http::request::Builder) -> Asked {
        let request = build(hyper::Request::builder()).body(()).unwrap();
        Asked::new(request.into_parts().0, &Bytes::from_static(b"a=1&b=%E4%B8%AD+x&a=2&c="), [127, 0, 0, 1].into())
    }

    #[test]
    fn a_form_must_come_from_here() {
        let from = |origin: &str| {
            asked(|b| b.method("POST").uri("/login").header("host", "127.0.0.1:80").header("origin", origin))
        };
        assert!(from("http://127.0.0.1:80").is_from_here("http"));
        for strange in ["http://127.0.0.1", "https://127.0.0.1:80", "http://evil.example", "null"] {
            assert!(!from(strange).is_from_here("http"), "{strange}");
        }
        assert!(!asked(|b| b.uri("/login").header("host", "127.0.0.1:80")).is_from_here("http"));
    }

    #[test]
    fn fields_and_cookies_are_read() {
        let asked = asked(|b| b.uri("/x?q=%20a%20&e=").header("cookie", "a=1; eipgate=abc").header("cookie", "l=zh"));
        assert_eq!((asked.query.get("q"), asked.query.get("e"), asked.query.get("z")), (Some("a"), None, None));
        assert_eq!((asked.form.get("b"), asked.form.get("c")), (Some("中 x"), None));
        assert_eq!(asked.form.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((asked.cookie("eipgate"), asked.cookie("l"), asked.cookie("m")), (Some("abc"), Some("zh"), None));
        assert_eq!(link("/p", &[("a", Some("1 &")), ("b", None)]), "/p?a=1+%26");
        assert_eq!(link("/p", &[]), "/p");
    }

    #[test]
    fn nothing_leads_away() {
        assert_eq!(local("/addresses?kind=eip"), "/addresses?kind=eip");
        for strange in ["//evil.example", "/\\evil.example", "https://evil.example", "", "evil", "/a\r\nb", "/ä"] {
            assert_eq!(local(strange), "/", "{strange}");
        }
    }
}
