//! How writers of what invocations leave behind gather it: the first thing is written at once, and while more comes in, a
//! commit is not begun earlier than some time after the one before. Under load one commit then holds what hundreds of
//! invocations leave, and the disk and its processor time are the invocations'.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// Between the beginnings of two commits: what a crash of the machine can cost at most, beside the commit under way.
const PAUSE_MS: u64 = 20;

/// When the next commit may begin.
pub struct Rounds {
    next: Instant,
}

impl Default for Rounds {
    fn default() -> Rounds {
        Rounds { next: Instant::now() }
    }
}

impl Rounds {
    /// What else belongs to this round: what is there, or comes before the round may be written. `None` ends it.
    pub async fn more<T>(&self, jobs: &mut Receiver<T>) -> Option<T> {
        match jobs.try_recv() {
            Ok(job) => Some(job),
            Err(_) if self.next <= Instant::now() => None,
            Err(_) => tokio::time::timeout_at(self.next, jobs.recv()).await.ok().flatten(),
        }
    }

    /// The round is written now.
    pub fn begin(&mut self) {
        self.next = Instant::now() + Duration::from_millis(PAUSE_MS);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_does_not_wait_and_later_ones_gather() {
        let (queue, mut jobs) = tokio::sync::mpsc::channel(16);
        let mut rounds = Rounds::default();
        let began = Instant::now();
        queue.send(1).await.unwrap();
        assert_eq!(rounds.more(&mut jobs).await, Some(1));
        assert_eq!(rounds.more(&mut jobs).await, None);
        assert_eq!(began.elapsed(), Duration::ZERO);
        rounds.begin();
        tokio::spawn(async move {
            for job in 2..=8 {
                tokio::time::sleep(Duration::from_millis(7)).await;
                queue.send(job).await.unwrap();
            }
        });
        let mut round = Vec::new();
        while let Some(job) = rounds.more(&mut jobs).await {
            round.push(job);
        }
        assert_eq!((round, began.elapsed().as_millis() as u64), (vec![2, 3], PAUSE_MS));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_without_producers_is_not_waited_for() {
        let (queue, mut jobs) = tokio::sync::mpsc::channel::<u8>(1);
        let mut rounds = Rounds::default();
        rounds.begin();
        drop(queue);
        let began = Instant::now();
        assert_eq!(rounds.more(&mut jobs).await, None);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
