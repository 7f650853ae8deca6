//! Deployments carried out: what is next is decided, done under the deployment group's role, and written down, until there
//! is something to wait for. A step that was interrupted is taken again: shares are set, not added, and a hook is asked
//! again with the same id.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::{id, limits};
use cumulet_delivery::{Handler, Lane, NewTask, Next, Task, Wake, target};
use cumulet_store::{Rev, Txn};
use cumulet_wire::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{Deployment, FORMAT, Phase, Place, Rollback, Routing};
use crate::shift::{self, Action, Failure};
use crate::{Core, storage, triggers};

pub const OWNER: &str = "codedeploy";
/// After a failure that may pass.
const PAUSE_MS: u64 = 1000;
/// Steps without anything to wait for are fewer.
const STEPS_MAX: usize = 16;

/// The body of a task.
#[derive(Serialize, Deserialize)]
struct Work {
    place: Place,
    id: String,
}

/// Adds the task that carries a deployment on from now; it takes the place of the one that did.
pub fn add(core: &Core, txn: Txn, place: &Place, deployment: &mut Deployment) -> Result<(Txn, Wake), ApiError> {
    let work = Work { place: place.clone(), id: deployment.id.clone() };
    let body = serde_json::to_vec(&work).map_err(|e| ApiError::internal(format!("writing a task: {e}")))?;
    let due_ms = core.clock.now_ms();
    let task = NewTask { owner: OWNER, lane: deployment.id.clone(), due_ms, body: body.into() };
    let (txn, wake) = core.delivery.add(txn, &task)?;
    deployment.task = wake.id.sequence;
    Ok((txn, wake))
}

pub struct Works(pub Arc<Core>);

#[async_trait]
impl Handler for Works {
    fn lane(&self, _: &str) -> Lane {
        Lane { concurrency: 1, is_ordered: false }
    }

    async fn handle(&self, task: Task) -> Next {
        let work: Work = match serde_json::from_slice(&task.body) {
            Ok(work) => work,
            Err(error) => {
                tracing::error!(%error, "a task of a deployment cannot be read");
                return Next::Done;
            }
        };
        for _ in 0..STEPS_MAX {
            match self.step(&work, &task).await {
                Ok(Step::Taken) => {}
                Ok(Step::Over) => return Next::Done,
                Ok(Step::Waiting { until_ms }) => return Next::Retry { due_ms: until_ms, body: None },
                Err(error) => {
                    tracing::warn!(%error, deployment = work.id, "a step of a deployment is taken again");
                    break;
                }
            }
        }
        Next::Retry { due_ms: self.0.clock.now_ms() + PAUSE_MS, body: None }
    }
}

enum Step {
    Taken,
    Waiting { until_ms: u64 },
    Over,
}

impl Works {
    async fn step(&self, work: &Work, task: &Task) -> Result<Step, ApiError> {
        let core = &self.0;
        let found = core.storage.deployment(&work.place, &work.id).await?;
        let Some((mut deployment, rev)) = found.filter(|(found, _)| found.task == task.id.sequence) else {
            return Ok(Step::Over);
        };
        let now_ms = core.clock.now_ms();
        let mut action = shift::decide(&deployment, now_ms);
        if !matches!(action, Action::Nothing | Action::Fail(_))
            && let Some(failure) = self.alarm(&work.place, &deployment).await?
        {
            action = Action::Fail(failure);
        }
        let done = match &action {
            Action::Nothing => return Ok(Step::Over),
            Action::Wait { until_ms } => {
                let is_watched = !deployment.alarms.names().is_empty();
                let look_ms = if is_watched { now_ms + limits::DEPLOYMENT_ALARMS_MS } else { u64::MAX };
                return Ok(Step::Waiting { until_ms: (*until_ms).min(look_ms) });
            }
            Action::GoOn | Action::Fail(_) => Ok(()),
            Action::Check => self.check(&work.place, &deployment).await?,
            Action::Ask(hook) => {
                let event = json!({"DeploymentId": deployment.id, "LifecycleEventHookExecutionId": hook.execution_id});
                let input = json!({"FunctionName": hook.function, "InvocationType": "Event"});
                self.call(&work.place, &deployment, "lambda", "Invoke", input, event.to_string().into())
                    .await?
                    .map(drop)
            }
            Action::Shift(percent) => self.weigh(&work.place, &deployment, *percent).await?,
        };
        match (action, done) {
            (Action::Fail(failure), _) | (_, Err(failure)) => self.fail(&work.place, deployment, rev, failure).await,
            (action, Ok(())) => {
                apply(&mut deployment, &action, now_ms);
                let mut txn = storage::put_changed(storage::begin(&work.place), &work.place, &deployment, rev)?;
                let mut told = Vec::new();
                if deployment.is_over() {
                    (txn, told) = triggers::tell(core, txn, &work.place, &deployment)?;
                }
                // Where it was changed meanwhile it is looked at again.
                if core.storage.commit(txn).await? {
                    told.into_iter().for_each(Wake::now);
                }
                Ok(Step::Taken)
            }
        }
    }

