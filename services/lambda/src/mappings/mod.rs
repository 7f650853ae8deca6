//! Event source mappings: what reads queues and table streams and hands the records to a function in batches
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html>). Sources are read as any client
//! would, under the function's role; waiting is by the queue's long poll and the stream's wake-up, not by asking again.
//! Deliberately absent: Kinesis, Kafka, MQ and DocumentDB as sources.

mod batch;
mod filter;
mod input;
mod model;
mod queue;
mod storage;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use cumulet_base::clock::Clock;
use cumulet_base::{id, limits};
use cumulet_engine::catalog::Invoker;
use cumulet_store::Store;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::Operation;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::functions::Functions;
use crate::operations::{page_size, read_marker, write_marker};
use crate::{errors, names, settings};
use input::Input;
use model::{FORMAT, Mapping, Source, source_of};
use storage::Storage;

type Tags = BTreeMap<String, String>;
type TagChange<'a> = dyn Fn(&mut Tags) + Send + Sync + 'a;

#[rustfmt::skip]
pub const OPERATIONS: &[&str] = &[
    "CreateEventSourceMapping",
    "GetEventSourceMapping",
    "ListEventSourceMappings",
    "UpdateEventSourceMapping",
    "DeleteEventSourceMapping",
];

pub const fn create() -> Operation {
    Operation::rest("CreateEventSourceMapping", "POST", "/2015-03-31/event-source-mappings", 202)
}

pub const fn get() -> Operation {
    Operation::rest("GetEventSourceMapping", "GET", "/2015-03-31/event-source-mappings/{UUID}", 200)
}

pub const fn list() -> Operation {
    Operation::rest("ListEventSourceMappings", "GET", "/2015-03-31/event-source-mappings", 200).query(&[
        ("EventSourceArn", "EventSourceArn"),
        ("FunctionName", "FunctionName"),
        ("Marker", "Marker"),
        ("MaxItems", "MaxItems"),
    ])
}

pub const fn update() -> Operation {
    Operation::rest("UpdateEventSourceMapping", "PUT", "/2015-03-31/event-source-mappings/{UUID}", 202)
}

pub const fn delete() -> Operation {
    Operation::rest("DeleteEventSourceMapping", "DELETE", "/2015-03-31/event-source-mappings/{UUID}", 202)
}

const UPDATE_ATTEMPTS_MAX: usize = 16;
const PAGE_MAX: usize = 100;
const NOTHING_YET: &str = "No records processed";
const FINE: &str = "OK";
const FAILED: &str = "PROBLEM: Function call failed";

/// What mappings work with.
pub struct Ports {
    pub store: Arc<dyn Store>,
    pub functions: Arc<Functions>,
    pub invoker: Arc<dyn Invoker>,
    pub client: Client,
    pub clock: Arc<dyn Clock>,
}

/// All mappings of this cloud, and those at work.
#[derive(Clone)]
pub struct Mappings(Arc<Inner>);

struct Inner {
    ports: Ports,
    storage: Storage,
    pollers: Mutex<HashMap<String, Poller>>,
    /// One change of a mapping's work at a time; gone with the mapping.
    changing: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    stop: watch::Sender<bool>,
}

/// A mapping at work.
struct Poller {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    result: Arc<Mutex<String>>,
}

/// What a poller goes by.
#[derive(Clone)]
struct Work {
    inner: Arc<Inner>,
    mapping: Arc<Mapping>,
    stop: watch::Receiver<bool>,
    result: Arc<Mutex<String>>,
}

impl Work {
    fn is_over(&self) -> bool {
        *self.stop.borrow()
    }

    fn say(&self, result: &str) {
        let mut last = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != result {
            result.clone_into(&mut last);
        }
    }

    /// Whether the time passed; otherwise the mapping is to stop.
    async fn pause(&mut self, ms: u64) -> bool {
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_millis(ms)) => true,
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }

    /// Reads as the function would: under its role.
    async fn caller(&self) -> Result<Caller, ApiError> {
        let target = self.mapping.target();
        let named = names::Named {
            account: target.account,
            region: target.region,
            name: target.name,
            qualifier: target.qualifier,
        };
        let function = self.inner.ports.functions.function(&named).await?;
        caller_of(&function.role, &named.name)
    }
}

