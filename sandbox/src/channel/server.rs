//! The HTTP server of one instance: connections in, requests to whoever answers them. Knows no path.

use std::convert::Infallible;
use std::net::TcpListener as StdTcpListener;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::extensions::attendant::Task;

/// Connections of one instance; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves until what is returned is dropped. Must be called inside a tokio runtime. `function` is for messages.
pub(crate) fn serve<A, F>(listener: StdTcpListener, function: &str, answer: A) -> std::io::Result<Task>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let function = function.to_owned();
    Ok(Task::spawn(async move { accept(&listener, &function, answer).await }))
}

async fn accept<A, F>(listener: &TcpListener, function: &str, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
            continue;
        }
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(function, %error, "runtime API: accepting");
                // Most likely descriptors have run out; trying again at once would burn a core.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it an answer could wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (answer, function) = (answer.clone(), function.to_owned());
        connections.spawn(async move {
            let service = service_fn(|request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let served = http1::Builder::new()
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(function, %error, "runtime API connection");
            }
        });
    }
}
