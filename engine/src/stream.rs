//! A streamed answer on its way from the instance to whoever waits for it. Bounded: who writes faster than is read waits.
//! When the reader goes away, what is written afterwards is let go, and the function runs on, as on Lambda.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cumulet_base::limits;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::invocation::{InvokeError, Outcome};

/// What comes out of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// The function has begun to answer.
    Begin {
        content_type: Option<String>,
    },
    Data(Bytes),
}

/// The answer is longer than this, which is what it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    pub bytes_max: u64,
}

/// The instance's end.
#[derive(Clone, Debug)]
pub struct Sink {
    pieces: mpsc::Sender<Piece>,
    bytes_max: u64,
    left: Arc<AtomicU64>,
    begun: Arc<OnceLock<Instant>>,
    version: Arc<OnceLock<String>>,
}

/// The reader's end.
#[derive(Debug)]
pub struct Source {
    pieces: mpsc::Receiver<Piece>,
    version: Arc<OnceLock<String>>,
}

/// An invocation whose answer has begun, or is already over.
#[derive(Debug)]
pub struct Streaming {
    /// As the function set it.
    pub content_type: Option<String>,
    pub executed_version: String,
    pub source: Source,
    /// What became of it; its payload is the whole answer where the function did not stream, and the error where it failed.
    pub end: oneshot::Receiver<Result<Outcome, InvokeError>>,
}

pub fn pair(bytes_max: u64) -> (Sink, Source) {
    let (sender, receiver) = mpsc::channel(limits::STREAM_PIECES_MAX);
    let version = Arc::new(OnceLock::new());
    let left = Arc::new(AtomicU64::new(bytes_max));
    let sink = Sink { pieces: sender, bytes_max, left, begun: Arc::default(), version: version.clone() };
    (sink, Source { pieces: receiver, version })
}

impl Sink {
    pub fn runs(&self, version: &str) {
        // A second try of the same invocation runs the same function.
        let _same = self.version.set(version.to_owned());
    }

    pub async fn begin(&self, content_type: Option<String>) {
        // Nobody may be there any more; that is not the function's concern.
        drop(self.pieces.send(Piece::Begin { content_type }).await);
    }

    /// When the first of it came, if any has.
    pub fn begun(&self) -> Option<Instant> {
        self.begun.get().copied()
    }

    /// What has come of it so far.
    pub fn bytes(&self) -> u64 {
        self.bytes_max.saturating_sub(self.left.load(Ordering::Relaxed))
    }

    /// Waits while the reader is behind.
    ///
    /// # Errors
    /// The answer is longer than allowed.
    pub async fn send(&self, data: Bytes) -> Result<(), TooLong> {
        let length = data.len() as u64;
        let take = |left: u64| left.checked_sub(length);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(TooLong { bytes_max: self.bytes_max });
        }
        self.begun.get_or_init(Instant::now);
        drop(self.pieces.send(Piece::Data(data)).await);
        Ok(())
    }
}

impl Source {
    /// Of the version that runs, once one does.
    pub fn version(&self) -> Option<&String> {
        self.version.get()
    }

    /// Waits for the beginning of the answer; `None`: it ended without one. The content type is the function's.
    pub async fn begun(&mut self) -> Option<Option<String>> {
        match self.pieces.recv().await? {
            Piece::Begin { content_type } => Some(content_type),
            // A channel begins before it sends.
            Piece::Data(_) => Some(None),
        }
    }

    /// The next piece of the answer; `None` when that is all.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.pieces.recv().await? {
                Piece::Begin { .. } => {}
                Piece::Data(data) if data.is_empty() => {}
                Piece::Data(data) => return Some(data),
            }
        }
    }
}

/// An answer that came whole.
pub fn whole(outcome: Outcome) -> Streaming {
    let (_, source) = pair(0);
    let (sender, end) = oneshot::channel();
    let executed_version = outcome.executed_version.clone();
    // The receiver is right here.
    let _there = sender.send(Ok(outcome));
    Streaming { content_type: None, executed_version, source, end }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order_and_too_many_bytes_do_not() {
        let (sink, mut source) = pair(3);
        sink.begin(Some("text/plain".to_owned())).await;
        assert_eq!((sink.begun(), sink.bytes()), (None, 0));
        sink.send("ab".into()).await.unwrap();
        let begun = sink.begun().unwrap();
        assert_eq!(sink.send("cd".into()).await, Err(TooLong { bytes_max: 3 }));
        sink.send("e".into()).await.unwrap();
        assert_eq!((sink.begun(), sink.bytes()), (Some(begun), 3));
        drop(sink);
        assert_eq!(source.begun().await, Some(Some("text/plain".to_owned())));
        assert_eq!(source.next().await.unwrap(), "ab");
        assert_eq!(source.next().await.unwrap(), "e");
        assert_eq!(source.next().await, None);
    }

    #[tokio::test]
    async fn a_writer_waits_for_its_reader_and_not_for_one_who_left() {
        let (sink, mut source) = pair(u64::MAX);
        for _ in 0..limits::STREAM_PIECES_MAX {
            sink.send("x".into()).await.unwrap();
        }
        let next = sink.send("y".into());
        tokio::pin!(next);
        assert!(futures_poll(next.as_mut()).await.is_none());
        source.next().await.unwrap();
        next.await.unwrap();
        drop(source);
        for _ in 0..2 * limits::STREAM_PIECES_MAX {
            sink.send("z".into()).await.unwrap();
        }
    }

    /// One look at a future.
    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