fn caller_of(role: &str, name: &str) -> Result<Caller, ApiError> {
    Caller::role(role, name).ok_or_else(|| errors::invalid_parameter(format!("{role} is not a role")))
}

impl Mappings {
    pub fn new(ports: Ports) -> Mappings {
        let storage = Storage::new(ports.store.clone());
        Mappings(Arc::new(Inner {
            ports,
            storage,
            pollers: Mutex::default(),
            changing: Mutex::default(),
            stop: watch::Sender::new(false),
        }))
    }

    /// Sets all enabled mappings to work, once the services they read are connected.
    pub async fn start(&self) -> Result<(), ApiError> {
        for mapping in self.0.storage.all().await? {
            self.begin(&mapping);
        }
        Ok(())
    }

    /// Reads no further records; batches under way end by themselves.
    pub fn halt(&self) {
        self.0.stop.send_replace(true);
        let pollers = self.pollers();
        pollers.values().for_each(|poller| {
            poller.stop.send_replace(true);
        });
    }

    fn pollers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Poller>> {
        self.0.pollers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, mapping: &Mapping) {
        if !mapping.is_enabled || *self.0.stop.borrow() {
            return;
        }
        let stop = watch::Sender::new(false);
        let result = Arc::new(Mutex::new(NOTHING_YET.to_owned()));
        let work = Work {
            inner: self.0.clone(),
            mapping: Arc::new(mapping.clone()),
            stop: stop.subscribe(),
            result: result.clone(),
        };
        let task = match mapping.source() {
            Some(Source::Queue | Source::Fifo) => tokio::spawn(queue::run(work)),
            Some(Source::TableStream) => tokio::spawn(stream::run(work)),
            None => return,
        };
        let old = self.pollers().insert(mapping.uuid.clone(), Poller { stop, task, result });
        debug_assert!(old.is_none(), "a mapping works once");
    }

    /// Returns when the mapping hands over nothing more.
    async fn end(&self, uuid: &str) {
        let poller = self.pollers().remove(uuid);
        if let Some(Poller { stop, task, .. }) = poller {
            stop.send_replace(true);
            // It failed, or it is over: either way it is gone.
            let _ended = task.await;
        }
    }

