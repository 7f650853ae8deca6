//! SignalResource: a signal for a resource that waits for some by its creation policy.

use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::Value;

use super::{Input, needed, owner};
use crate::CloudFormation;
use crate::errors::Error;
use crate::prepared::processed;
use crate::signals::{self, Signal};

impl CloudFormation {
    pub(super) async fn signal_resource(&self, ctx: &Context, input: &Input) -> Result<Value, ApiError> {
        let owner = owner(ctx);
        let (stack, _) = self.stack(&owner, &needed(input, "StackName")?).await?;
        let name = needed(input, "LogicalResourceId")?;
        let (unique_id, status) = (needed(input, "UniqueId")?, needed(input, "Status")?);
        let is_success = match status.as_str() {
            "SUCCESS" => true,
            "FAILURE" => false,
            _ => return Err(Error::unknown_value("status", &status, "[FAILURE, SUCCESS]").into()),
        };
        if !signals::is_unique_id(&unique_id) {
            let why = "1 validation error detected: Value at 'uniqueId' failed to satisfy constraint: Member must have length less than or equal to 64";
            return Err(Error::Validation(why.into()).into());
        }
        let missing = || Error::Validation(format!("Resource {name} does not exist for stack {}", stack.name));
        let resource = stack.resources.get(&name).ok_or_else(missing)?;
        let in_state = |what: &str, status: &str| {
            Error::Validation(format!("{what} is in {status} state and can not be signaled"))
        };
        if !stack.is_busy() {
            return Err(in_state(&format!("Stack:{}", stack.arn), &stack.status).into());
        }
        let step = resource.step.as_ref().filter(|_| resource.status.ends_with("_IN_PROGRESS"));
        let Some(step) = step else { return Err(in_state(&format!("Resource {name}"), &resource.status).into()) };
        let job = self.storage.job(&owner, &stack.id).await?;
        let wish = job.map_or_else(|| stack.wish.clone(), |job| job.wish);
        let (_, template) = processed(&wish)?;
        if template.resource(&name).is_none_or(|resource| resource.creation_policy.is_none()) {
            return Err(
                Error::Validation(format!("Resource {name} has no creation policy and waits for no signal")).into()
            );
        }
        let signal = Signal { is_success, data: String::new(), reason: String::new() };
        let event = signals::event(&stack, (&name, resource), &unique_id, &status, ctx.now_ms);
        self.storage.put_signal(&owner, &stack, &step.seed, (&unique_id, &signal), Some(&event)).await?;
        Ok(Value::Null)
    }
}
