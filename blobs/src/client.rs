//! How `object_store` speaks HTTP here: over hyper and rustls, with connections that are kept, and bounds on waiting.

use std::sync::Arc;
use std::time::Duration;

use cumulet_base::limits;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

const ANSWER_TIMEOUT: Duration = Duration::from_millis(limits::BLOB_BUCKET_ANSWER_TIMEOUT_MS);

#[derive(Clone, Debug)]
pub struct Connector(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl Connector {
    pub fn new(tls: Arc<ClientConfig>) -> Connector {
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_millis(limits::BLOB_BUCKET_CONNECT_TIMEOUT_MS)));
        let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config((*tls).clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(limits::BLOB_BUCKET_IDLE_MS))
            .pool_max_idle_per_host(limits::BLOB_BUCKET_IDLE_CONNECTIONS_MAX)
            .build(https.https_or_http().enable_http1().wrap_connector(tcp));
        Connector(client)
    }
}

impl HttpConnector for Connector {
    /// All of a bucket's requests share the connections; credentials are fetched over them too.
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = timeout(ANSWER_TIMEOUT, self.0.request(request)).await.map_err(late)?;
        let (head, body) = answer.map_err(failed)?.into_parts();
        let frames = stream::unfold(Some(body), |body| async {
            let mut body = body?;
            match timeout(ANSWER_TIMEOUT, body.frame()).await {
                Ok(None) => None,
                Ok(Some(Ok(frame))) => Some((Ok(frame), Some(body))),
                Ok(Some(Err(e))) => Some((Err(HttpError::new(HttpErrorKind::Interrupted, e)), None)),
                Err(e) => Some((Err(late(e)), None)),
            }
        });
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(StreamBody::new(Box::pin(frames)))))
    }
}

fn late(e: tokio::time::error::Elapsed) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, e)
}

/// Says what may be tried again in any case: what surely never got to the other side.
fn failed(e: hyper_util::client::legacy::Error) -> HttpError {
    let kind = if e.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, e)
}
