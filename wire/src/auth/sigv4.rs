//! AWS Signature Version 4, verified and made: header and presigned form
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::error::ApiError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a client's clock may be off.
const SKEW_S: i64 = 300;
/// The longest life of a presigned request.
const PRESIGNED_S_MAX: i64 = 604_800;

/// Where a signature is valid: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub access_key_id: String,
    pub date: String,
    pub region: String,
    pub service: String,
}

/// What a request says about its own signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    /// `YYYYMMDDThhmmssZ`
    timestamp: String,
    pub session_token: Option<String>,
    presigned_s: Option<i64>,
}

/// What a request is signed with.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    pub access_key_id: &'a str,
    pub secret_access_key: &'a str,
    pub session_token: Option<&'a str>,
}

/// The parts of a request that are signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    pub method: &'a str,
    /// As sent, percent-encoded.
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// `Host`, which HTTP/2 carries outside of the headers.
    pub host: &'a str,
    pub body: &'a [u8],
}

fn incomplete(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "IncompleteSignatureException", message)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads the claim; `None` says that the request is not signed at all.
pub fn claim(headers: &HeaderMap, query: &str) -> Result<Option<Claim>, ApiError> {
    if let Some(text) = header(headers, "authorization") {
        return from_header(headers, text).map(Some);
    }
    if query.contains("X-Amz-Signature=") {
        return from_query(query).map(Some);
    }
    Ok(None)
}

fn from_header(headers: &HeaderMap, text: &str) -> Result<Claim, ApiError> {
    let fields = text
        .strip_prefix(ALGORITHM)
        .filter(|rest| rest.starts_with(' '))
        .ok_or_else(|| incomplete(format!("Authorization header requires '{ALGORITHM}'. Authorization={text}")))?;
    let mut found = [None, None, None];
    for field in fields.split(',') {
        if let Some((name, value)) = field.trim().split_once('=') {
            match name {
                "Credential" => found[0] = Some(value),
                "SignedHeaders" => found[1] = Some(value),
                "Signature" => found[2] = Some(value),
                _ => {}
            }
        }
    }
    let [Some(credential), Some(signed_headers), Some(signature)] = found else {
        let missing = ["Credential", "SignedHeaders", "Signature"].into_iter().zip(found).find(|(_, f)| f.is_none());
        let name = missing.map_or("Signature", |(name, _)| name);
        return Err(incomplete(format!("Authorization header requires '{name}' parameter. Authorization={text}")));
    };
    let timestamp = header(headers, "x-amz-date").ok_or_else(|| {
        incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    })?;
    Ok(Claim {
        scope: scope(credential)?,
        signed_headers: signed_headers.split(';').map(str::to_ascii_lowercase).collect(),
        signature: signature.to_owned(),
        timestamp: timestamp.to_owned(),
        session_token: header(headers, "x-amz-security-token").map(str::to_owned),
        presigned_s: None,
    })
}

fn from_query(query: &str) -> Result<Claim, ApiError> {
    let get = |name: &str| pairs(query).into_iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let need =
        |name: &str| get(name).ok_or_else(|| incomplete(format!("AWS query-string parameters must include '{name}'.")));
    if need("X-Amz-Algorithm")? != ALGORITHM {
        return Err(incomplete(format!("X-Amz-Algorithm must be '{ALGORITHM}'.")));
    }
    let seconds: i64 = need("X-Amz-Expires")?.parse().map_err(|_| incomplete("X-Amz-Expires should be a number"))?;
    if !(0..=PRESIGNED_S_MAX).contains(&seconds) {
        return Err(incomplete("X-Amz-Expires must be between 0 and 604800 seconds"));
    }
    Ok(Claim {
        scope: scope(&need("X-Amz-Credential")?)?,
        signed_headers: need("X-Amz-SignedHeaders")?.split(';').map(str::to_ascii_lowercase).collect(),
        signature: need("X-Amz-Signature")?,
        timestamp: need("X-Amz-Date")?,
        session_token: get("X-Amz-Security-Token"),
        presigned_s: Some(seconds),
    })
}

fn scope(credential: &str) -> Result<Scope, ApiError> {
    let parts: Vec<&str> = credential.split('/').collect();
    match parts[..] {
        [key, date, region, service, "aws4_request"] if ![key, date, service].contains(&"") && is_region(region) => {
            Ok(Scope { access_key_id: key.into(), date: date.into(), region: region.into(), service: service.into() })
        }
        _ => Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        ))),
    }
}

