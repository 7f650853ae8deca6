//! Schedules: made, shown, replaced, listed, deleted. A schedule and its first tick are one commit.

use cumulet_base::arn::Arn;
use cumulet_base::id;
use cumulet_delivery::target::is_target;
use cumulet_store::Rev;
use cumulet_wire::call::{Answer, Call, seconds, time_ms};
use cumulet_wire::error::ApiError;
use cumulet_wire::schedule::{Schedule as Expression, Zone};
use cumulet_wire::validate::Validation;
use serde_json::{Value, json};

use super::groups;
use crate::call::check_role;
use crate::core::TICK;
use crate::model::{DEFAULT, DELETING, FORMAT, Place, Schedule, Target};
use crate::universal::Universal;
use crate::{Scheduler, errors, input, storage, tick};

const TRIES: usize = 16;
const CODE: &str = "ValidationException";
/// A start may lie this far back.
const START_SLACK_MS: u64 = 300_000;
const INPUT_BYTES_MAX: usize = 48 * 1024;
const ABSENT: [&str; 3] = ["EcsParameters", "KinesisParameters", "SageMakerPipelineParameters"];

/// The schedule that a request describes, checked.
fn read(call: &Call, now_ms: u64) -> Result<Schedule, ApiError> {
    let given = &call.input;
    let text = |member: &str| input::text(given, member);
    let window = given.get("FlexibleTimeWindow").cloned().unwrap_or_default();
    let minutes = window["MaximumWindowInMinutes"].as_i64();
    let target = given.get("Target").cloned().unwrap_or_default();
    Validation::new()
        .required("scheduleExpression", text("ScheduleExpression").as_ref())
        .required("flexibleTimeWindow", given.get("FlexibleTimeWindow"))
        .required("target", given.get("Target"))
        .required("target.arn", target["Arn"].as_str().as_ref())
        .required("target.roleArn", target["RoleArn"].as_str().as_ref())
        .length("scheduleExpression", text("ScheduleExpression"), 1, 256)
        .length("scheduleExpressionTimezone", text("ScheduleExpressionTimezone"), 1, 50)
        .length("description", text("Description"), 0, 512)
        .one_of("state", text("State"), &["ENABLED", "DISABLED"])
        .one_of("actionAfterCompletion", text("ActionAfterCompletion"), &["NONE", "DELETE"])
        .one_of("flexibleTimeWindow.mode", window["Mode"].as_str(), &["OFF", "FLEXIBLE"])
        .between("flexibleTimeWindow.maximumWindowInMinutes", minutes, 1, 1440)
        .finish(CODE)?;
    let expression = text("ScheduleExpression").unwrap_or_default();
    let parsed = Expression::parse(expression)
        .ok_or_else(|| errors::invalid(format!("Invalid Schedule Expression {expression}.")))?;
    let timezone = text("ScheduleExpressionTimezone").unwrap_or("UTC");
    if Zone::parse(timezone).is_none() {
        return Err(errors::invalid(format!("Invalid ScheduleExpressionTimezone {timezone}.")));
    }
    let window_minutes = match (window["Mode"].as_str(), minutes) {
        (Some("FLEXIBLE"), Some(minutes)) => u64::try_from(minutes).ok(),
        (Some("FLEXIBLE"), None) => {
            return Err(errors::invalid("MaximumWindowInMinutes must be provided when Mode is FLEXIBLE."));
        }
        (_, Some(_)) => {
            return Err(errors::invalid("MaximumWindowInMinutes can only be provided when Mode is FLEXIBLE."));
        }
        (_, None) => None,
    };
    let (mut start_ms, mut end_ms) = (given.get("StartDate").and_then(time_ms), given.get("EndDate").and_then(time_ms));
    if !parsed.is_recurring() {
        (start_ms, end_ms) = (None, None);
    }
    if start_ms.is_some_and(|start_ms| start_ms + START_SLACK_MS < now_ms) {
        return Err(errors::invalid("The StartDate you specify cannot be earlier than 5 minutes ago."));
    }
    if end_ms.is_some_and(|end_ms| end_ms < now_ms) {
        return Err(errors::invalid("The EndDate you specify cannot be earlier than the current time."));
    }
    if start_ms.zip(end_ms).is_some_and(|(start_ms, end_ms)| end_ms <= start_ms) {
        return Err(errors::invalid("The StartDate you specify must come before the EndDate."));
    }
    Ok(Schedule {
        v: FORMAT,
        description: input::owned(given, "Description"),
        expression: expression.to_owned(),
        timezone: timezone.to_owned(),
        start_ms,
        end_ms,
        state: text("State").unwrap_or("ENABLED").to_owned(),
        window_minutes,
        action_after_completion: text("ActionAfterCompletion").unwrap_or("NONE").to_owned(),
        kms_key_arn: input::owned(given, "KmsKeyArn"),
        target: read_target(&target)?,
        created_ms: now_ms,
        modified_ms: now_ms,
        token: input::token(call)?,
        ticking: id::hex(16),
        first_tick: None,
    })
}

