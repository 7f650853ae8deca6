//! The operations, grouped by what they are about, and what they share: inputs, finding stacks, starting work.

mod change_sets;
mod drift;
mod imports;
mod look;
mod macros;
mod signal;
mod stacks;
mod templates;
mod triggers;
mod url;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cumulet_base::limits;
use cumulet_store::Rev;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::CloudFormation;
use crate::errors::Error;
use crate::executor::{self, Run};
use crate::intrinsics::Pseudo;
use crate::notices;
use crate::prepared::{self, Prepared};
use crate::stack::{Event, Imports, Job, Notified, OnFailure, Stack, Texts, Wish};
use crate::storage::{Beside, Owner};
use crate::template::Given;

type Input = Map<String, Value>;

impl CloudFormation {
    pub(crate) async fn operate(&self, call: &Call) -> Result<Answer, ApiError> {
        let (ctx, input) = (&call.context, &call.input);
        let output = match call.operation.name {
            "CreateStack" => self.create_stack(ctx, input).await,
            "UpdateStack" => self.update_stack(ctx, input).await,
            "DeleteStack" => self.delete_stack(ctx, input).await,
            "CreateChangeSet" => self.create_change_set(ctx, input).await,
            "DescribeChangeSet" => self.describe_change_set(ctx, input).await,
            "ExecuteChangeSet" => self.execute_change_set(ctx, input).await,
            "DeleteChangeSet" => self.delete_change_set(ctx, input).await,
            "ListChangeSets" => self.list_change_sets(ctx, input).await,
            "DescribeStacks" => self.describe_stacks(ctx, input).await,
            "ListStacks" => self.list_stacks(ctx, input).await,
            "DescribeStackEvents" => self.describe_events(ctx, input).await,
            "DescribeStackResources" => self.describe_resources(ctx, input).await,
            "DescribeStackResource" => self.describe_resource(ctx, input).await,
            "ListStackResources" => self.list_resources(ctx, input).await,
            "GetTemplate" => self.get_template(ctx, input).await,
            "GetTemplateSummary" => self.get_template_summary(ctx, input).await,
            "ValidateTemplate" => self.validate(ctx, input).await,
            "CancelUpdateStack" => self.cancel_update(ctx, input).await,
            "ContinueUpdateRollback" => self.continue_rollback(ctx, input).await,
            "RollbackStack" => self.roll_back(ctx, input).await,
            "GetStackPolicy" => self.get_policy(ctx, input).await,
            "SetStackPolicy" => self.set_policy(ctx, input).await,
            "UpdateTerminationProtection" => self.protect(ctx, input).await,
            "ListExports" => self.list_exports(ctx, input).await,
            "ListImports" => self.list_imports(ctx, input).await,
            "DetectStackDrift" => self.detect_drift(ctx, input).await,
            "DetectStackResourceDrift" => self.detect_resource_drift(ctx, input).await,
            "DescribeStackDriftDetectionStatus" => self.describe_detection(ctx, input).await,
            "DescribeStackResourceDrifts" => self.describe_drifts(ctx, input).await,
            "SignalResource" => self.signal_resource(ctx, input).await,
            other => return Err(ApiError::not_implemented("cloudformation", other)),
        }?;
        Ok(Answer { output, ..Answer::default() })
    }

    /// A stack by name or ARN; deleted ones only by ARN.
    async fn find(&self, owner: &Owner, named: &str) -> Result<Option<(Stack, Rev)>, Error> {
        if named.starts_with("arn:") {
            return match named.rsplit('/').next() {
                Some(id) => self.storage.stack(owner, id).await,
                None => Ok(None),
            };
        }
        while let Some(id) = self.storage.named(owner, named).await? {
            match self.storage.stack(owner, &id).await? {
                // It has lost its name between the two looks; another stack may have it by now.
                Some((stack, _)) if stack.status == "DELETE_COMPLETE" => {}
                found => return Ok(found),
            }
        }
        Ok(None)
    }

    /// A stack that has to be there.
    async fn stack(&self, owner: &Owner, named: &str) -> Result<(Stack, Rev), Error> {
        self.find(owner, named).await?.ok_or_else(|| Error::NoStack(named.to_owned()))
    }

