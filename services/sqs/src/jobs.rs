//! What goes on in the background, as tasks of `delivery`: it goes on where it was after a stop. Dead letters that are moved
//! back at their rate; rows of purged messages and of queues that are gone.

use std::sync::Arc;

use async_trait::async_trait;
use cumulet_base::clock::Clock;
use cumulet_base::limits::QUEUE_PAGE_ROWS;
use cumulet_delivery::{Handler, NewTask, Next, Task};
use cumulet_wire::error::ApiError;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::lanes::Lanes;
use crate::model::{Content, Move, MoveStatus, Place, Queue, State};
use crate::storage::{Change, Found, Storage};

pub const OWNER: &str = "sqs";
/// Messages that one step moves, without a rate.
const MOVED_MAX: u32 = 50;
/// After a failure of the store.
const PAUSE_MS: u64 = 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Job {
    Move { place: Place, queue_id: String, task: Move },
    Purge { place: Place, queue_id: String, upto: u64 },
    Clear { queue_id: String },
}

impl Job {
    pub fn task(&self, queue: &Queue, now_ms: u64) -> Result<NewTask, ApiError> {
        let body = serde_json::to_vec(self).map_err(|e| ApiError::internal(format!("writing a job: {e}")))?;
        Ok(NewTask { owner: OWNER, lane: queue.id.clone(), due_ms: now_ms, body: body.into() })
    }
}

pub struct Jobs {
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    lanes: Arc<Lanes>,
}

#[async_trait]
impl Handler for Jobs {
    async fn handle(&self, task: Task) -> Next {
        let job: Job = match serde_json::from_slice(&task.body) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(%error, "a job of queues cannot be read");
                return Next::Done;
            }
        };
        let step = match job {
            Job::Move { place, queue_id, task } => self.move_some(&place, &queue_id, &task).await,
            Job::Purge { place, queue_id, upto } => self.purge_some(&place, &queue_id, upto).await,
            Job::Clear { queue_id } => self.storage.clear(&queue_id).await.map(|more| more.then_some(0)),
        };
        match step {
            Ok(None) => Next::Done,
            Ok(Some(pause_ms)) => Next::Retry { due_ms: self.clock.now_ms() + pause_ms, body: None },
            Err(error) => {
                tracing::warn!(%error, "a job of queues is tried again");
                Next::Retry { due_ms: self.clock.now_ms() + PAUSE_MS, body: None }
            }
        }
    }
}

/// Deletes rows of messages up to a sequence. Whether there are more.
pub async fn purge_step(storage: &Storage, queue: &Queue, upto: u64, now_ms: u64) -> Result<bool, ApiError> {
    let found = storage.earliest(queue, upto, QUEUE_PAGE_ROWS).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let changes: Vec<Change> = found.into_iter().map(|found| (found, None)).collect();
    // Not done: somebody has changed one, which is then found as it is.
    storage.change(queue, &changes, now_ms).await?;
    Ok(true)
}

/// How long until the next step; `None`: that was the last one.
type Step = Result<Option<u64>, ApiError>;

impl Jobs {
    pub fn new(storage: Arc<Storage>, clock: Arc<dyn Clock>, lanes: Arc<Lanes>) -> Jobs {
        Jobs { storage, clock, lanes }
    }

    async fn queue(&self, place: &Place, id: &str) -> Result<Option<Queue>, ApiError> {
        Ok(self.storage.find(place).await?.map(|(queue, _)| queue).filter(|queue| queue.id == id))
    }

    async fn purge_some(&self, place: &Place, queue_id: &str, upto: u64) -> Step {
        let Some(queue) = self.queue(place, queue_id).await? else { return Ok(None) };
        Ok(purge_step(&self.storage, &queue, upto, self.clock.now_ms()).await?.then_some(0))
    }