/// Regions become part of names and stored keys.
fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Checks the claim against the request and the secret.
pub fn verify(claim: &Claim, request: &Signed<'_>, secret: &str, now_ms: u64) -> Result<(), ApiError> {
    let mismatch = || {
        ApiError::new(
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    };
    check_time(claim, now_ms)?;
    if !claim.signed_headers.iter().any(|name| name == "host") {
        return Err(ApiError::new(
            403,
            "InvalidSignatureException",
            "'Host' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    // What is not signed could have been put in on the way, as the name of another operation.
    let is_signed =
        |name: &str| name == "x-amz-content-sha256" || claim.signed_headers.iter().any(|known| known == name);
    if let Some(name) =
        request.headers.keys().map(http::HeaderName::as_str).find(|n| n.starts_with("x-amz-") && !is_signed(n))
    {
        let message = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
        return Err(ApiError::new(403, "InvalidSignatureException", message));
    }
    let body_hash = body_hash(claim, request).ok_or_else(mismatch)?;
    let canonical = canonical_request(claim, request, &body_hash);
    let expected = signature(secret, &claim.scope, &claim.timestamp, &canonical);
    if constant_time_eq(expected.as_bytes(), claim.signature.as_bytes()) { Ok(()) } else { Err(mismatch()) }
}

fn check_time(claim: &Claim, now_ms: u64) -> Result<(), ApiError> {
    let expired = |message: String| ApiError::new(403, "InvalidSignatureException", message);
    let at = epoch_s(&claim.timestamp).ok_or_else(|| incomplete("Date must be in ISO-8601 'basic format'."))?;
    if !claim.timestamp.starts_with(&claim.scope.date) {
        return Err(incomplete(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
        ));
    }
    let now = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    let until = at + claim.presigned_s.unwrap_or(SKEW_S);
    if now > until {
        return Err(expired(format!("Signature expired: {} is now earlier than the time allowed.", claim.timestamp)));
    }
    if now < at - SKEW_S {
        return Err(expired(format!(
            "Signature not yet current: {} is still later than the time allowed.",
            claim.timestamp
        )));
    }
    Ok(())
}

/// Seconds since 1970 of `YYYYMMDDThhmmssZ`.
fn epoch_s(timestamp: &str) -> Option<i64> {
    let b = timestamp.as_bytes();
    if b.len() != 16 || b[8] != b'T' || b[15] != b'Z' || !b[..8].iter().chain(&b[9..15]).all(u8::is_ascii_digit) {
        return None;
    }
    let n = |from: usize, to: usize| timestamp[from..to].parse::<u16>().ok();
    let month = time::Month::try_from(u8::try_from(n(4, 6)?).ok()?).ok()?;
    let date = time::Date::from_calendar_date(i32::from(n(0, 4)?), month, n(6, 8)? as u8).ok()?;
    let time = time::Time::from_hms(n(9, 11)? as u8, n(11, 13)? as u8, n(13, 15)? as u8).ok()?;
    Some(time::PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

/// The payload's hash as it went into the signature; `None` when the body is not the one that was signed.
fn body_hash(claim: &Claim, request: &Signed<'_>) -> Option<String> {
    let stated = header(request.headers, "x-amz-content-sha256");
    match stated {
        Some("UNSIGNED-PAYLOAD") => Some("UNSIGNED-PAYLOAD".into()),
        stated => {
            let actual = hex(Sha256::digest(request.body).into());
            match stated {
                Some(stated) if claim.presigned_s.is_none() && stated != actual => None,
                _ => Some(actual),
            }
        }
    }
}

fn canonical_request(claim: &Claim, request: &Signed<'_>, body_hash: &str) -> String {
    let mut text = String::with_capacity(512);
    let path = if request.path.is_empty() { "/" } else { request.path };
    let _infallible = write!(text, "{}\n{}\n{}\n", request.method, encode(path, true), canonical_query(request.query));
    for name in &claim.signed_headers {
        text.push_str(name);
        text.push(':');
        if name == "host" {
            text.push_str(request.host);
        } else {
            for (i, value) in request.headers.get_all(name.as_str()).iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                push_collapsed(&mut text, &String::from_utf8_lossy(value.as_bytes()));
            }
        }
        text.push('\n');
    }
    let _infallible = write!(text, "\n{}\n{body_hash}", claim.signed_headers.join(";"));
    text
}

fn push_collapsed(text: &mut String, value: &str) {
    for (i, word) in value.split_ascii_whitespace().enumerate() {
        if i > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

fn canonical_query(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let mut encoded: Vec<(String, String)> = pairs(query)
        .into_iter()
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (encode(&name, false).into_owned(), encode(&value, false).into_owned()))
        .collect();
    encoded.sort_unstable();
    let parts: Vec<String> = encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    parts.join("&")
}

/// AWS's URI encoding: everything but `A-Za-z0-9-._~`, and `/` where it divides a path.
pub fn encode(text: &str, keep_slash: bool) -> Cow<'_, str> {
    let is_kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keep_slash && byte == b'/');
    if text.bytes().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_kept(byte) {
            out.push(byte as char);
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    Cow::Owned(out)
}

fn hex(bytes: [u8; 32]) -> String {
    let mut text = [0; 64];
    hex::encode_to_slice(bytes, &mut text).expect("two characters for each byte");
    text.iter().map(|byte| *byte as char).collect()
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn signature(secret: &str, scope: &Scope, timestamp: &str, canonical: &str) -> String {
    let Scope { date, region, service, .. } = scope;
    let hash = hex(Sha256::digest(canonical.as_bytes()).into());
    let to_sign = format!("{ALGORITHM}\n{timestamp}\n{date}/{region}/{service}/aws4_request\n{hash}");
    sign_text(secret, [date, region, service], to_sign.as_bytes())
}

/// The signature of a text, under the key of a day, a region and a service.
pub fn sign_text(secret: &str, [date, region, service]: [&str; 3], text: &[u8]) -> String {
    hex(hmac(&signing_key(secret, [date, region, service]), text))
}

/// A key that signatures are made with: of a secret, for a day, a region and a service.
struct Derived {
    secret: String,
    scope: [String; 3],
    key: [u8; 32],
}

/// Derived keys that each thread remembers: deriving one takes as long as all the rest of a signature.
const DERIVED_MAX: usize = 16;

thread_local! {
    static DERIVED: RefCell<Vec<Derived>> = const { RefCell::new(Vec::new()) };
}

fn signing_key(secret: &str, scope: [&str; 3]) -> [u8; 32] {
    DERIVED.with_borrow_mut(|known| {
        if let Some(found) = known.iter().find(|found| found.secret == secret && found.scope == scope) {
            return found.key;
        }
        let [date, region, service] = scope;
        let mut key = hmac(format!("AWS4{secret}").as_bytes(), date.as_bytes());
        for part in [region, service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        if known.len() == DERIVED_MAX {
            known.remove(0);
        }
        known.push(Derived { secret: secret.to_owned(), scope: scope.map(str::to_owned), key });
        key
    })
}

/// Comparison that takes as long wherever the difference is.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (x, y)| different | (x ^ y)) == 0
}

/// Signs a request of our own command line: its headers with `x-amz-date`, `authorization` and, with a token,
/// `x-amz-security-token`. All that begin with `x-amz-` are signed.
pub fn sign(request: &Signed<'_>, keys: &Keys<'_>, region: &str, service: &str, now_ms: u64) -> HeaderMap {
    let iso = cumulet_base::clock::iso_ms(now_ms);
    let timestamp = format!("{}T{}Z", iso[..10].replace('-', ""), iso[11..19].replace(':', ""));
    let scope = Scope {
        access_key_id: keys.access_key_id.into(),
        date: timestamp[..8].into(),
        region: region.into(),
        service: service.into(),
    };
    let mut headers = request.headers.clone();
    let value = |text: &str| http::HeaderValue::from_str(text).unwrap_or_else(|_| http::HeaderValue::from_static(""));
    headers.insert("x-amz-date", value(&timestamp));
    if let Some(token) = keys.session_token {
        headers.insert("x-amz-security-token", value(token));
    }
    let own = headers.keys().map(|name| name.as_str().to_owned()).filter(|name| name.starts_with("x-amz-"));
    let mut signed_headers: Vec<String> = own.chain(["host".to_owned()]).collect();
    signed_headers.sort_unstable();
    let claim =
        Claim { scope, signed_headers, signature: String::new(), timestamp, session_token: None, presigned_s: None };
    let canonical =
        canonical_request(&claim, &Signed { headers: &headers, ..*request }, &hex(Sha256::digest(request.body).into()));
    let signature = signature(keys.secret_access_key, &claim.scope, &claim.timestamp, &canonical);
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}/{region}/{service}/aws4_request, SignedHeaders={}, Signature={signature}",
        keys.access_key_id,
        claim.scope.date,
        claim.signed_headers.join(";")
    );
    headers.insert("authorization", value(&authorization));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: u64 = 1_795_428_930_123;

    fn signed(path: &str, query: &str, body: &[u8]) -> HeaderMap {
        let request = Signed { method: "POST", path, query, headers: &HeaderMap::new(), host: "localhost:4566", body };
        let keys = Keys { access_key_id: "test", secret_access_key: "secret", session_token: None };
        sign(&request, &keys, "us-east-1", "lambda", NOW_MS)
    }

    fn checked(
        headers: &HeaderMap,
        path: &str,
        query: &str,
        body: &[u8],
        secret: &str,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let claim = claim(headers, query)?.ok_or_else(|| incomplete("unsigned"))?;
        let request = Signed { method: "POST", path, query, headers, host: "localhost:4566", body };
        verify(&claim, &request, secret, now_ms)
    }

    /// "GET Object"-independent example of AWS's documentation: the vanilla query of the SigV4 test suite.
    #[test]
    fn agrees_with_the_published_example() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let request = Signed {
            method: "GET",
            path: "/",
            query: "Param2=value2&Param1=value1",
            headers: &HeaderMap::new(),
            host: "example.amazonaws.com",
            body: b"",
        };
        let keys = Keys { access_key_id: "AKIDEXAMPLE", secret_access_key: secret, session_token: None };
        let headers = sign(&request, &keys, "us-east-1", "service", 1_440_938_160_000);
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(
            authorization.ends_with("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
            "{authorization}"
        );
    }

    #[test]
    fn what_is_signed_is_what_is_checked() {
        let (path, query) = ("/2015-03-31/functions/arn%3Aaws/x", "b=2&a=%20x&a=");
        let headers = signed(path, query, b"{}");
        checked(&headers, path, query, b"{}", "secret", NOW_MS).unwrap();
        for (path, query, body, secret) in [
            ("/other", query, &b"{}"[..], "secret"),
            (path, "b=2", b"{}", "secret"),
            (path, query, b"{ }", "secret"),
            (path, query, b"{}", "guess"),
        ] {
            assert_eq!(
                checked(&headers, path, query, body, secret, NOW_MS).unwrap_err().code,
                "InvalidSignatureException"
            );
        }
        for now_ms in [NOW_MS - 301_000, NOW_MS + 302_000] {
            assert!(checked(&headers, path, query, b"{}", "secret", now_ms).is_err());
        }
    }

    #[test]
    fn malformed_claims_are_told_what_is_wrong() {
        let mut headers = HeaderMap::new();
        assert_eq!(claim(&headers, "a=b").unwrap(), None);
        for bad in [
            "Basic x",
            "AWS4-HMAC-SHA256 Credential=a/b",
            "AWS4-HMAC-SHA256 Credential=a/20261123/r/s/aws4_request, SignedHeaders=host",
            "AWS4-HMAC-SHA256 Credential=a/r/s/aws4_request, SignedHeaders=host, Signature=x",
        ] {
            headers.insert("authorization", bad.parse().unwrap());
            assert_eq!(claim(&headers, "").unwrap_err().code, "IncompleteSignatureException", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "\\PC{0,200}", date in "\\PC{0,20}", query in "\\PC{0,200}") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = format!("AWS4-HMAC-SHA256 {text}").parse() { headers.insert("authorization", value); }
            if let Ok(value) = date.parse() { headers.insert("x-amz-date", value); }
            if let Ok(Some(claim)) = claim(&headers, &query) {
                let request = Signed { method: "GET", path: "/", query: &query, headers: &headers, host: "h", body: b"" };
                let _either = verify(&claim, &request, "s", NOW_MS);
            }
            let _either = from_query(&query);
        }
    }
}