    /// With whose permissions a stack is worked on: the role's that is named now or was named before, or the caller's.
    async fn deployer(&self, ctx: &Context, stack: &mut Stack, given: Option<String>) -> Result<Caller, ApiError> {
        if let Some(role) = given {
            let link = self.link()?;
            link.authorizer.authorize(&ctx.caller, "iam:PassRole", &role).await?;
            stack.role_arn = Some(role);
        }
        let Some(role) = &stack.role_arn else { return Ok(ctx.caller.clone()) };
        let invalid = || Error::Validation(format!("Role {role} is invalid or cannot be assumed"));
        let mut context = ctx.clone();
        context.caller = Caller::service(ctx.account(), "cloudformation.amazonaws.com", &stack.arn);
        let input = json!({ "RoleArn": role, "RoleSessionName": "AWSCloudFormation" });
        let opened = self.link()?.registry.call("sts", "AssumeRole", input, context).await;
        opened.map_err(|_| invalid())?;
        Ok(Caller::role(role, "AWSCloudFormation").ok_or_else(invalid)?)
    }

    /// A request made ready, with what other services know asked for.
    async fn prepare(
        &self,
        ctx: &Context,
        stack: &Stack,
        caller: &Caller,
        mut wish: Wish,
        given: &[Given],
        is_new: bool,
    ) -> Result<Prepared, ApiError> {
        let declared = prepared::declared(&wish.template)?.1;
        let none = Texts::new();
        let previous = if is_new { &none } else { &stack.wish.parameters };
        wish.parameters = crate::template::texts(&declared, given, previous)?;
        wish.found = Texts::new();
        let client = self.client_of(caller, &ctx.region, &ctx.host)?;
        for (name, _) in declared.iter().filter(|(_, parameter)| parameter.is_looked_up()) {
            let wanted = &wish.parameters[name];
            let answer = client.call("ssm", "GetParameter", json!({ "Name": wanted })).await.map_err(|error| {
                match error.code.as_str() {
                    "ParameterNotFound" => Error::Validation(format!(
                        "Unable to fetch parameters [{wanted}] from parameter store for this account."
                    ))
                    .into(),
                    _ => error,
                }
            })?;
            let parameter = &answer["Parameter"];
            if parameter["Type"] == "SecureString" {
                let why =
                    format!("Parameters [{wanted}] referenced by template have types not supported by CloudFormation.");
                return Err(Error::Validation(why).into());
            }
            wish.found.insert(name.clone(), parameter["Value"].as_str().unwrap_or_default().to_owned());
        }
        let pseudo = pseudo(ctx, stack);
        wish.macros = self.macros(&client, &owner(ctx), &wish, &pseudo).await?;
        let exports = self.exports(&owner(ctx)).await?;
        Ok(prepared::prepare(wish, pseudo, exports, &stack.existing())?)
    }

    /// A job that begins with what the stack has now.
    fn job(&self, ctx: &Context, stack: &Stack, caller: Caller, wish: Wish, input: &Input) -> Job {
        Job {
            v: 1,
            id: cumulet_base::id::uuid(),
            on_failure: OnFailure::Rollback,
            retain: BTreeSet::new(),
            caller,
            host: ctx.host.clone(),
            token: text(input, "ClientRequestToken"),
            wish,
            before: stack.resources.clone(),
            imports_before: stack.imports.clone(),
            policy: None,
            began_ms: ctx.now_ms,
            retains_except_on_create: flag(input, "RetainExceptOnCreate"),
            is_forced: false,
            start: None,
            unfinished: BTreeSet::new(),
            is_first: false,
            imports: Imports::new(),
        }
    }

    /// A job that updates a stack. It goes back to when the stack was last complete: past the jobs that failed since
    /// then and were not taken back.
    async fn job_of_update(
        &self,
        ctx: &Context,
        stack: &Stack,
        caller: Caller,
        wish: Wish,
        input: &Input,
    ) -> Result<Job, Error> {
        let mut job = self.job(ctx, stack, caller, wish, input);
        if matches!(stack.status.as_str(), "CREATE_FAILED" | "UPDATE_FAILED") {
            let last = self.last_job(ctx, stack).await?;
            job.start = Some(std::mem::replace(&mut job.before, last.before));
            job.imports_before = last.imports_before;
            job.is_first = last.is_first || stack.status == "CREATE_FAILED";
            job.unfinished = last.unfinished;
            job.unfinished.insert(last.id);
        }
        Ok(job)
    }

    async fn last_job(&self, ctx: &Context, stack: &Stack) -> Result<Job, Error> {
        let job = self.storage.job(&owner(ctx), &stack.id).await?;
        job.ok_or_else(|| Error::Row(format!("the last job of {} is not there", stack.arn)))
    }

