//! Images from registries (<https://github.com/opencontainers/distribution-spec>), with Docker's tokens. Only those that the
//! operator has named are asked: who may make functions could otherwise let this machine ask any server it can reach.
//! Redirects are followed, without credentials. Deliberately absent: mirrors, pushing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_wire::outbound;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Fault;
use super::credentials::{self, Credentials};
use super::documents::{self, Descriptor, Document, Found, Kind, Layer};
use super::reference::{DIGEST, Reference};

/// Which registries are asked, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    named: Vec<Named>,
    /// A file as Docker's `config.json`.
    credentials: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    /// With its port; `*` is any.
    host: String,
    is_plain: bool,
}

pub const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_SERVER: &str = "registry-1.docker.io";
const ANY: &str = "*";
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const REDIRECTS_MAX: usize = 5;
const INDEXES_DEPTH_MAX: usize = 4;
const DOCUMENT_TIMEOUT: Duration = Duration::from_millis(limits::REGISTRY_DOCUMENT_TIMEOUT_MS);
const LAYER_TIMEOUT: Duration = Duration::from_millis(limits::REGISTRY_LAYER_TIMEOUT_MS);

pub fn is_docker_hub(host: &str) -> bool {
    matches!(host, DOCKER_HUB | "index.docker.io" | DOCKER_HUB_SERVER)
}

impl Registries {
    /// `ghcr.io`, `https://registry.lan:5000`, `http://registry.lan:5000` for one without encryption, `*` for any encrypted
    /// one. The machine's own are not encrypted unless it is said.
    ///
    /// # Errors
    /// The name that is none.
    pub fn new(names: &[String], credentials: Option<PathBuf>) -> Result<Registries, String> {
        let named = names.iter().map(|name| Named::parse(name).ok_or_else(|| name.clone()));
        Ok(Registries { named: named.collect::<Result<_, _>>()?, credentials })
    }

    fn find(&self, host: &str) -> Option<&Named> {
        let is_it = |named: &&Named| named.host == host || (is_docker_hub(&named.host) && is_docker_hub(host));
        self.named.iter().find(is_it).or_else(|| self.named.iter().find(|named| named.host == ANY))
    }

    pub fn knows(&self, host: &str) -> bool {
        !host.is_empty()
            && host.parse::<Authority>().is_ok_and(|a| !a.as_str().contains('@'))
            && self.find(host).is_some()
    }

    /// Whether what is said to a server may be read on the way.
    fn may_be_plain(&self, host: &str) -> bool {
        self.find(host).is_some_and(|named| named.is_plain)
    }
}

impl Named {
    fn parse(name: &str) -> Option<Named> {
        let name = name.trim().trim_end_matches('/').to_ascii_lowercase();
        if name == ANY {
            return Some(Named { host: name, is_plain: false });
        }
        let (scheme, host) = name.split_once("://").map_or((None, &*name), |(scheme, host)| (Some(scheme), host));
        let authority: Authority = host.parse().ok()?;
        let address = authority.host().trim_matches(['[', ']']);
        let is_own = address == "localhost" || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let is_plain = match scheme {
            None => is_own,
            Some("http") => true,
            Some("https") => false,
            Some(_) => return None,
        };
        (!host.contains('@')).then(|| Named { host: host.to_owned(), is_plain })
    }
}

/// One image of a registry, being fetched.
pub struct Pull {
    registries: Registries,
    /// As the URI has it.
    host: String,
    server: String,
    name: String,
    credentials: Option<Credentials>,
    authorization: Option<HeaderValue>,
}

