//! HTTP and HTTPS requests that this cloud makes by itself: one request, one connection, one answer of bounded size within
//! a bounded time. Deliberately absent: redirects, proxies, keeping connections, and servers at link-local addresses, which are
//! those of a machine's own metadata. Servers are trusted by the public authorities, and by those that [`trust`] adds.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cumulet_base::limits;
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("`{0}` is not the address of a web server")]
    Address(String),
    #[error("connecting to `{0}`: {1}")]
    Connecting(String, String),
    #[error("calling `{0}`: {1}")]
    Calling(String, String),
    #[error("calling `{0}`: no answer within {1} ms")]
    Late(String, u128),
}

static TRUSTED: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();

/// Authorities besides the public ones, in PEM; once, before the first request.
///
/// # Errors
/// What of it is no certificate of an authority.
pub fn trust(pem: &[u8]) -> Result<(), String> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    if certificates.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let mut tried = RootCertStore::empty();
    for certificate in &certificates {
        tried.add(certificate.clone()).map_err(|e| e.to_string())?;
    }
    TRUSTED.set(certificates).map_err(|_| "authorities were named before".to_owned())
}

static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(TRUSTED.get().cloned().unwrap_or_default());
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
});

/// Whom this cloud trusts, for those who keep connections of their own.
pub fn tls() -> Arc<ClientConfig> {
    TLS.clone()
}

/// The URI of the request names scheme and server.
///
/// # Errors
/// When there was no answer; one with any status is an answer.
pub async fn send(request: Request<Bytes>, timeout: Duration) -> Result<Response<Bytes>, NoAnswer> {
    send_for(request, timeout, limits::OUTBOUND_ANSWER_BYTES_MAX).await
}

/// As [`send`], for an answer of up to so many bytes.
///
/// # Errors
/// As [`send`]'s.
pub async fn send_for(
    request: Request<Bytes>,
    timeout: Duration,
    bytes_max: usize,
) -> Result<Response<Bytes>, NoAnswer> {
    let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let answer = tokio::time::timeout(timeout, exchange(request, bytes_max)).await;
    answer.unwrap_or_else(|_| Err(NoAnswer::Late(server, timeout.as_millis())))
}

async fn exchange(request: Request<Bytes>, bytes_max: usize) -> Result<Response<Bytes>, NoAnswer> {
    let uri = request.uri().clone();
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(NoAnswer::Address(uri.to_string()));
    };
    let is_encrypted = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(NoAnswer::Address(uri.to_string())),
    };
    let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connecting = |e: &dyn std::fmt::Display| NoAnswer::Connecting(host.to_owned(), e.to_string());
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|e| connecting(&e))?;
    let addresses: Vec<SocketAddr> = addresses.filter(|address| !is_link_local(address.ip())).collect();
    if addresses.is_empty() {
        return Err(connecting(&"it has link-local addresses only"));
    }
    let stream = TcpStream::connect(&addresses[..]).await.map_err(|e| connecting(&e))?;
    // A request in one piece has nothing to wait for; where it cannot be said so, it is only slower.
    let _slower = stream.set_nodelay(true);
    if is_encrypted {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| connecting(&e))?;
        let stream = TlsConnector::from(tls()).connect(name, stream).await.map_err(|e| connecting(&e))?;
        return over(stream, request, &uri, bytes_max).await;
    }
    over(stream, request, &uri, bytes_max).await
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

async fn over<S>(stream: S, request: Request<Bytes>, uri: &Uri, bytes_max: usize) -> Result<Response<Bytes>, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = uri.authority().map(ToString::to_string).unwrap_or_default();
    let failed = |e: &dyn std::fmt::Display| NoAnswer::Calling(server.clone(), e.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| failed(&e))?;
    // Ends with the sender, or with the server.
    let running = tokio::spawn(connection);
    let _end = AbortOnDrop(running);
    let (mut head, body) = request.into_parts();
    head.uri =
        uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| path.as_str().parse().unwrap_or_default());
    let host = server.rsplit('@').next().unwrap_or_default();
    head.headers.insert(HOST, HeaderValue::from_str(host).map_err(|e| failed(&e))?);
    let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await.map_err(|e| failed(&e))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|e| failed(&e))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_machines_metadata_are_out_of_reach() {
        for server in ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]"] {
            let request = Request::get(format!("http://{server}/")).body(Bytes::new()).unwrap();
            let error = send(request, Duration::from_secs(5)).await.unwrap_err().to_string();
            assert!(error.contains("link-local addresses only"), "{error}");
        }
        assert!(!is_link_local("127.0.0.1".parse().unwrap()) && !is_link_local("10.0.0.1".parse().unwrap()));
    }
}
