//! The platform's own API, for the command line: uploads of code until there is an object store, and a look at the
//! instances. Model `cumulet`, REST-JSON, signed like any other.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::limits;
use cumulet_blobs::Blobs;
use cumulet_engine::Engine;
use cumulet_engine::catalog::Target;
use cumulet_engine::code::check_zip;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::data_plane::{DataPlane, HttpRequest};
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::{Operation, Protocol, Service, ServiceModel};
use http::Response;
use serde_json::json;

/// The bucket uploaded code seems to lie in; its keys are digests.
pub const ARTIFACTS_BUCKET: &str = "cumulet-artifacts";

static OPERATIONS: [Operation; 5] = [
    Operation::rest("PutArtifact", "POST", "/_cumulet/artifacts", 200).raw_payload(),
    Operation::rest("ListInstances", "GET", "/_cumulet/instances", 200),
    Operation::rest("StartInspection", "PUT", "/_cumulet/functions/{FunctionName}/inspection", 200),
    Operation::rest("EndInspection", "DELETE", "/_cumulet/functions/{FunctionName}/inspection", 204),
    Operation::rest("GetMetrics", "GET", "/_cumulet/metrics", 200),
];

static MODEL: ServiceModel = ServiceModel {
    name: "cumulet",
    protocol: Protocol::RestJson,
    target: "",
    xmlns: "",
    operations: &OPERATIONS,
    absent: &[],
};

pub struct Platform {
    blobs: Arc<Blobs>,
    engine: Engine,
    /// Where debuggers are listened for: where the cloud listens.
    address: IpAddr,
}

impl Platform {
    pub fn new(blobs: Arc<Blobs>, engine: Engine, address: IpAddr) -> Platform {
        Platform { blobs, engine, address }
    }

    /// Lets instances of a function wait for a debugger; answers where that is listened for. A debugger can do all that the
    /// function can, and asks nobody: it is for clouds that only their own machine reaches.
    async fn start_inspection(&self, call: &Call) -> Result<Answer, ApiError> {
        if !self.address.is_loopback() {
            let message = "debuggers are for clouds that listen on 127.0.0.1 only";
            return Err(ApiError::new(403, "AccessDeniedException", message));
        }
        let port = call.input.get("Port").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let port =
            u16::try_from(port).map_err(|_| ApiError::new(400, "ValidationException", format!("{port} is no port")))?;
        let begun = self.engine.inspect(&target(call), SocketAddr::new(self.address, port)).await;
        let address = begun
            .map_err(|e| ApiError::new(409, "ResourceConflictException", format!("listening on port {port}: {e}")))?;
        Answer::json(json!({ "Address": address.to_string() }))
    }

    fn end_inspection(&self, call: &Call) -> Answer {
        self.engine.end_inspection(&target(call));
        Answer::empty()
    }

    /// Takes a zip of code; durable before it answers with the place that templates may name.
    async fn put_artifact(&self, zip: Bytes) -> Result<Answer, ApiError> {
        if zip.len() > limits::CODE_ZIP_BYTES_MAX {
            let message = format!("the archive has {} bytes, more than {}", zip.len(), limits::CODE_ZIP_BYTES_MAX);
            return Err(ApiError::new(413, "RequestTooLargeException", message));
        }
        check_zip(&zip).map_err(|e| ApiError::new(400, "InvalidParameterValueException", e.to_string()))?;
        let digest = self.blobs.put(zip).await.map_err(|e| ApiError::internal(e.to_string()))?;
        Answer::json(json!({ "Bucket": ARTIFACTS_BUCKET, "Key": digest.to_string() }))
    }

    fn list_instances(&self, account: &str, region: &str) -> Result<Answer, ApiError> {
        let mine = self.engine.pools().into_iter().filter(|p| p.account == account && p.region == region);
        let views: Vec<_> = mine
            .map(|p| {
                json!({ "FunctionName": p.function, "Version": p.version, "Idle": p.idle, "Busy": p.busy, "Starting": p.starting,
                    "Waiting": p.waiting, "Cloned": p.born.cloned, "Started": p.born.started, "How": p.how })
            })
            .collect();
        Answer::json(json!({ "Instances": views }))
    }

    /// The instances as numbers, in the text format that Prometheus reads.
    fn metrics(&self, account: &str, region: &str) -> Answer {
        let mine = self.engine.pools().into_iter().filter(|p| p.account == account && p.region == region);
        let mut text = String::new();
        for p in mine {
            let label = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
            let function = format!("function=\"{}\",version=\"{}\"", label(&p.function), label(&p.version));
            for (state, count) in [("idle", p.idle), ("busy", p.busy), ("starting", p.starting)] {
                text.push_str(&format!("cumulet_instances{{{function},state=\"{state}\"}} {count}\n"));
            }
            text.push_str(&format!("cumulet_waiting{{{function}}} {}\n", p.waiting));
            for (how, count) in [("cloned", p.born.cloned), ("started", p.born.started)] {
                text.push_str(&format!("cumulet_instances_born_total{{{function},how=\"{how}\"}} {count}\n"));
            }
            if let Some(how) = p.how {
                text.push_str(&format!("cumulet_instances_come_to_be{{{function},how=\"{}\"}} 1\n", label(&how)));
            }
        }
        Answer { payload: Some(text.into()), ..Answer::empty() }
    }
}

fn target(call: &Call) -> Target {
    let name = call.input.get("FunctionName").and_then(serde_json::Value::as_str).unwrap_or_default();
    Target {
        account: call.context.account().to_owned(),
        region: call.context.region.clone(),
        name: name.to_owned(),
        qualifier: None,
    }
}

#[async_trait]
impl Service for Platform {
    fn model(&self) -> &'static ServiceModel {
        &MODEL
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        match call.operation.name {
            "PutArtifact" => self.put_artifact(call.payload).await,
            "ListInstances" => self.list_instances(call.context.account(), &call.context.region),
            "StartInspection" => self.start_inspection(&call).await,
            "EndInspection" => Ok(self.end_inspection(&call)),
            "GetMetrics" => Ok(self.metrics(call.context.account(), &call.context.region)),
            other => Err(ApiError::not_implemented(MODEL.name, other)),
        }
    }
}

/// `GET /_cumulet/health`: whether the front door answers; for load balancers and scripts, unsigned.
pub struct Health;

#[async_trait]
impl DataPlane for Health {
    fn claims(&self, _host_name: &str, path: &str) -> bool {
        path == "/_cumulet/health"
    }

    fn body_bytes_max(&self) -> usize {
        0
    }

    fn too_large(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
        response
    }

    async fn serve(&self, _request: HttpRequest) -> Response<Bytes> {
        Response::new(Bytes::from_static(b"{\"status\":\"ok\"}"))
    }
}