fn read_target(value: &Value) -> Result<Target, ApiError> {
    if let Some(name) = ABSENT.iter().find(|name| value.get(**name).is_some_and(|given| !given.is_null())) {
        return Err(errors::not_built(&format!("{name} of targets")));
    }
    let target: Target =
        serde_json::from_value(value.clone()).map_err(|e| ApiError::serialization(&format!("Target: {e}")))?;
    let is_role =
        |arn: &str| arn.parse::<Arn>().is_ok_and(|arn| arn.service == "iam" && arn.resource.starts_with("role/"));
    Validation::new()
        .length("target.arn", Some(&target.arn), 1, 1600)
        .pattern(
            "target.roleArn",
            Some(&target.role_arn),
            r"^arn:aws(-[a-z]+)?:iam::\d{12}:role\/[\w+=,.@\/-]+$",
            is_role,
        )
        .finish(CODE)?;
    if let Some(policy) = &target.retry_policy
        && let Err((name, value, min, max)) = policy.check()
    {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        let at = format!("target.retryPolicy.{name}");
        Validation::new().between(&at, Some(value), min as i64, max as i64).finish(CODE)?;
    }
    if target.input.as_ref().is_some_and(|input| input.len() > INPUT_BYTES_MAX) {
        return Err(errors::quota(format!("The Input is larger than {INPUT_BYTES_MAX} bytes.")));
    }
    let arn: Arn = target
        .arn
        .parse()
        .map_err(|_| errors::invalid(format!("Provided Arn is not in correct format: {}.", target.arn)))?;
    if let Some(universal) = Universal::parse(&target.arn) {
        if Universal::is_reading(&target.arn) {
            return Err(errors::invalid(format!("{} is not supported.", target.arn)));
        }
        universal.input(target.input.as_deref().unwrap_or("{}"))?;
    } else if !is_target(&target.arn) {
        return Err(errors::not_built(&format!("targets of the service {}", arn.service)));
    }
    if arn.service == "events" && target.event_bridge_parameters.is_none() {
        return Err(errors::invalid("EventBridgeParameters is required for targets of type EventBridge."));
    }
    if target.event_bridge_parameters.as_ref().is_some_and(|given| given.source.starts_with("aws.")) {
        return Err(errors::invalid("The Source must not begin with aws."));
    }
    let is_fifo = arn.service == "sqs" && arn.resource.ends_with(".fifo");
    let has_group = target.sqs_parameters.as_ref().is_some_and(|given| given.message_group_id.is_some());
    if is_fifo && !has_group {
        return Err(errors::invalid("SqsParameters must be provided for a FIFO queue."));
    }
    if let Some(queue) = target.dead_letter_config.as_ref().and_then(|config| config.arn.as_deref())
        && queue.parse::<Arn>().is_ok_and(|arn| arn.service != "sqs")
    {
        return Err(errors::invalid("The dead-letter queue must be an SQS queue."));
    }
    Ok(target)
}

/// Checks the group and the role, and writes the schedule with its first tick. Whether it was written; otherwise another
/// was faster.
async fn write(
    scheduler: &Scheduler,
    place: &Place,
    (group, name): (&str, &str),
    schedule: &Schedule,
    seen: Option<(&Schedule, Rev)>,
) -> Result<bool, ApiError> {
    let core = &scheduler.core;
    let mut txn = storage::begin(place);
    match core.storage.group(place, group).await? {
        Some((found, _)) if found.state == DELETING => {
            return Err(errors::conflict(format!("Schedule group {group} is being deleted.")));
        }
        Some((_, rev)) => txn = storage::same_group(txn, place, group, rev),
        None if group == DEFAULT => {}
        None => return Err(errors::no_group(group)),
    }
    if let Some(tick) = seen.and_then(|(before, _)| before.first_tick()) {
        txn = core.delivery.remove(txn, TICK, &tick::lane(place, group), tick);
    }
    let mut schedule = schedule.clone();
    let mut wake = None;
    let first_ms = schedule.first(core.now_ms()).filter(|_| schedule.is_enabled());
    if let Some(at_ms) = first_ms {
        let (more, made) = core.delivery.add(txn, &tick::tick(place, group, name, &schedule, at_ms)?)?;
        txn = more;
        schedule.first_tick = Some((made.id.due_ms, made.id.sequence));
        wake = Some(made);
    }
    txn = storage::put_schedule(txn, place, (group, name), &schedule, seen.map(|(_, rev)| rev))?;
    let is_written = core.storage.commit(txn).await?;
    if let Some(wake) = wake.filter(|_| is_written) {
        wake.now();
    }
    Ok(is_written)
}

pub async fn create(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let core = &scheduler.core;
    let (name, group) = (input::name(call)?, input::group(call)?);
    let place = input::here(call);
    let schedule = read(call, core.now_ms())?;
    let answer = json!({"ScheduleArn": place.schedule_arn(group, name)});
    for _ in 0..TRIES {
        if let Some((there, _)) = core.storage.schedule(&place, group, name).await? {
            // The same request once more.
            if schedule.token.is_some() && there.token == schedule.token {
                return Answer::json(answer);
            }
            return Err(errors::conflict(format!("Schedule {name} already exists.")));
        }
        groups::find(scheduler, &place, group).await?;
        check_role(core, &place, group, &schedule.target.role_arn).await?;
        if write(scheduler, &place, (group, name), &schedule, None).await? {
            return Answer::json(answer);
        }
    }
    Err(errors::conflict(format!("Schedule {name} is being modified.")))
}

