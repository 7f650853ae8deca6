//! What AWS's Lambda Web Adapter is: an extension that, on behalf of a plain web server, also is the runtime.

use lambda_extension::Extension;
use lambda_http::{Body, Error, Request, Response, service_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SERVER: &str = "127.0.0.1:8080";

pub async fn run() -> Result<(), Error> {
    let registered = Extension::new().with_events(&[]).register().await?;
    tokio::spawn(registered.run());
    // The server is started beside, by the wrapper; until it listens there is nothing to pass on.
    while TcpStream::connect(SERVER).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    lambda_http::run(service_fn(pass_on)).await
}

async fn pass_on(request: Request) -> Result<Response<Body>, Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut text = format!("{} {path} HTTP/1.0\r\nHost: {SERVER}\r\nContent-Length: {}\r\n", parts.method, body.len());
    for (name, value) in &parts.headers {
        if name != "content-length" && name != "host" {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
    }
    let mut stream = TcpStream::connect(SERVER).await?;
    stream.write_all(format!("{text}\r\n").as_bytes()).await?;
    stream.write_all(&body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the server's answer has no head")?;
    let status = head.split(' ').nth(1).ok_or("the server's answer has no status")?;
    Ok(Response::builder().status(status).header("content-type", "text/plain").body(body.into())?)
}