    /// Begins with a job in the background: the job and the stack's new status are written in one commit. Returns when the job
    /// is done or has taken a moment.
    async fn start(
        &self,
        owner: Owner,
        mut stack: Stack,
        rev: Option<Rev>,
        status: &str,
        job: Job,
        imports: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let permit = self.permit()?;
        let (id, job_id) = (stack.id.clone(), job.id.clone());
        self.cancelled.send_if_modified(|cancelled| cancelled.remove(&id));
        self.storage.mark_running(&owner, &id, &job_id, true).await?;
        let imported: Vec<String> = imports.difference(&stack.imports).cloned().collect();
        stack.imports.extend(imported.iter().cloned());
        stack.status = status.to_owned();
        stack.reason = Some("User Initiated".to_owned());
        let beside = Beside { job: Some(job.clone()), imported, ..Beside::default() };
        let mut event = root_event(&stack, job.began_ms);
        event.client_request_token.clone_from(&job.token);
        let entered = match rev {
            Some(rev) => self.storage.save_with(&owner, &stack, rev, &[event], &beside).await,
            None => self.storage.create(&owner, &stack, &[event], &beside).await,
        };
        let rev = match entered {
            Ok(rev) => rev,
            Err(error) => {
                self.storage.mark_running(&owner, &id, &job_id, false).await?;
                return Err(error);
            }
        };
        let run = Run { cloud: self.clone(), owner, stack, rev, job };
        let working = tokio::spawn(async move {
            let _permit = permit;
            executor::run(run).await;
        });
        // Tools look at once, and then every few seconds: what is done as good as at once is done at their first look.
        drop(tokio::time::timeout(Duration::from_millis(limits::STACK_ANSWER_MS), working).await);
        Ok(())
    }

    fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Error> {
        let permit = self.running.clone().try_acquire_owned();
        permit.map_err(|_| Error::Limit("stacks being worked on", limits::STACKS_RUNNING_MAX))
    }

    /// Goes on with what was interrupted. As many at once as ever; the others wait for their turn.
    pub(crate) async fn resume(&self) -> Result<(), Error> {
        for (owner, stack_id, job_id) in self.storage.running().await? {
            let found = self.storage.stack(&owner, &stack_id).await?;
            let job = self.storage.job(&owner, &stack_id).await?.filter(|job| job.id == job_id);
            match (found, job) {
                (Some((stack, rev)), Some(job)) if stack.is_busy() => {
                    tracing::info!(stack = stack.name, status = stack.status, "going on with a stack");
                    if self.storage.is_ending(&owner, &stack_id).await? {
                        self.cancelled.send_if_modified(|cancelled| cancelled.insert(stack_id.clone()));
                    }
                    let run = Run { cloud: self.clone(), owner, stack, rev, job };
                    let running = self.running.clone();
                    tokio::spawn(async move {
                        let _permit = running.acquire_owned().await;
                        executor::run(run).await;
                    });
                }
                _ => self.storage.mark_running(&owner, &stack_id, &job_id, false).await?,
            }
        }
        Ok(())
    }
}

/// The event of a stack's own status.
fn root_event(stack: &Stack, now_ms: u64) -> Event {
    Event {
        stack_id: stack.arn.clone(),
        event_id: cumulet_base::id::uuid(),
        stack_name: stack.name.clone(),
        logical_resource_id: stack.name.clone(),
        physical_resource_id: stack.arn.clone(),
        resource_type: "AWS::CloudFormation::Stack".into(),
        timestamp: cumulet_base::clock::iso_ms(now_ms),
        resource_status: stack.status.clone(),
        resource_status_reason: stack.reason.clone(),
        resource_properties: None,
        client_request_token: None,
    }
}

/// Who is told of the stack's events: those that a request names, or those that were told before.
fn notified(input: &Input, stack: &Stack, caller: &Caller) -> Result<Option<Notified>, Error> {
    Ok(told(notices::topics(input.get("NotificationARNs"), stack.topics())?, caller))
}

fn told(topics: Vec<String>, caller: &Caller) -> Option<Notified> {
    (!topics.is_empty()).then(|| Notified { topics, caller: caller.clone() })
}

fn owner(ctx: &Context) -> Owner {
    Owner { account: ctx.account().to_owned(), region: ctx.region.clone() }
}

fn text(input: &Input, member: &str) -> Option<String> {
    input.get(member).and_then(Value::as_str).map(str::to_owned)
}

