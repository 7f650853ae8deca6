//! The operations, grouped by what they are about, and what they share: inputs, finding stacks, starting work.

mod change_sets;
mod look;
mod stacks;
mod templates;

use std::collections::BTreeMap;

use cumulet_base::limits;
use cumulet_store::Rev;
use cumulet_wire::call::{Answer, Call, Context};
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use crate::CloudFormation;
use crate::client::Client;
use crate::errors::Error;
use crate::executor::Run;
use crate::intrinsics::Pseudo;
use crate::stack::{Stack, Texts, Wish};
use crate::storage::Owner;
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
            "ValidateTemplate" => templates::validate(input),
            other => return Err(ApiError::not_implemented("cloudformation", other)),
        }?;
        Ok(Answer { output, ..Answer::default() })
    }

    /// A stack by name or ARN; deleted ones only by ARN.
    async fn find(&self, owner: &Owner, named: &str) -> Result<Option<(Stack, Rev)>, Error> {
        let id = match named.strip_prefix("arn:") {
            Some(_) => named.rsplit('/').next().map(str::to_owned),
            None => self.storage.named(owner, named).await?,
        };
        match id {
            Some(id) => self.storage.stack(owner, &id).await,
            None => Ok(None),
        }
    }

    /// A stack that has to be there.
    async fn stack(&self, owner: &Owner, named: &str) -> Result<(Stack, Rev), Error> {
        self.find(owner, named).await?.ok_or_else(|| Error::NoStack(named.to_owned()))
    }

    fn client(&self, ctx: &Context) -> Result<Client, Error> {
        let link = self.link.get().ok_or_else(|| Error::Row("the other services are not connected yet".into()))?;
        Ok(Client {
            registry: link.registry.clone(),
            authorizer: link.authorizer.clone(),
            clock: self.clock.clone(),
            context: ctx.clone(),
        })
    }

    /// Works on a stack in the background. The stack has been put into its `*_IN_PROGRESS` status before.
    #[allow(clippy::too_many_arguments)]
    async fn start<F, W>(
        &self,
        ctx: &Context,
        owner: Owner,
        mut stack: Stack,
        rev: Option<Rev>,
        status: &str,
        input: &Input,
        work: W,
    ) -> Result<(), Error>
    where
        W: FnOnce(Run) -> F + Send + 'static,
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let permit = self
            .running
            .clone()
            .try_acquire_owned()
            .map_err(|_| Error::Limit("stacks being worked on", limits::STACKS_RUNNING_MAX))?;
        let client = self.client(ctx)?;
        let storage = self.storage.clone();
        let clock = self.clock.clone();
        let (id, run_id) = (stack.id.clone(), cumulet_base::id::uuid());
        storage.mark_running(&owner, &id, &run_id, true).await?;
        let token = text(input, "ClientRequestToken");
        let entered = async {
            let rev = match rev {
                Some(rev) => rev,
                None => {
                    stack.status = status.to_owned();
                    storage.create(&owner, &stack, &[]).await?
                }
            };
            let (storage, owner) = (storage.clone(), owner.clone());
            let mut run = Run { storage, client, owner, stack, rev, token };
            run.enter(status, Some("User Initiated")).await?;
            Ok(run)
        };
        let run = match entered.await {
            Ok(run) => run,
            Err(error) => {
                storage.mark_running(&owner, &id, &run_id, false).await?;
                return Err(error);
            }
        };
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = work(run).await {
                tracing::error!(%error, stack = id, "working on a stack");
                // Whatever state was stored last is not going to move on by itself.
                let marked = crate::executor::recover_one(&storage, clock.as_ref(), &owner, &id).await;
                if let Err(error) = marked {
                    // The note stays, so that the next start tries again.
                    tracing::error!(%error, stack = id, "marking a stack as failed");
                    return;
                }
            }
            if let Err(error) = storage.mark_running(&owner, &id, &run_id, false).await {
                tracing::error!(%error, stack = id, "noting that a stack is done");
            }
        });
        Ok(())
    }
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

/// The template of a request, or the one the stack has.
fn template_text(input: &Input, previous: Option<&Stack>) -> Result<String, Error> {
    if input.contains_key("TemplateURL") {
        return Err(Error::NotBuilt("TemplateURL".into()));
    }
    match (text(input, "TemplateBody"), previous) {
        (Some(body), _) => Ok(body),
        (None, Some(stack)) if flag(input, "UsePreviousTemplate") => Ok(stack.wish.template.clone()),
        _ => Err(Error::Validation("Either Template URL or Template Body must be specified.".into())),
    }
}

/// What a request asks a stack to be; parameters come later, from the template.
fn wish(input: &Input, previous: Option<&Stack>) -> Result<Wish, Error> {
    for member in ["RoleARN", "NotificationARNs", "ResourcesToImport", "StackPolicyURL"] {
        let is_empty = match input.get(member) {
            None | Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::String(text)) => text.is_empty(),
            Some(_) => false,
        };
        if !is_empty {
            return Err(Error::NotBuilt(member.to_owned()));
        }
    }
    Ok(Wish {
        template: template_text(input, previous)?,
        parameters: Texts::new(),
        tags: tags(input).or_else(|| previous.map(|stack| stack.wish.tags.clone())).unwrap_or_default(),
        capabilities: texts(input, "Capabilities"),
    })
}

fn pseudo(ctx: &Context, stack: &Stack) -> Pseudo {
    Pseudo {
        account: ctx.account().to_owned(),
        region: ctx.region.clone(),
        stack_id: stack.arn.clone(),
        stack_name: stack.name.clone(),
        url_suffix: url_suffix(&ctx.host),
    }
}

/// The domain under which APIs are reached, as `ApiEndpoint` has it.
fn url_suffix(host: &str) -> String {
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
        status: String::new(),
        reason: None,
        description: None,
        wish: Wish::default(),
        outputs: Vec::new(),
        resources: BTreeMap::new(),
        change_set_id: None,
        disable_rollback: false,
        termination_protection: false,
        created_ms: ctx.now_ms,
        updated_ms: None,
        deleted_ms: None,
    })
}

fn tag_list(tags: &Texts) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
