//! A request as it came, before anybody knows who sent it, and the call in it once that is known.

use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{HeaderMap, Method, Request};
use serde_json::Value;

use super::call::{Call, Language};
use super::error::ApiError;
use super::flatten;
use super::signature::{Signed, only};

/// What a form says beside the action's own parameters, and the header that says it with the signature of today.
const COMMON: [&str; 11] = [
    "Action",
    "Language",
    "Nonce",
    "Region",
    "RequestClient",
    "SecretId",
    "Signature",
    "SignatureMethod",
    "Timestamp",
    "Token",
    "Version",
];

/// A request as it came.
pub(super) struct Received<'a> {
    way: Way,
    pub(super) headers: &'a HeaderMap,
    /// As sent, whatever it looks like.
    pub(super) host: &'a str,
    pub(super) authorization: Option<&'a str>,
    query: &'a str,
    pub(super) body: &'a [u8],
    /// Of a query or form, decoded, in their order.
    pub(super) fields: Vec<(String, String)>,
}

/// Where the parameters are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Flattened in the query.
    Query,
    /// Flattened in the body.
    Form,
    /// In the body as JSON.
    Json,
}

impl<'a> Received<'a> {
    /// Refuses what no client of this API sends.
    pub(super) fn new(request: &'a Request<Bytes>) -> Result<Received<'a>, ApiError> {
        if request.uri().path() != "/" {
            return Err(ApiError::new("InvalidRequest", "the API is at / and nowhere else"));
        }
        let headers = request.headers();
        let host = match only(headers, HOST.as_str())? {
            Some(host) => host,
            None => request.uri().authority().map_or("", |authority| authority.as_str()),
        };
        let authorization = only(headers, AUTHORIZATION.as_str())?;
        let way = match *request.method() {
            Method::GET => Way::Query,
            Method::POST => kind_of_body(only(headers, CONTENT_TYPE.as_str())?)?,
            _ => return Err(ApiError::new("UnsupportedProtocol", "requests are made with GET or POST")),
        };
        let (query, body) = (request.uri().query().unwrap_or_default(), request.body().as_ref());
        let fields = match way {
            Way::Query => flatten::fields(query.as_bytes())?,
            Way::Form => flatten::fields(body)?,
            Way::Json => Vec::new(),
        };
        Ok(Received { way, headers, host, authorization, query, body, fields })
    }

    pub(super) fn method(&self) -> &'static str {
        if self.way == Way::Query { "GET" } else { "POST" }
    }

    /// The query as the signature of today covers it: as sent, and nothing where the parameters are in the body.
    pub(super) fn signed_query(&self) -> &'a str {
        if self.way == Way::Query { self.query } else { "" }
    }

    /// The only value of a header.
    pub(super) fn header(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        only(self.headers, name)
    }

    /// A field of the query or form.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// What the request says about itself: in a header with the signature of today, in a field with that of old.
    fn common(&self, header: &str, field: &str) -> Result<Option<&str>, ApiError> {
        let said = if self.authorization.is_some() { self.header(header)? } else { self.field(field) };
        Ok(said.filter(|text| !text.is_empty()))
    }

    /// The call in it.
    pub(super) fn call(&self, signed: &Signed<'_>, request_id: &str) -> Result<Call, ApiError> {
        if self.common("X-TC-Token", "Token")?.is_some() {
            let message = "there are no temporary credentials here, so no token can be right";
            return Err(ApiError::new("AuthFailure.TokenFailure", message));
        }
        let needed = |header: &str, field: &str| {
            let name = if self.authorization.is_some() { header } else { field };
            self.common(header, field)?.map(str::to_owned).ok_or_else(|| missing(name))
        };
        let language = match self.common("X-TC-Language", "Language")? {
            Some("zh-CN") => Language::Chinese,
            _ => Language::English,
        };
        Ok(Call {
            service_hint: signed.service.clone(),
            account: signed.credential.account.clone(),
            access: signed.credential.access,
            action: needed("X-TC-Action", "Action")?,
            version: needed("X-TC-Version", "Version")?,
            region: self.common("X-TC-Region", "Region")?.map(str::to_owned),
            language,
            params: self.params()?,
            request_id: request_id.to_owned(),
        })
    }

    fn params(&self) -> Result<Value, ApiError> {
        if self.way == Way::Json {
            return json(self.body);
        }
        let signed_in_header = self.authorization.is_some();
        let own = self.fields.iter().filter(|(name, _)| signed_in_header || !COMMON.contains(&name.as_str()));
        flatten::nest(own.map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

fn kind_of_body(content_type: Option<&str>) -> Result<Way, ApiError> {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(Way::Json)
    } else if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(Way::Form)
    } else {
        let message = "a POST carries its parameters as application/json or application/x-www-form-urlencoded";
        Err(ApiError::new("InvalidRequest", message))
    }
}

fn json(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let wrong = |why: String| ApiError::new("InvalidParameter", format!("the request's body is not {why}"));
    let value: Value = serde_json::from_slice(body).map_err(|error| wrong(format!("JSON: {error}")))?;
    value.is_object().then_some(value).ok_or_else(|| wrong("a JSON object".into()))
}

/// A parameter is not there.
pub(super) fn missing(name: &str) -> ApiError {
    ApiError::new("MissingParameter", format!("{name} is missing"))
}