    /// Makes a mapping's work what its row says, once that was written. Goes on if the caller goes away; whatever changes
    /// meet, the last one here sees the last row, and a deleted mapping's work is not begun again.
    fn settle(&self, uuid: &str) {
        let (mappings, uuid) = (self.clone(), uuid.to_owned());
        tokio::spawn(async move {
            let changing = || mappings.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let mine = changing().entry(uuid.clone()).or_default().clone();
            let _one = mine.lock().await;
            mappings.end(&uuid).await;
            let settled = match mappings.0.storage.find(&uuid).await {
                Ok(Some((mapping, _))) => {
                    mappings.begin(&mapping);
                    Ok(())
                }
                // What its work wrote down while it ended goes, too.
                Ok(None) => {
                    changing().remove(&uuid);
                    mappings.0.storage.delete(&uuid).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                tracing::error!(mapping = uuid, %error, "a mapping's work stands still until the next start");
            }
        });
    }

    fn shape(&self, mapping: &Mapping) -> Value {
        let last = self.pollers().get(&mapping.uuid).map(|poller| poller.result.clone());
        let last = last.map(|result| result.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let state = if mapping.is_enabled { "Enabled" } else { "Disabled" };
        mapping.shape(state, last.as_deref().unwrap_or(NOTHING_YET))
    }

    pub async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        let context = call.context.clone();
        let name = call.operation.name;
        let input = input::read(call.input)?;
        match name {
            "CreateEventSourceMapping" => self.create(&context, &input).await,
            "GetEventSourceMapping" => Answer::json(self.shape(&self.require(&context, &input).await?.0)),
            "ListEventSourceMappings" => self.list(&context, &input).await,
            "UpdateEventSourceMapping" => self.update(&context, &input).await,
            "DeleteEventSourceMapping" => {
                let (mapping, _) = self.require(&context, &input).await?;
                self.0.storage.delete(&mapping.uuid).await?;
                self.settle(&mapping.uuid);
                Answer::json(mapping.shape("Deleting", NOTHING_YET))
            }
            other => Err(ApiError::not_implemented("lambda", other)),
        }
    }

    async fn require(
        &self,
        context: &cumulet_wire::call::Context,
        input: &Input,
    ) -> Result<(Mapping, cumulet_store::Rev), ApiError> {
        let uuid = input.uuid.as_deref().unwrap_or_default();
        let found = self.0.storage.find(uuid).await?;
        found
            .filter(|(mapping, _)| mapping.account == context.account() && mapping.region == context.region)
            .ok_or_else(errors::no_such_resource)
    }

    async fn create(&self, context: &cumulet_wire::call::Context, input: &Input) -> Result<Answer, ApiError> {
        let missing = |member: &str| {
            let mut checks = cumulet_wire::validate::Validation::new();
            checks.required(member, None::<&String>);
            checks.finish("ValidationException").err().unwrap_or_else(|| errors::invalid_parameter(member))
        };
        let function_name = input.function_name.as_deref().ok_or_else(|| missing("functionName"))?;
        let named = names::read(context, function_name, None)?;
        let source_arn = input
            .event_source_arn
            .as_deref()
            .ok_or_else(|| errors::invalid_parameter("EventSourceArn is required for this event source type."))?;
        const PATTERN: &str =
            "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}(-gov)?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)";
        let mut checks = cumulet_wire::validate::Validation::new();
        checks
            .pattern("eventSourceArn", Some(source_arn), PATTERN, |arn| arn.parse::<cumulet_base::arn::Arn>().is_ok());
        checks.finish("ValidationException")?;
        let source = source_of(source_arn)
            .ok_or_else(|| errors::not_built(&format!("event source mappings of {source_arn}")))?;
        let now_ms = context.now_ms;
        let mut mapping = Mapping {
            v: FORMAT,
            uuid: id::uuid(),
            account: named.account.clone(),
            region: named.region.clone(),
            function: named.name.clone(),
            qualifier: named.qualifier.clone(),
            source_arn: source_arn.to_owned(),
            is_enabled: true,
            batch_size: if source == Source::TableStream { limits::MAPPING_STREAM_BATCH_DEFAULT } else { 10 },
            window_s: 0,
            filters: Vec::new(),
            reports_failures: false,
            concurrency_max: None,
            stream: match source {
                Source::TableStream => Some(input::stream_settings(input)?),
                Source::Queue | Source::Fifo => None,
            },
            tags: input.tags.clone().unwrap_or_default(),
            created_ms: now_ms,
            modified_ms: now_ms,
        };
        input::apply(input, &mut mapping, source)?;
        let function = self.0.ports.functions.function(&named).await?;
        let caller = caller_of(&function.role, &named.name)?;
        self.check_source(&mapping, source, &caller, function.timeout_s).await?;
        for other in self.0.storage.all().await? {
            if other.source_arn == mapping.source_arn && other.target() == mapping.target() {
                return Err(errors::conflict(format!(
                    "An event source mapping with {} arn (\" {} \") and function (\" {} \") already exists. Please update or delete the existing mapping with UUID {}",
                    if source == Source::TableStream { "DynamoDB stream" } else { "SQS" },
                    mapping.source_arn,
                    mapping.function,
                    other.uuid
                )));
            }
        }
        self.0.storage.put(&mapping, None).await?;
        self.settle(&mapping.uuid);
        Answer::json(mapping.shape("Creating", NOTHING_YET))
    }

    /// That the source is there and the function's role may read it.
    async fn check_source(
        &self,
        mapping: &Mapping,
        source: Source,
        caller: &Caller,
        timeout_s: u32,
    ) -> Result<(), ApiError> {
        let client = &self.0.ports.client;
        let actions: &[&str] = match source {
            Source::Queue | Source::Fifo => &["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
            Source::TableStream => &["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"],
        };
        for action in actions {
            if client.may(caller, action, &mapping.source_arn).await.is_err() {
                let (service, name) = action.split_once(':').unwrap_or_default();
                return Err(errors::invalid_parameter(format!(
                    "The function execution role does not have permissions to call {name} on {}",
                    if service == "sqs" { "SQS" } else { "DynamoDB" }
                )));
            }
        }
        match source {
            Source::Queue | Source::Fifo => {
                let answer = queue::attributes(client, caller, mapping).await.map_err(|error| {
                    errors::invalid_parameter(format!(
                        "Error occurred while ReceiveMessage. SQS Error Code: {}. SQS Error Message: {}",
                        error.code, error.message
                    ))
                })?;
                let visible_s = answer["Attributes"]["VisibilityTimeout"].as_str().and_then(|s| s.parse::<u32>().ok());
                if let Some(visible_s) = visible_s.filter(|visible_s| *visible_s < timeout_s) {
                    return Err(errors::invalid_parameter(format!(
                        "Queue visibility timeout: {visible_s} seconds is less than Function timeout: {timeout_s} seconds"
                    )));
                }
            }
            Source::TableStream => {
                stream::describe(client, caller, mapping).await.map_err(|error| {
                    errors::invalid_parameter(format!("Stream not found: {} ({})", mapping.source_arn, error.message))
                })?;
            }
        }
        Ok(())
    }

    /// Tags of a mapping by its id, after `change` where there is one.
    pub async fn tags(
        &self,
        context: &cumulet_wire::call::Context,
        uuid: &str,
        change: Option<&TagChange<'_>>,
    ) -> Result<Tags, ApiError> {
        let mut input = Input::default();
        input.uuid = Some(uuid.to_owned());
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (mut mapping, rev) = self.require(context, &input).await?;
            let Some(change) = change else { return Ok(mapping.tags) };
            change(&mut mapping.tags);
            settings::check_tags(&mapping.tags)?;
            if self.0.storage.put(&mapping, Some(rev)).await? {
                return Ok(mapping.tags);
            }
        }
        Err(errors::conflict("The event source mapping is being changed by other requests."))
    }

    async fn list(&self, context: &cumulet_wire::call::Context, input: &Input) -> Result<Answer, ApiError> {
        let named = input.function_name.as_deref().map(|name| names::read(context, name, None)).transpose()?;
        let max = page_size(input.max_items.as_ref(), 10_000, PAGE_MAX)?;
        let after = input.marker.as_deref().map(read_marker).transpose()?;
        let mut found = self.0.storage.all().await?;
        found.retain(|mapping| {
            mapping.account == context.account()
                && mapping.region == context.region
                && input.event_source_arn.as_ref().is_none_or(|arn| *arn == mapping.source_arn)
                && named.as_ref().is_none_or(|named| {
                    named.name == mapping.function
                        && (named.qualifier.is_none() || named.qualifier == mapping.qualifier)
                })
                && after.as_ref().is_none_or(|after| mapping.uuid > *after)
        });
        let has_more = found.len() > max;
        found.truncate(max);
        let mut answer =
            json!({"EventSourceMappings": found.iter().map(|mapping| self.shape(mapping)).collect::<Vec<_>>()});
        if let Some(last) = found.last().filter(|_| has_more) {
            answer["NextMarker"] = json!(write_marker(&last.uuid));
        }
        Answer::json(answer)
    }

    async fn update(&self, context: &cumulet_wire::call::Context, input: &Input) -> Result<Answer, ApiError> {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (mut mapping, rev) = self.require(context, input).await?;
            let was_enabled = mapping.is_enabled;
            let source = mapping.source().ok_or_else(errors::no_such_resource)?;
            if let Some(name) = input.function_name.as_deref() {
                let named = names::read(context, name, None)?;
                self.0.ports.functions.require(&named).await?;
                mapping.function = named.name;
                mapping.qualifier = named.qualifier;
            }
            input::apply(input, &mut mapping, source)?;
            mapping.modified_ms = context.now_ms;
            if !self.0.storage.put(&mapping, Some(rev)).await? {
                continue;
            }
            self.settle(&mapping.uuid);
            let state = match (was_enabled, mapping.is_enabled) {
                (true, false) => "Disabling",
                (false, true) => "Enabling",
                _ => "Updating",
            };
            return Answer::json(mapping.shape(state, NOTHING_YET));
        }
        Err(errors::conflict("The event source mapping is being changed by other requests."))
    }
}