    /// A call under the group's role: the inner error is one that another attempt would not mend.
    async fn call(
        &self,
        place: &Place,
        deployment: &Deployment,
        service: &str,
        operation: &str,
        input: Value,
        payload: Bytes,
    ) -> Result<Result<Value, Failure>, ApiError> {
        let Some(caller) = deployment.caller() else {
            let message = format!("The service role {} is not the ARN of a role.", deployment.role_arn);
            return Ok(Err(Failure::of("IAM_ROLE_MISSING", message)));
        };
        match self.0.client.call(&caller, &place.region, service, operation, input, payload).await {
            Ok(answer) => Ok(Ok(answer.members().unwrap_or_default())),
            Err(error) if target::is_worth_another(&error) => Err(error),
            Err(error) => {
                let code = match (error.status, operation) {
                    (403, _) => "IAM_ROLE_PERMISSIONS",
                    (_, "Invoke") => "HOOK_EXECUTION_FAILURE",
                    _ => "INVALID_LAMBDA_FUNCTION",
                };
                Ok(Err(Failure::of(code, format!("The deployment failed because of {operation}: {}", error.message))))
            }
        }
    }

    /// Whether the alias is as the AppSpec says.
    async fn check(&self, place: &Place, deployment: &Deployment) -> Result<Result<(), Failure>, ApiError> {
        let target = &deployment.target;
        let input = json!({"FunctionName": target.function, "Name": target.alias});
        let alias = match self.call(place, deployment, "lambda", "GetAlias", input, Bytes::new()).await? {
            Ok(alias) => alias,
            Err(failure) => return Ok(Err(failure)),
        };
        let version = alias["FunctionVersion"].as_str().unwrap_or_default();
        Ok(match version == target.current_version {
            true => Ok(()),
            false => Err(Failure::of(
                "INVALID_REVISION",
                format!(
                    "The deployment failed because the alias {} points to version {version} and not to {}.",
                    target.alias, target.current_version
                ),
            )),
        })
    }

    async fn weigh(
        &self,
        place: &Place,
        deployment: &Deployment,
        percent: u8,
    ) -> Result<Result<(), Failure>, ApiError> {
        let target = &deployment.target;
        let (version, weights) = match percent {
            0 => (&target.current_version, json!({})),
            100.. => (&target.target_version, json!({})),
            _ => (&target.current_version, json!({&target.target_version: f64::from(percent) / 100.0})),
        };
        let input = json!({
            "FunctionName": target.function,
            "Name": target.alias,
            "FunctionVersion": version,
            "RoutingConfig": {"AdditionalVersionWeights": weights},
        });
        Ok(self.call(place, deployment, "lambda", "UpdateAlias", input, Bytes::new()).await?.map(drop))
    }