impl Pull {
    /// Of a host that the registries know.
    ///
    /// # Errors
    /// When the credentials cannot be read.
    pub async fn new(registries: &Registries, wanted: &Reference) -> Result<Pull, Fault> {
        let (host, mut name) = (wanted.host.clone(), wanted.name.clone());
        let mut authority = host.clone();
        if is_docker_hub(&host) {
            DOCKER_HUB_SERVER.clone_into(&mut authority);
            if !name.contains('/') {
                name.insert_str(0, "library/");
            }
        }
        let scheme = if registries.may_be_plain(&host) { "http" } else { "https" };
        let credentials = match registries.credentials.clone() {
            None => None,
            Some(path) => {
                let asked = host.clone();
                let read = tokio::task::spawn_blocking(move || credentials::of(&path, &asked)).await;
                let read = read.map_err(|e| e.to_string()).and_then(|read| read);
                read.map_err(|e| Fault::Unreachable(format!("the credentials for registries cannot be read: {e}")))?
            }
        };
        let server = format!("{scheme}://{authority}");
        Ok(Pull { registries: registries.clone(), host, server, name, credentials, authorization: None })
    }

    pub async fn find(&mut self, wanted: &Reference, architecture: &str) -> Result<Found, Fault> {
        let mut digest = wanted.digest.as_ref().map(|digits| format!("{DIGEST}{digits}"));
        for _ in 0..INDEXES_DEPTH_MAX {
            let named = digest.as_deref().or(wanted.tag.as_deref()).unwrap_or("latest");
            let path = format!("manifests/{named}");
            let bytes = self.get(&path, MANIFESTS, limits::IMAGE_DOCUMENT_BYTES_MAX, DOCUMENT_TIMEOUT).await?;
            let own = documents::sha256(&bytes);
            if digest.is_some_and(|digest| digest != format!("{DIGEST}{own}")) {
                return Err(Fault::Broken(format!("the manifest {path} has another digest, sha256:{own}")));
            }
            match documents::read::<Document>(&path, &bytes)?.kind()? {
                Kind::Index(all) => digest = Some(documents::for_machine(&all, architecture)?.digest),
                Kind::Manifest { config, layers } => {
                    let configuration = self.blob(&config, limits::IMAGE_DOCUMENT_BYTES_MAX, DOCUMENT_TIMEOUT).await?;
                    return Ok(Found {
                        digest: own,
                        configuration: documents::read(&config.digest, &configuration)?,
                        layers: layers.into_iter().map(Layer::Blob).collect(),
                    });
                }
            }
        }
        Err(Fault::Broken("indexes within indexes".to_owned()))
    }

    pub async fn layer(&mut self, layer: &Descriptor) -> Result<Bytes, Fault> {
        self.blob(layer, limits::IMAGE_LAYER_BYTES_MAX, LAYER_TIMEOUT).await
    }

    async fn blob(&mut self, descriptor: &Descriptor, bytes_max: u64, timeout: Duration) -> Result<Bytes, Fault> {
        if let Some(size) = descriptor.size.filter(|size| *size > bytes_max) {
            let told = format!("the blob {} has {size} bytes, more than {bytes_max}", descriptor.digest);
            return Err(Fault::Broken(told));
        }
        let path = format!("blobs/{DIGEST}{}", descriptor.digits()?);
        // No more is taken than is announced.
        let bytes_max = descriptor.size.unwrap_or(bytes_max);
        let bytes = self.get(&path, "*/*", bytes_max, timeout).await.map_err(|fault| match fault {
            Fault::Missing(told) => Fault::Broken(format!("a part of it is not there. {told}")),
            other => other,
        })?;
        descriptor.check(&bytes).map(|()| bytes)
    }