/// Replaces all of it: what is not given has its default again.
pub async fn update(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let core = &scheduler.core;
    let (name, group) = (input::name(call)?, input::group(call)?);
    let place = input::here(call);
    let mut schedule = read(call, core.now_ms())?;
    check_role(core, &place, group, &schedule.target.role_arn).await?;
    for _ in 0..TRIES {
        let found = core.storage.schedule(&place, group, name).await?;
        let (before, rev) = found.ok_or_else(|| errors::no_schedule(name))?;
        schedule.created_ms = before.created_ms;
        schedule.token = before.token.clone();
        if write(scheduler, &place, (group, name), &schedule, Some((&before, rev))).await? {
            return Answer::json(json!({"ScheduleArn": place.schedule_arn(group, name)}));
        }
    }
    Err(errors::conflict(format!("Schedule {name} is being modified.")))
}

pub async fn get(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let (name, group) = (input::name(call)?, input::group(call)?);
    let place = input::here(call);
    let found = scheduler.core.storage.schedule(&place, group, name).await?;
    let (schedule, _) = found.ok_or_else(|| errors::no_schedule(name))?;
    let window = match schedule.window_minutes {
        Some(minutes) => json!({"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes}),
        None => json!({"Mode": "OFF"}),
    };
    let mut output = json!({
        "Arn": place.schedule_arn(group, name),
        "Name": name,
        "GroupName": group,
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "State": schedule.state,
        "FlexibleTimeWindow": window,
        "ActionAfterCompletion": schedule.action_after_completion,
        "Target": schedule.target.shown(),
        "CreationDate": seconds(schedule.created_ms),
        "LastModificationDate": seconds(schedule.modified_ms),
    });
    let optional = [
        ("Description", schedule.description.map(Value::from)),
        ("KmsKeyArn", schedule.kms_key_arn.map(Value::from)),
        ("StartDate", schedule.start_ms.map(seconds)),
        ("EndDate", schedule.end_ms.map(seconds)),
    ];
    for (member, value) in optional {
        if let Some(value) = value {
            output[member] = value;
        }
    }
    Answer::json(output)
}

pub async fn list(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let place = input::here(call);
    let limit = input::limit(call)?;
    let group = input::text(&call.input, "GroupName");
    let prefix = input::text(&call.input, "NamePrefix").unwrap_or_default();
    let state = input::text(&call.input, "State");
    if let Some(group) = group {
        groups::find(scheduler, &place, group).await?;
    }
    let token = input::text(&call.input, "NextToken").map(str::to_owned);
    let mut after: Option<(String, String)> = match token {
        Some(token) => {
            let (group, name) = token.split_once('/').ok_or_else(|| errors::invalid("Invalid NextToken."))?;
            Some((group.to_owned(), name.to_owned()))
        }
        None => None,
    };
    let mut list: Vec<Value> = Vec::new();
    let mut next = None;
    'pages: loop {
        let from = after.as_ref().map(|(group, name)| (group.as_str(), name.as_str()));
        let page = scheduler.core.storage.schedules(&place, group, prefix, from, limit + 1).await?;
        let is_last = page.len() <= limit;
        for (group, name, schedule, _) in page {
            if list.len() == limit {
                next = after.map(|(group, name)| format!("{group}/{name}"));
                break 'pages;
            }
            if name.starts_with(prefix) && state.is_none_or(|state| state == schedule.state) {
                list.push(json!({
                    "Arn": place.schedule_arn(&group, &name),
                    "Name": name,
                    "GroupName": group,
                    "State": schedule.state,
                    "Target": {"Arn": schedule.target.arn},
                    "CreationDate": seconds(schedule.created_ms),
                    "LastModificationDate": seconds(schedule.modified_ms),
                }));
            }
            after = Some((group, name));
        }
        if is_last {
            break;
        }
    }
    let mut output = json!({"Schedules": list});
    if let Some(next) = next {
        output["NextToken"] = next.into();
    }
    Answer::json(output)
}

pub async fn delete(scheduler: &Scheduler, call: &Call) -> Result<Answer, ApiError> {
    let core = &scheduler.core;
    let (name, group) = (input::name(call)?, input::group(call)?);
    let place = input::here(call);
    for _ in 0..TRIES {
        let found = core.storage.schedule(&place, group, name).await?;
        let (schedule, rev) = found.ok_or_else(|| errors::no_schedule(name))?;
        let mut txn = storage::delete_schedule(storage::begin(&place), &place, (group, name), rev);
        if let Some(tick) = schedule.first_tick() {
            txn = core.delivery.remove(txn, TICK, &tick::lane(&place, group), tick);
        }
        if core.storage.commit(txn).await? {
            return Answer::json(json!({}));
        }
    }
    Err(errors::conflict(format!("Schedule {name} is being modified.")))
}
