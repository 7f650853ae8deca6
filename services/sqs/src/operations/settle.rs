//! DeleteMessage, ChangeMessageVisibility and their batches: what a consumer does with its receipt.

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Entry, batch_answer, entries, failed};
use crate::model::{Queue, Receipt, State};
use crate::storage::Found;
use crate::{Sqs, errors, input};

const ATTEMPTS_MAX: usize = 8;

pub async fn delete(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    delete_one(sqs, &queue, &call.input).await?;
    Ok(Answer::empty())
}

pub async fn delete_batch(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for (id, entry) in entries(call)? {
        match delete_one(sqs, &queue, &entry).await {
            Ok(()) => done.push(json!({"Id": id})),
            Err(error) => refused.push(failed(&id, &error)),
        }
    }
    Answer::json(batch_answer(done, refused))
}

pub async fn change(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    change_one(sqs, &queue, &call.input).await?;
    Ok(Answer::empty())
}

pub async fn change_batch(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    let (mut done, mut refused): (Vec<Value>, Vec<Value>) = Default::default();
    for (id, entry) in entries(call)? {
        match change_one(sqs, &queue, &entry).await {
            Ok(()) => done.push(json!({"Id": id})),
            Err(error) => refused.push(failed(&id, &error)),
        }
    }
    Answer::json(batch_answer(done, refused))
}

/// The message of the newest receipt; an older one, or one of a message that is gone, finds none.
async fn held(sqs: &Sqs, queue: &Queue, entry: &Entry) -> Result<Option<Found>, ApiError> {
    let handle = input::required(entry, "ReceiptHandle")?;
    let receipt = Receipt::read(handle).filter(|r| r.queue_id == queue.id).ok_or_else(|| errors::receipt(handle))?;
    let found = sqs.storage.message(queue, receipt.sequence).await?;
    Ok(found.filter(|found| found.state.receives == receipt.receives))
}

async fn delete_one(sqs: &Sqs, queue: &Queue, entry: &Entry) -> Result<(), ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        let Some(found) = held(sqs, queue, entry).await? else { return Ok(()) };
        if sqs.storage.delete(queue, &found).await? {
            return Ok(());
        }
    }
    Err(ApiError::internal("the message is being changed by too many at once"))
}

async fn change_one(sqs: &Sqs, queue: &Queue, entry: &Entry) -> Result<(), ApiError> {
    let timeout = input::number(entry, "VisibilityTimeout", 0, limits::QUEUE_VISIBILITY_S_MAX)?;
    let timeout = timeout.ok_or_else(|| errors::missing("VisibilityTimeout"))?;
    for _ in 0..ATTEMPTS_MAX {
        let now_ms = sqs.clock.now_ms();
        let found = held(sqs, queue, entry).await?.ok_or_else(|| {
            errors::invalid("Message does not exist or is not available for visibility timeout change.")
        })?;
        if found.state.visible_ms <= now_ms {
            return Err(errors::not_in_flight());
        }
        let state = State { visible_ms: now_ms + timeout * 1000, ..found.state.clone() };
        if sqs.storage.shift(queue, &[(found, state)]).await? {
            // Waiting receivers reckon with the old time.
            sqs.lane(queue).arrived.notify_waiters();
            return Ok(());
        }
    }
    Err(ApiError::internal("the message is being changed by too many at once"))
}
