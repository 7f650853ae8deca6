//! Links to a function's code: what `Code.Location` of GetFunction says, and the plane that serves it. A link is signed
//! and runs out; the secret is the process's own, so that links end with it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use hmac::{Hmac, Mac};
use http::{Method, Response};
use sha2::Sha256;

use crate::CodeStore;

const PATH: &str = "/_cumulet/code/";
/// AWS's links are good for ten minutes.
const LIFETIME_MS: u64 = 600_000;

/// Makes and checks links.
#[derive(Clone)]
pub struct Links {
    secret: [u8; 32],
}

impl Links {
    pub fn new(secret: [u8; 32]) -> Links {
        Links { secret }
    }

    pub fn location(&self, host: &str, digest: &str, now_ms: u64) -> String {
        let expires = (now_ms + LIFETIME_MS) / 1000;
        let signature = hex::encode(self.mac(digest, expires).finalize().into_bytes());
        format!("http://{host}{PATH}{digest}?expires={expires}&signature={signature}")
    }

    fn mac(&self, digest: &str, expires: u64) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(format!("{digest}\n{expires}").as_bytes());
        mac
    }

    pub fn is_good(&self, digest: &str, query: &str, now_ms: u64) -> bool {
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        let expires = value("expires").and_then(|text| text.parse::<u64>().ok());
        let signature = value("signature").and_then(|text| hex::decode(text).ok());
        match (expires, signature) {
            (Some(expires), Some(signature)) => {
                now_ms / 1000 <= expires && self.mac(digest, expires).verify_slice(&signature).is_ok()
            }
            _ => false,
        }
    }
}

/// Serves the zips.
pub struct CodePlane {
    code: Arc<dyn CodeStore>,
    links: Links,
}

impl CodePlane {
    pub fn new(code: Arc<dyn CodeStore>, links: Links) -> CodePlane {
        CodePlane { code, links }
    }
}

fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

#[async_trait]
impl DataPlane for CodePlane {
    fn claims(&self, _host_name: &str, path: &str) -> bool {
        path.starts_with(PATH)
    }

    fn body_bytes_max(&self) -> usize {
        0
    }

    fn too_large(&self) -> Response<Bytes> {
        answer(413, "text/plain", "A link to code takes no body.")
    }

    async fn serve(&self, request: HttpRequest) -> Response<Bytes> {
        let digest = request.path.strip_prefix(PATH).unwrap_or_default();
        if request.method != Method::GET && request.method != Method::HEAD {
            return answer(405, "text/plain", "Only GET and HEAD.");
        }
        if !self.links.is_good(digest, &request.query, request.now_ms) {
            return answer(403, "text/plain", "The link has run out or was not made here.");
        }
        match self.code.get(digest).await {
            Ok(Some(zip)) => answer(200, "application/zip", zip),
            Ok(None) => answer(404, "text/plain", "There is no such code."),
            Err(error) => {
                tracing::error!(digest, %error, "reading code");
                answer(500, "text/plain", "Reading the code failed.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_run_out_and_cannot_be_altered() {
        let links = Links::new([7; 32]);
        let link = links.location("h", "abc", 1_000_000);
        let query = link.split_once('?').map_or("", |(_, q)| q);
        assert!(links.is_good("abc", query, 1_000_000));
        assert!(links.is_good("abc", query, 1_600_000));
        assert!(!links.is_good("abc", query, 1_601_000));
        assert!(!links.is_good("abd", query, 1_000_000));
        assert!(!links.is_good("abc", &query.replace("expires=1600", "expires=9600"), 1_000_000));
        assert!(!Links::new([8; 32]).is_good("abc", query, 1_000_000));
        assert!(!links.is_good("abc", "", 0));
    }
}
