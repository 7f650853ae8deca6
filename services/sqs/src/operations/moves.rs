//! StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask: dead letters on their way back. The work itself is in
//! `jobs`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::jobs::Job;
use crate::model::{FORMAT, Move, MoveStatus, Place, Queue};
use crate::{Sqs, errors, input};

const PER_SECOND_MAX: u64 = 500;
const LISTED_MAX: u64 = 10;
/// Ended tasks that are remembered.
const KEPT_MAX: usize = 10;
const ATTEMPTS_MAX: usize = 8;

fn place_of_arn(arn: &str) -> Result<Place, ApiError> {
    Place::from_arn(arn)
        .ok_or_else(|| errors::invalid(format!("You must use this format to specify the queue ARN: {arn}")))
}

fn handle_of(source_arn: &str, task: &Move) -> String {
    BASE64_STANDARD.encode(json!({"taskId": task.id, "sourceArn": source_arn}).to_string())
}

/// Source and id that a task handle names.
pub fn source_of(handle: &str) -> Option<(String, String)> {
    let told: Value = serde_json::from_slice(&BASE64_STANDARD.decode(handle).ok()?).ok()?;
    Some((told["sourceArn"].as_str()?.to_owned(), told["taskId"].as_str()?.to_owned()))
}

pub async fn start(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let source_arn = input::required(&call.input, "SourceArn")?;
    let place = place_of_arn(source_arn)?;
    let destination_arn = input::text(&call.input, "DestinationArn");
    let per_second = input::number(&call.input, "MaxNumberOfMessagesPerSecond", 1, PER_SECOND_MAX)?;
    let no_source =
        || errors::no_resource("The resource that you specified for the SourceArn parameter doesn't exist.");
    let (source, _) = sqs.storage.find(&place).await?.ok_or_else(no_source)?;
    if !has_sources(sqs, &place).await? {
        return Err(errors::invalid("Source queue must be configured as a Dead Letter Queue."));
    }
    if let Some(arn) = destination_arn {
        let target = sqs.storage.find(&place_of_arn(arn)?).await?;
        let (target, _) = target.ok_or_else(|| {
            errors::no_resource("The resource that you specified for the DestinationArn parameter doesn't exist.")
        })?;
        if target.is_fifo() != source.is_fifo() {
            return Err(errors::invalid("Source and destination queue must be of the same type."));
        }
        if target.id == source.id {
            return Err(errors::invalid("Source queue arn and destination queue arn cannot be the same."));
        }
    }
    for _ in 0..ATTEMPTS_MAX {
        let now_ms = sqs.clock.now_ms();
        let (earlier, seen) = sqs.storage.moves(&source, u32::MAX).await?;
        let is_active = |task: &Move| matches!(task.status, MoveStatus::Running | MoveStatus::Cancelling);
        if earlier.iter().any(|(task, _)| is_active(task)) {
            return Err(errors::invalid(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            ));
        }
        let counts = sqs.storage.counts(&source, now_ms).await?;
        let task = Move {
            v: FORMAT,
            id: cumulet_base::id::uuid(),
            started_ms: now_ms.max(earlier.first().map_or(0, |(task, _)| task.started_ms + 1)),
            status: MoveStatus::Running,
            destination_arn: destination_arn.map(str::to_owned),
            per_second,
            moved: 0,
            to_move: counts.visible,
            failure: None,
        };
        let job = Job::Move { place: place.clone(), queue_id: source.id.clone(), task: task.clone() };
        let new = job.task(&source, now_ms)?;
        let mut wake = None;
        let begun = sqs.storage.begin_move(&source, &task, seen, |txn| {
            let (txn, woken) = sqs.delivery.add(txn, &new)?;
            wake = Some(woken);
            Ok(txn)
        });
        if begun.await? {
            if let Some(wake) = wake {
                wake.now();
            }
            for (old, _) in earlier.iter().skip(KEPT_MAX - 1) {
                sqs.storage.forget_move(&source, old).await?;
            }
            return Answer::json(json!({"TaskHandle": handle_of(source_arn, &task)}));
        }
    }
    Err(ApiError::internal("move tasks of the queue are being started by too many at once"))
}

async fn has_sources(sqs: &Sqs, dead: &Place) -> Result<bool, ApiError> {
    let mut after: Option<String> = None;
    loop {
        let page = sqs.storage.queues(dead, "", after.as_deref(), 1000).await?;
        let feeds = |queue: &Queue| queue.redrive().is_some_and(|(target, _)| target == *dead);
        if page.iter().any(|(_, queue)| feeds(queue)) {
            return Ok(true);
        }
        match page.into_iter().last() {
            Some((name, _)) => after = Some(name),
            None => return Ok(false),
        }
    }
}

pub async fn list(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let source_arn = input::required(&call.input, "SourceArn")?;
    let max = input::number(&call.input, "MaxResults", 1, LISTED_MAX)?.unwrap_or(1);
    let no_source =
        || errors::no_resource("The resource that you specified for the SourceArn parameter doesn't exist.");
    let (source, _) = sqs.storage.find(&place_of_arn(source_arn)?).await?.ok_or_else(no_source)?;
    let (moves, _) = sqs.storage.moves(&source, u32::try_from(max).unwrap_or(1)).await?;
    let results: Vec<Value> = moves.iter().map(|(task, _)| shape(source_arn, task)).collect();
    Answer::json(json!({"Results": results}))
}

fn shape(source_arn: &str, task: &Move) -> Value {
    let mut shown = json!({
        "Status": task.status,
        "SourceArn": source_arn,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "StartedTimestamp": task.started_ms,
    });
    if task.status == MoveStatus::Running {
        shown["TaskHandle"] = handle_of(source_arn, task).into();
    }
    if let Some(arn) = &task.destination_arn {
        shown["DestinationArn"] = json!(arn);
    }
    if let Some(per_second) = task.per_second {
        shown["MaxNumberOfMessagesPerSecond"] = json!(per_second);
    }
    if let Some(reason) = &task.failure {
        shown["FailureReason"] = json!(reason);
    }
    shown
}

pub async fn cancel(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let handle = input::required(&call.input, "TaskHandle")?;
    let unknown = || errors::no_resource("Task does not exist.");
    let (arn, id) = source_of(handle).ok_or_else(|| errors::invalid("Value for parameter TaskHandle is invalid."))?;
    let (source, _) = sqs.storage.find(&place_of_arn(&arn)?).await?.ok_or_else(unknown)?;
    for _ in 0..ATTEMPTS_MAX {
        let (moves, _) = sqs.storage.moves(&source, u32::MAX).await?;
        let (mut task, seen) = moves.into_iter().find(|(task, _)| task.id == id).ok_or_else(unknown)?;
        if task.status != MoveStatus::Running {
            return Err(errors::unsupported("Only active tasks can be cancelled."));
        }
        task.status = MoveStatus::Cancelling;
        if sqs.storage.put_move(&source, &task, seen).await? {
            return Answer::json(json!({"ApproximateNumberOfMessagesMoved": task.moved}));
        }
    }
    Err(ApiError::internal("the task is being changed by too many at once"))
}