fn needed(input: &Input, member: &str) -> Result<String, Error> {
    text(input, member).ok_or_else(|| {
        let mut name = member.to_owned();
        name[..1].make_ascii_lowercase();
        Error::Validation(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

fn flag(input: &Input, member: &str) -> bool {
    input.get(member).is_some_and(crate::template::is_true)
}

fn texts(input: &Input, member: &str) -> Vec<String> {
    let list = input.get(member).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn given(input: &Input) -> Result<Vec<Given>, Error> {
    match input.get("Parameters") {
        None | Some(Value::Null) => Ok(Vec::new()),
        // How the query protocol writes an empty list.
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(list) => serde_json::from_value(list.clone()).map_err(|e| Error::Validation(e.to_string())),
    }
}

fn tags(input: &Input) -> Option<Texts> {
    let list = input.get("Tags")?.as_array()?;
    let pair = |tag: &Value| {
        let key = tag.get("Key")?.as_str()?.to_owned();
        Some((key, tag.get("Value")?.as_str()?.to_owned()))
    };
    Some(list.iter().filter_map(pair).collect::<BTreeMap<_, _>>())
}

impl CloudFormation {
    /// The template of a request, or the one the stack has.
    async fn template_text(&self, ctx: &Context, input: &Input, previous: Option<&Stack>) -> Result<String, ApiError> {
        match (text(input, "TemplateBody"), text(input, "TemplateURL"), previous) {
            (Some(_), Some(_), _) => Err(Error::Validation(
                "You can only specify one of the following parameters: TemplateURL or TemplateBody.".into(),
            )
            .into()),
            (Some(body), None, _) => Ok(body),
            (None, Some(url), _) => self.fetch(ctx, &url).await,
            (None, None, Some(stack)) if flag(input, "UsePreviousTemplate") => Ok(stack.wish.template.clone()),
            _ => Err(Error::Validation("Either Template URL or Template Body must be specified.".into()).into()),
        }
    }

    /// An object of this cloud's store, read with the caller's permissions.
    async fn fetch(&self, ctx: &Context, url: &str) -> Result<String, ApiError> {
        let place = url::parse(url).ok_or_else(|| {
            Error::Validation(format!("TemplateURL must reference a valid S3 object to which you have access: {url}"))
        })?;
        let mut input = json!({ "Bucket": place.bucket, "Key": place.key });
        if let Some(version) = place.version {
            input["VersionId"] = version.into();
        }
        let client = self.client_of(&ctx.caller, &ctx.region, &ctx.host)?;
        let bytes = client.bytes("s3", "GetObject", input).await.map_err(|error| match error.status {
            501 => error,
            _ => Error::Validation(format!("S3 error: {} ({})", error.message, error.code)).into(),
        })?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::Template("the template is not text".into()).into())
    }

    /// What a request asks a stack to be; parameters come later, from the template.
    async fn wish(&self, ctx: &Context, input: &Input, previous: Option<&Stack>) -> Result<Wish, ApiError> {
        Ok(Wish {
            template: self.template_text(ctx, input, previous).await?,
            tags: tags(input).or_else(|| previous.map(|stack| stack.wish.tags.clone())).unwrap_or_default(),
            capabilities: texts(input, "Capabilities"),
            ..Wish::default()
        })
    }
}

fn pseudo(ctx: &Context, stack: &Stack) -> Pseudo {
    Pseudo {
        account: ctx.account().to_owned(),
        region: ctx.region.clone(),
        stack_id: stack.arn.clone(),
        stack_name: stack.name.clone(),
        url_suffix: url_suffix(&ctx.host),
        topics: stack.topics().to_vec(),
    }
}

/// The domain under which APIs are reached, as `ApiEndpoint` has it.
pub fn url_suffix(host: &str) -> String {
    let name = cumulet_wire::data_plane::host_name(host);
    let port = host.get(name.len()..).unwrap_or_default();
    let is_address = name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
    match name.as_str() {
        _ if is_address || name.ends_with(".localhost") || name.is_empty() => {
            format!("localhost{port}")
        }
        _ => format!("{name}{port}"),
    }
}

/// A stack that is not there yet.
fn new_stack(ctx: &Context, name: &str) -> Result<Stack, Error> {
    let is_name = name.len() <= 128
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_name {
        return Err(Error::Validation(format!(
            "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )));
    }
    let id = cumulet_base::id::uuid();
    Ok(Stack {
        v: 1,
        arn: ctx.arn("cloudformation", format!("stack/{name}/{id}")),
        id,
        name: name.to_owned(),
        created_ms: ctx.now_ms,
        ..Stack::default()
    })
}

fn tag_list(tags: &Texts) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
