//! JSON Web Tokens of an issuer (RFC 7519), as HTTP APIs take them: signed with RSA, for one of the audiences, in their time
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html>). The issuer's keys are read
//! where its discovery document says they are, and kept for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use cumulet_base::limits;
use cumulet_wire::outbound;
use http::Request;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512};
use ring::signature::{RsaParameters, RsaPublicKeyComponents};
use serde_json::{Map, Value};

use crate::shapes::JwtConfiguration;

/// Why a token does not do.
#[derive(Debug, PartialEq, Eq)]
pub enum Invalid {
    Token(&'static str),
    /// The issuer is not to be reached, or says nothing that can be read.
    Issuer(String),
}

/// Modulus and exponent by the key's id.
type Keys = Arc<HashMap<String, (Vec<u8>, Vec<u8>)>>;

/// What issuers have said, and when.
#[derive(Default)]
pub struct Issuers {
    kept: Mutex<HashMap<String, (u64, Keys)>>,
}

/// A token, taken apart.
struct Token<'a> {
    algorithm: &'static RsaParameters,
    key_id: String,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn read(token: &str) -> Result<Token<'_>, Invalid> {
    let malformed = || Invalid::Token("it is no token");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (head, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let head = decoded(head).ok_or_else(malformed)?;
    let Some(Value::Object(claims)) = decoded(claims) else { return Err(malformed()) };
    let algorithm = match head["alg"].as_str() {
        Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
        Some("RS384") => &RSA_PKCS1_2048_8192_SHA384,
        Some("RS512") => &RSA_PKCS1_2048_8192_SHA512,
        _ => return Err(Invalid::Token("it is signed with another algorithm")),
    };
    let key_id = head["kid"].as_str().unwrap_or_default().to_owned();
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
    Ok(Token { algorithm, key_id, claims, signed, signature })
}

/// The claims that do not need a key.
fn check(claims: &Map<String, Value>, wanted: &JwtConfiguration, now_ms: u64) -> Result<(), Invalid> {
    let now_s = (now_ms / 1000) as f64;
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if issuer.trim_end_matches('/') != wanted.issuer.trim_end_matches('/') {
        return Err(Invalid::Token("it is of another issuer"));
    }
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    if time("exp").is_none_or(|exp| exp <= now_s) {
        return Err(Invalid::Token("it has expired"));
    }
    if time("nbf").is_some_and(|nbf| nbf > now_s) || time("iat").is_some_and(|iat| iat > now_s) {
        return Err(Invalid::Token("its time has not come"));
    }
    let audiences: Vec<&str> = match claims.get("aud").or_else(|| claims.get("client_id")) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one],
        _ => Vec::new(),
    };
    match wanted.audience.is_empty() || audiences.iter().any(|one| wanted.audience.iter().any(|known| known == one)) {
        true => Ok(()),
        false => Err(Invalid::Token("it is for another audience")),
    }
}

async fn fetch(address: &str) -> Result<Value, Invalid> {
    let failed = |why: String| Invalid::Issuer(format!("{address}: {why}"));
    let request = Request::get(address).header("accept", "application/json").body(Bytes::new());
    let request = request.map_err(|e| failed(e.to_string()))?;
    let timeout = Duration::from_millis(limits::JWT_ISSUER_TIMEOUT_MS);
    let answer = outbound::send(request, timeout).await.map_err(|e| failed(e.to_string()))?;
    if !answer.status().is_success() {
        return Err(failed(format!("the answer is {}", answer.status())));
    }
    serde_json::from_slice(answer.body()).map_err(|e| failed(e.to_string()))
}