    async fn get(
        &mut self,
        path: &str,
        accept: &'static str,
        bytes_max: u64,
        timeout: Duration,
    ) -> Result<Bytes, Fault> {
        let address = format!("{}/v2/{}/{path}", self.server, self.name);
        // What a registry refuses with may be longer than what it was asked for.
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX).max(limits::OUTBOUND_ANSWER_BYTES_MAX);
        let mut answer = self.follow(&address, accept, bytes_max, timeout).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.authorization = self.authorize(answer.headers()).await?;
            answer = self.follow(&address, accept, bytes_max, timeout).await?;
        }
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            StatusCode::NOT_FOUND => Err(Fault::Missing(format!("The registry {} has no {path} of it.", self.host))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.denied()),
            other => Err(Fault::Unreachable(format!("the registry {} answered {other} to {path}", self.host))),
        }
    }

    fn denied(&self) -> Fault {
        Fault::Denied(format!("The registry {} refused.", self.host))
    }

    /// Redirects lead to where the bytes are kept, which is nobody's business to know the credentials.
    async fn follow(
        &self,
        address: &str,
        accept: &'static str,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Response<Bytes>, Fault> {
        let mut at: Uri = address.parse().map_err(|_| Fault::Missing(format!("`{address}` is no address.")))?;
        let own = at.authority().cloned();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::get(at.clone()).header(ACCEPT, accept);
            if let Some(value) = self.authorization.clone().filter(|_| at.authority() == own.as_ref()) {
                request = request.header(AUTHORIZATION, value);
            }
            let answer = self.send(request.body(Bytes::new()), timeout, bytes_max).await?;
            let is_redirect = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = answer.headers().get(LOCATION).filter(|_| is_redirect) else { return Ok(answer) };
            let next = location.to_str().ok().and_then(|location| join(&at, location));
            at = next
                .filter(|next| self.is_fine(next))
                .ok_or_else(|| Fault::Broken(format!("the registry {} leads where it may not", self.host)))?;
        }
        Err(Fault::Broken(format!("the registry {} leads on and on", self.host)))
    }

    /// Encrypted, or where it need not be.
    fn is_fine(&self, address: &Uri) -> bool {
        let is_encrypted = address.scheme_str() == Some("https");
        is_encrypted || address.authority().is_some_and(|server| self.registries.may_be_plain(server.as_str()))
    }

    async fn send(
        &self,
        request: http::Result<Request<Bytes>>,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<Response<Bytes>, Fault> {
        let unreachable = |e: &dyn std::fmt::Display| Fault::Unreachable(format!("the registry {}: {e}", self.host));
        let request = request.map_err(|e| unreachable(&e))?;
        outbound::send_for(request, timeout, bytes_max).await.map_err(|e| unreachable(&e))
    }

    /// What a registry wants to see that has refused.
    async fn authorize(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Fault> {
        let said = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = said.filter_map(Challenge::parse).collect();
        let header = |text: String| {
            let mut value = HeaderValue::try_from(text).map_err(|_| self.denied())?;
            value.set_sensitive(true);
            Ok(Some(value))
        };
        if let Some(bearer) = challenges.iter().find(|one| one.scheme == "bearer") {
            return header(format!("Bearer {}", self.token(bearer).await?));
        }
        match &self.credentials {
            Some(Credentials::Basic(pair)) if challenges.iter().any(|one| one.scheme == "basic") => {
                header(format!("Basic {pair}"))
            }
            _ => Err(self.denied()),
        }
    }

    /// Asks for a token as <https://distribution.github.io/distribution/spec/auth/token/> has it.
    async fn token(&self, challenge: &Challenge) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let realm = challenge.get("realm").unwrap_or_default();
        let address: Uri = realm.parse().map_err(|_| self.denied())?;
        if !self.is_fine(&address) {
            return Err(self.denied());
        }
        let word = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let service = word(challenge.get("service").unwrap_or_default());
        let scope = word(&format!("repository:{}:pull", self.name));
        let asked = format!("service={service}&scope={scope}");
        let request = match &self.credentials {
            Some(Credentials::Identity(token)) => {
                let kind = "application/x-www-form-urlencoded";
                let form = format!("grant_type=refresh_token&{asked}&client_id=cumulet&refresh_token={}", word(token));
                Request::builder().method(Method::POST).uri(address).header(CONTENT_TYPE, kind).body(Bytes::from(form))
            }
            other => {
                let mark = if realm.contains('?') { '&' } else { '?' };
                let mut request = Request::get(format!("{realm}{mark}{asked}"));
                if let Some(Credentials::Basic(pair)) = other {
                    request = request.header(AUTHORIZATION, format!("Basic {pair}"));
                }
                request.body(Bytes::new())
            }
        };
        let answer = self.send(request, DOCUMENT_TIMEOUT, limits::OUTBOUND_ANSWER_BYTES_MAX).await?;
        match answer.status() {
            StatusCode::OK => {}
            status if status.is_client_error() => return Err(self.denied()),
            other => {
                let told = format!("what gives out tokens for the registry {} answered {other}", self.host);
                return Err(Fault::Unreachable(told));
            }
        }
        let given: Token = documents::read("token", answer.body())?;
        given.token.or(given.access_token).ok_or_else(|| self.denied())
    }
}

