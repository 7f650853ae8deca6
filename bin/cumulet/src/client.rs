//! The command line's own client: signed requests over HTTP to a running cloud, wherever it is.

use bytes::Bytes;
use clap::Args;
use cumulet_base::clock::{Clock, SystemClock};
use cumulet_wire::auth::sigv4::{self, Keys, Signed};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::output::Failure;

/// Which cloud to talk to. The variables are those of the AWS tools.
#[derive(Args, Clone)]
pub struct Connection {
    /// Address of the cloud
    #[arg(long, global = true, env = "AWS_ENDPOINT_URL", default_value = "http://127.0.0.1:4566")]
    endpoint: String,
    #[arg(long, global = true, env = "AWS_REGION", default_value = "us-east-1", help = "Region")]
    region: String,
}

/// As whom. Variables only: as flags they would be taken for the keys that `up` is to accept.
struct OwnKeys {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl OwnKeys {
    fn from_environment() -> OwnKeys {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let well_known = || "test".to_owned();
        OwnKeys {
            access_key_id: variable("AWS_ACCESS_KEY_ID").unwrap_or_else(well_known),
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY").unwrap_or_else(well_known),
            session_token: variable("AWS_SESSION_TOKEN"),
        }
    }
}

impl Connection {
    pub fn client(self) -> Result<Client, Failure> {
        let address = self.endpoint.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').to_owned());
        let Some(host) = address.filter(|host| !host.is_empty() && !host.contains('/')) else {
            return Err(Failure::usage(format!(
                "the endpoint `{}` is not of the form http://HOST:PORT",
                self.endpoint
            )));
        };
        Ok(Client { connection: self, keys: OwnKeys::from_environment(), host })
    }
}

pub struct Client {
    connection: Connection,
    keys: OwnKeys,
    host: String,
}

impl Client {
    /// Points another tool, to be run by this one, to the same cloud.
    pub fn hand_on(&self, command: &mut std::process::Command) {
        command
            .env("AWS_ENDPOINT_URL", &self.connection.endpoint)
            .env("AWS_REGION", &self.connection.region)
            .env("AWS_DEFAULT_REGION", &self.connection.region)
            .env("AWS_ACCESS_KEY_ID", &self.keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.keys.secret_access_key);
        if let Some(token) = &self.keys.session_token {
            command.env("AWS_SESSION_TOKEN", token);
        }
    }
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn checked(self) -> Result<Answer, Failure> {
        if self.status < 400 {
            return Ok(self);
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = body.get("Error").unwrap_or(&body);
        let text =
            |names: &[&str]| names.iter().find_map(|name| error.get(*name)).and_then(Value::as_str).map(str::to_owned);
        let code = self.header("x-amzn-errortype").map(str::to_owned).or_else(|| text(&["Code", "__type"]));
        let message = text(&["message", "Message"]).unwrap_or_else(|| format!("the cloud answered {}", self.status));
        Err(Failure::of_service(self.status, code.unwrap_or_else(|| self.status.to_string()), message))
    }

    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|e| Failure::new(format!("the cloud's answer is not JSON: {e}")))
    }
}

impl Client {
    pub fn endpoint(&self) -> &str {
        self.connection.endpoint.trim_end_matches('/')
    }

    pub fn region(&self) -> &str {
        &self.connection.region
    }

    pub fn keys(&self) -> Keys<'_> {
        Keys {
            access_key_id: &self.keys.access_key_id,
            secret_access_key: &self.keys.secret_access_key,
            session_token: self.keys.session_token.as_deref(),
        }
    }

    /// A REST call; `target` is path and query, encoded.
    pub async fn rest(
        &self,
        service: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, Failure> {
        self.send(service, method, target, headers, body.into()).await?.checked()
    }

    /// A call of the query protocol, answered in JSON.
    pub async fn query(&self, service: &str, action: &str, members: &[(String, String)]) -> Result<Value, Failure> {
        let mut form = format!("Action={action}");
        for (name, value) in members {
            form.push_str(&format!("&{}={}", sigv4::encode(name, false), sigv4::encode(value, false)));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
        self.send(service, "POST", "/", &headers, form.into()).await?.checked()?.json()
    }

    /// A call of the JSON 1.1 protocol.
    pub async fn target(&self, service: &str, target: &str, input: &Value) -> Result<Value, Failure> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.send(service, "POST", "/", &headers, input.to_string().into()).await?.checked()?.json()
    }

    async fn send(
        &self,
        service: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let unreachable = |e: &dyn std::fmt::Display| {
            Failure::new(format!("no cloud answers at {} ({e}); start one with `cumulet up`", self.endpoint()))
        };
        let stream = tokio::net::TcpStream::connect(&self.host).await.map_err(|e| unreachable(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| unreachable(&e))?;
        // Its errors come back through the request, too.
        let driver = tokio::spawn(async move { connection.await.is_ok() });
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let bad = |e: &dyn std::fmt::Display| Failure::usage(format!("the request cannot be written: {e}"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = http::HeaderName::try_from(*name).map_err(|e| bad(&e))?;
            map.insert(name, http::HeaderValue::try_from(*value).map_err(|e| bad(&e))?);
        }
        let signed = Signed { method, path, query, headers: &map, host: &self.host, body: &body };
        let mut map = sigv4::sign(&signed, &self.keys(), self.region(), service, SystemClock.now_ms());
        map.insert("host", http::HeaderValue::try_from(&self.host).map_err(|e| bad(&e))?);
        let request = Request::builder().method(method).uri(target).body(Full::new(body));
        let mut request = request.map_err(|e| bad(&e))?;
        *request.headers_mut() = map;
        let response = sender.send_request(request).await.map_err(|e| unreachable(&e))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| unreachable(&e))?.to_bytes();
        drop(sender);
        driver.abort();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// A path segment, encoded.
pub fn segment(text: &str) -> String {
    sigv4::encode(text, false).into_owned()
}