async fn keys_of(issuer: &str) -> Result<Keys, Invalid> {
    let discovery = fetch(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).await?;
    let address = discovery["jwks_uri"].as_str();
    let address = address.ok_or_else(|| Invalid::Issuer(format!("{issuer}: there is no jwks_uri")))?;
    let set = fetch(address).await?;
    let mut keys = HashMap::new();
    for key in set["keys"].as_array().into_iter().flatten().take(limits::JWT_ISSUER_KEYS_MAX) {
        let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok();
        if let (Some("RSA"), Some(n), Some(e)) = (key["kty"].as_str(), part("n"), part("e")) {
            keys.insert(key["kid"].as_str().unwrap_or_default().to_owned(), (n, e));
        }
    }
    Ok(Arc::new(keys))
}

impl Issuers {
    /// The claims of a good token.
    ///
    /// # Errors
    /// Why it is none, or why that cannot be found out.
    pub async fn check(
        &self,
        wanted: &JwtConfiguration,
        text: &str,
        now_ms: u64,
    ) -> Result<Map<String, Value>, Invalid> {
        let token = read(text)?;
        check(&token.claims, wanted, now_ms)?;
        let keys = self.keys(&wanted.issuer, &token.key_id, now_ms).await?;
        let (n, e) = keys.get(&token.key_id).ok_or(Invalid::Token("its key is not the issuer's"))?;
        let key = RsaPublicKeyComponents { n, e };
        let is_good = key.verify(token.algorithm, token.signed.as_bytes(), &token.signature).is_ok();
        if is_good { Ok(token.claims) } else { Err(Invalid::Token("its signature is not good")) }
    }

    /// Those that are kept, if they are young and know the key; a new key makes the issuer be asked again, though not at once.
    async fn keys(&self, issuer: &str, key_id: &str, now_ms: u64) -> Result<Keys, Invalid> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned();
        if let Some((since_ms, keys)) = kept {
            let age_ms = now_ms.saturating_sub(since_ms);
            let is_young = age_ms < limits::JWT_ISSUER_KEYS_MS;
            if is_young && (keys.contains_key(key_id) || age_ms < limits::JWT_ISSUER_AGAIN_MS) {
                return Ok(keys);
            }
        }
        let keys = keys_of(issuer).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= limits::JWT_ISSUERS_MAX {
            kept.clear();
        }
        kept.insert(issuer.to_owned(), (now_ms, keys.clone()));
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const NOW_MS: u64 = 1_795_428_930_123;

    fn wanted() -> JwtConfiguration {
        JwtConfiguration { audience: vec!["me".into()], issuer: "https://issuer".into() }
    }

    #[test]
    fn claims() {
        let now_s = NOW_MS / 1000;
        let good =
            json!({"iss": "https://issuer/", "aud": ["you", "me"], "exp": now_s + 1, "nbf": now_s, "iat": now_s});
        let with = |name: &str, value: Value| {
            let mut claims = good.as_object().unwrap().clone();
            claims.insert(name.into(), value);
            claims
        };
        assert_eq!(check(good.as_object().unwrap(), &wanted(), NOW_MS), Ok(()));
        for (name, value) in [
            ("iss", json!("https://other")),
            ("aud", json!("you")),
            ("exp", json!(now_s)),
            ("exp", Value::Null),
            ("nbf", json!(now_s + 9)),
            ("iat", json!(now_s + 9)),
        ] {
            assert!(check(&with(name, value.clone()), &wanted(), NOW_MS).is_err(), "{name} {value}");
        }
        let mut client = with("client_id", json!("me"));
        client.remove("aud");
        assert_eq!(check(&client, &wanted(), NOW_MS), Ok(()));
    }

    #[test]
    fn what_is_no_token() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let none = format!("{}.{}.", part(json!({"alg": "none"})), part(json!({})));
        let hmac = format!("{}.{}.AAAA", part(json!({"alg": "HS256"})), part(json!({})));
        for bad in ["", "a", "a.b", "a.b.c", none.as_str(), hmac.as_str()] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&format!("{}.{}.AAAA", part(json!({"alg": "RS256", "kid": "k"})), part(json!({})))).is_ok());
    }
}