/// Where a redirect leads.
fn join(from: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with("//") {
        return None;
    }
    let to: Uri = location.parse().ok()?;
    if to.scheme().is_some() {
        return Some(to);
    }
    let mut parts = to.into_parts();
    parts.scheme = from.scheme().cloned();
    if parts.authority.is_none() {
        parts.authority = from.authority().cloned();
    }
    Uri::from_parts(parts).ok()
}

/// What `WWW-Authenticate` says: `Bearer realm="https://…",service="…"`.
struct Challenge {
    scheme: String,
    words: Vec<(String, String)>,
}

impl Challenge {
    fn parse(text: &str) -> Option<Challenge> {
        let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let mut words = Vec::new();
        while let Some((name, after)) = rest.trim_start_matches([' ', ',']).split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            words.push((name.trim().to_ascii_lowercase(), value.to_owned()));
            rest = after;
        }
        (!scheme.is_empty()).then(|| Challenge { scheme: scheme.to_ascii_lowercase(), words })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.words.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One image after the other is fetched beyond this many: layers are held in memory.
pub fn gate() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(limits::REGISTRY_PULLS_MAX))
}

/// For the fuzz room: a challenge, and where a redirect leads.
pub fn fuzz(text: &str) {
    let _either = Challenge::parse(text);
    let _either = join(&Uri::from_static("https://registry.example/v2/"), text);
    let _either = Named::parse(text);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_is_named_is_asked() {
        let named = ["docker.io", "http://registry.lan:5000", "127.0.0.1:5000", "https://localhost:1", "GHCR.io/"];
        let registries = Registries::new(&named.map(str::to_owned), None).unwrap();
        for (host, is_known, is_plain) in [
            ("docker.io", true, false),
            ("index.docker.io", true, false),
            ("registry.lan:5000", true, true),
            ("registry.lan", false, false),
            ("127.0.0.1:5000", true, true),
            ("127.0.0.1:22", false, false),
            ("localhost:1", true, false),
            ("ghcr.io", true, false),
            ("", false, false),
        ] {
            assert_eq!((registries.knows(host), registries.may_be_plain(host)), (is_known, is_plain), "{host}");
        }
        let any = Registries::new(&["*".to_owned()], None).unwrap();
        assert!(any.knows("registry.example") && !any.may_be_plain("127.0.0.1:5000") && !any.knows("a@b"));
        assert!(!Registries::default().knows("docker.io"));
        for wrong in ["ftp://a", "a b", "user@host", ""] {
            assert!(Registries::new(&[wrong.to_owned()], None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_registries_ask_for() {
        let check = |text: &str, scheme: &str, realm: Option<&str>, service: Option<&str>| {
            let seen = Challenge::parse(text).unwrap();
            assert_eq!((&*seen.scheme, seen.get("realm"), seen.get("service")), (scheme, realm, service), "{text}");
        };
        let both = r#"Bearer realm="https://auth.example/token",service="r, e",scope="repository:a:pull""#;
        check(both, "bearer", Some("https://auth.example/token"), Some("r, e"));
        check(r#"basic Realm=x , service = y"#, "basic", Some("x "), Some(" y"));
        check("Basic", "basic", None, None);
        assert!(Challenge::parse(r#"Bearer realm="open"#).is_none());
        assert!(Challenge::parse("").is_none());
    }

    #[test]
    fn where_redirects_lead() {
        let from = Uri::from_static("https://r.example/v2/a");
        for (location, expect) in [
            ("/b?c=d", Some("https://r.example/b?c=d")),
            ("https://s.example/x", Some("https://s.example/x")),
            ("//s.example/x", None),
            ("http://s.example/x", Some("http://s.example/x")),
            ("b c", None),
        ] {
            assert_eq!(join(&from, location).map(|uri| uri.to_string()).as_deref(), expect, "{location}");
        }
    }
}