    async fn move_some(&self, place: &Place, queue_id: &str, like: &Move) -> Step {
        let Some(source) = self.queue(place, queue_id).await? else { return Ok(None) };
        let Some((mut task, seen)) = self.storage.find_move(&source, like).await? else { return Ok(None) };
        match task.status {
            MoveStatus::Running => {}
            MoveStatus::Cancelling => {
                task.status = MoveStatus::Cancelled;
                return Ok((!self.storage.put_move(&source, &task, seen).await?).then_some(0));
            }
            _ => return Ok(None),
        }
        let now_ms = self.clock.now_ms();
        let most = task.per_second.map_or(MOVED_MAX, |rate| u32::try_from(rate.div_ceil(10)).unwrap_or(1));
        let found = self.due(&source, now_ms, most).await?;
        let mut pause_ms = Some(0);
        if found.is_empty() {
            task.status = MoveStatus::Completed;
            pause_ms = None;
        } else {
            match self.move_all(&source, &task, found, now_ms).await? {
                Ok(moved) => {
                    task.moved += moved;
                    pause_ms = task.per_second.map(|rate| moved * 1000 / rate).or(pause_ms);
                }
                Err(reason) => {
                    task.status = MoveStatus::Failed;
                    task.failure = Some(reason);
                    pause_ms = None;
                }
            }
        }
        // Not as seen: it is being cancelled.
        let is_kept = self.storage.put_move(&source, &task, seen).await?;
        Ok(if is_kept { pause_ms } else { Some(0) })
    }

    /// What can be moved now. Of a FIFO queue, one group after the other, each from the first message on.
    async fn due(&self, source: &Queue, now_ms: u64, most: u32) -> Result<Vec<Found>, ApiError> {
        if !source.is_fifo() {
            let (due, _) = self.storage.visible(source, now_ms, most).await?;
            let sequences: Vec<u64> = due.iter().take(most as usize).map(|due| due.sequence).collect();
            return self.storage.messages(source, &sequences).await;
        }
        let (turns, _) = self.storage.turns(source, now_ms, 1).await?;
        let Some(turn) = turns.first() else { return Ok(Vec::new()) };
        let front = self.storage.front(source, &turn.group).await?;
        let due = front.into_iter().take(most as usize).take_while(|found| found.state.visible_ms <= now_ms);
        Ok(due.collect())
    }

    /// How many were moved; or why the task cannot go on.
    async fn move_all(
        &self,
        source: &Queue,
        task: &Move,
        found: Vec<Found>,
        now_ms: u64,
    ) -> Result<Result<u64, String>, ApiError> {
        let sequences: Vec<u64> = found.iter().map(|found| found.sequence).collect();
        let contents = self.storage.contents(source, &sequences).await?;
        let mut moves = Vec::new();
        for (found, content) in found.into_iter().zip(contents) {
            let Some(content) = content else { continue };
            let arn = task.destination_arn.as_ref().or(content.source_arn.as_ref());
            let Some(place) = arn.and_then(|arn| Place::from_arn(arn)) else {
                return Ok(Err("CouldNotDetermineMessageSource".to_owned()));
            };
            let Some((target, _)) = self.storage.find(&place).await? else {
                return Ok(Err("AWS.SimpleQueueService.NonExistentQueue".to_owned()));
            };
            moves.push((found, content, target));
        }
        let mut moved = 0;
        if source.is_fifo() {
            for (found, content, target) in moves {
                let done = self.move_one(source, &target, found, content, now_ms).await?;
                moved += u64::from(done);
                if !done {
                    break;
                }
            }
        } else {
            let all = moves.into_iter().map(|(found, content, target)| async move {
                self.move_one(source, &target, found, content, now_ms).await
            });
            moved = try_join_all(all).await?.into_iter().map(u64::from).sum();
        }
        Ok(Ok(moved))
    }

    /// A message that is moved back is new there.
    async fn move_one(
        &self,
        source: &Queue,
        target: &Queue,
        found: Found,
        content: Content,
        now_ms: u64,
    ) -> Result<bool, ApiError> {
        let content = Content { id: cumulet_base::id::uuid(), source_arn: None, ..content };
        let state =
            State { sent_ms: now_ms, visible_ms: now_ms, receives: 0, first_received_ms: 0, ..found.state.clone() };
        let is_moved = self.storage.relocate(source, target, &found, &state, &content, now_ms).await?;
        if is_moved {
            self.lanes.of(target).wake(1);
        }
        Ok(is_moved)
    }
}
