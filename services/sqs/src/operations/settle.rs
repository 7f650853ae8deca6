//! DeleteMessage, ChangeMessageVisibility and their batches: what a consumer does with its receipt.

use std::collections::HashMap;

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{Entry, batch_answer, entries, failed};
use crate::model::{Queue, Receipt, State};
use crate::storage::{Change, Found};
use crate::{Sqs, errors, input};

const ATTEMPTS_MAX: usize = 8;

pub async fn delete(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    if let Some(found) = deletable(sqs, &queue, &call.input).await? {
        delete_all(sqs, &queue, vec![found]).await?;
    }
    Ok(Answer::empty())
}

pub async fn delete_batch(sqs: &Sqs, call: &Call) -> Result<Answer, ApiError> {
    let queue = sqs.storage.queue(&input::place(call)?).await?;
    let (mut done, mut refused, mut going) = (Vec::new(), Vec::new(), Vec::new());
    for (id, entry) in entries(call)? {
        match deletable(sqs, &queue, &entry).await {
            Ok(found) => {
                // Two receipts of one message delete it once.
                going.extend(found.filter(|new| going.iter().all(|old: &Found| old.sequence != new.sequence)));
                done.push(json!({"Id": id}));
            }
            Err(error) => refused.push(failed(&id, &error)),
        }
    }
    delete_all(sqs, &queue, going).await?;
    Answer::json(batch_answer(done, refused))
}

/// In one commit; what was changed by others meanwhile is looked at again.
async fn delete_all(sqs: &Sqs, queue: &Queue, mut going: Vec<Found>) -> Result<(), ApiError> {
    for _ in 0..ATTEMPTS_MAX {
        if going.is_empty() {
            return Ok(());
        }
        let changes: Vec<Change> = going.iter().map(|found| (found.clone(), None)).collect();
        if sqs.storage.change(queue, &changes, sqs.clock.now_ms()).await? {
            if queue.is_fifo() {
                // The next of their groups may be received.
                sqs.lane(queue).wake(going.len());
            }
            return Ok(());
        }
        let sequences: Vec<u64> = going.iter().map(|found| found.sequence).collect();
        let receives: HashMap<u64, u64> = going.iter().map(|found| (found.sequence, found.state.receives)).collect();
        going = sqs.storage.messages(queue, &sequences).await?;
        going.retain(|found| receives.get(&found.sequence) == Some(&found.state.receives));
    }
    Err(ApiError::internal("the message is being changed by too many at once"))
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

/// The message to be deleted, if it is there; in a FIFO queue only whoever still holds it may.
async fn deletable(sqs: &Sqs, queue: &Queue, entry: &Entry) -> Result<Option<Found>, ApiError> {
    let found = held(sqs, queue, entry).await?;
    let is_late = |found: &Found| queue.is_fifo() && found.state.visible_ms <= sqs.clock.now_ms();
    if found.as_ref().is_some_and(is_late) {
        return Err(errors::expired_receipt(input::required(entry, "ReceiptHandle")?));
    }
    Ok(found)
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
        if sqs.storage.change(queue, &[(found, Some(state))], now_ms).await? {
            // Waiting receivers reckon with the old time.
            sqs.lane(queue).wake_all();
            return Ok(());
        }
    }
    Err(ApiError::internal("the message is being changed by too many at once"))
}