    /// Why an alarm ends the deployment.
    async fn alarm(&self, place: &Place, deployment: &Deployment) -> Result<Option<Failure>, ApiError> {
        let names = deployment.alarms.names();
        if names.is_empty() {
            return Ok(None);
        }
        let failure = |message: String| Failure { code: "ALARM_ACTIVE", message, event: "DEPLOYMENT_STOP_ON_ALARM" };
        let kinds = ["MetricAlarm", "CompositeAlarm"];
        let input = json!({"AlarmNames": names, "AlarmTypes": kinds});
        let answer = match self.call(place, deployment, "cloudwatch", "DescribeAlarms", input, Bytes::new()).await? {
            Ok(answer) => answer,
            Err(_) if deployment.alarms.ignore_poll_alarm_failure => return Ok(None),
            Err(why) => return Ok(Some(failure(why.message))),
        };
        let lists =
            ["MetricAlarms", "CompositeAlarms"].map(|list| answer[list].as_array().cloned().unwrap_or_default());
        let known: Vec<&Value> = lists.iter().flatten().collect();
        let active = known.iter().find(|alarm| alarm["StateValue"] == "ALARM");
        if let Some(name) = active.and_then(|alarm| alarm["AlarmName"].as_str()) {
            let message = format!(
                "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the affected deployments have been stopped. Activated alarms: <{name}>"
            );
            return Ok(Some(failure(message)));
        }
        let missing = names.iter().find(|name| known.iter().all(|alarm| alarm["AlarmName"] != name.as_str()));
        match missing.filter(|_| !deployment.alarms.ignore_poll_alarm_failure) {
            Some(name) => Ok(Some(failure(format!("The state of the alarm {name} cannot be told: it is not there.")))),
            None => Ok(None),
        }
    }

    /// The end of what failed, with the traffic back where it was if that is wanted.
    async fn fail(&self, place: &Place, mut failed: Deployment, rev: Rev, failure: Failure) -> Result<Step, ApiError> {
        let core = &self.0;
        let now_ms = core.clock.now_ms();
        let mut txn = storage::begin(place);
        let mut way = None;
        if failed.percent() > 0 && shift::goes_back(&failed, &failure) {
            let back = self.weigh(place, &failed, 0).await?;
            let back = way_back(&failed, now_ms, back.err());
            let message = match back.status.as_str() {
                "Succeeded" => format!("Deployment {} rolled the traffic back.", back.id),
                _ => format!("Deployment {} could not roll the traffic back.", back.id),
            };
            failed.rolled_back =
                Some(Rollback { deployment: Some(back.id.clone()), message: Some(message), ..Rollback::default() });
            txn = storage::put_new(txn, place, &back)?;
            way = Some(back);
        }
        shift::fail(&mut failed, now_ms, &failure);
        txn = storage::put_changed(txn, place, &failed, rev)?;
        let mut told = Vec::new();
        for over in [Some(&failed), way.as_ref()].into_iter().flatten() {
            let wakes;
            (txn, wakes) = triggers::tell(core, txn, place, over)?;
            told.extend(wakes);
        }
        if core.storage.commit(txn).await? {
            told.into_iter().for_each(Wake::now);
        }
        Ok(Step::Taken)
    }
}

fn apply(deployment: &mut Deployment, action: &Action, now_ms: u64) {
    match (action, &mut deployment.phase) {
        (Action::Shift(wanted), Phase::Shifting { percent, .. }) => *percent = *wanted,
        (Action::Ask(_), Phase::Before(hook) | Phase::After(hook)) => {
            hook.is_invoked = true;
            deployment.asked.push(hook.execution_id.clone());
        }
        (Action::Check | Action::GoOn, _) => shift::advance(deployment, now_ms, id::hex(64)),
        _ => {}
    }
}

/// The deployment that led back: it is over when it is written down.
fn way_back(failed: &Deployment, now_ms: u64, why: Option<Failure>) -> Deployment {
    let mut target = failed.target.clone();
    std::mem::swap(&mut target.current_version, &mut target.target_version);
    (target.before_hook, target.after_hook) = (None, None);
    let content = crate::operations::appspec(&target);
    Deployment {
        v: FORMAT,
        id: format!("d-{}", id::upper(9)),
        config: "CodeDeployDefault.LambdaAllAtOnce".to_owned(),
        routing: Routing::AllAtOnce,
        target,
        content,
        description: None,
        creator: "codeDeployRollback".to_owned(),
        created_ms: now_ms,
        started_ms: Some(now_ms),
        completed_ms: Some(now_ms),
        phase: Phase::Over,
        status: if why.is_none() { "Succeeded" } else { "Failed" }.to_owned(),
        lifecycle: Vec::new(),
        asked: Vec::new(),
        error: why.map(|why| (why.code.to_owned(), why.message)),
        rolled_back: Some(Rollback { triggering: Some(failed.id.clone()), ..Rollback::default() }),
        stop: None,
        task: 0,
        ..failed.clone()
    }
}
