//! An object's bytes on their way out: from the store, from a blob, or from the blobs of its parts one after the other.

use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use cumulet_blobs::Blobs;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Result, StdError};

use crate::model::{Object, Place};
use crate::{Objects, errors};

/// A stream that says how long it is, as s3s asks for it.
pub struct Pieces {
    stream: Mutex<BoxStream<'static, Result<Bytes, StdError>>>,
    left: u64,
}

impl Pieces {
    pub async fn of(
        s3: &Objects,
        bucket: &str,
        object: &Object,
        inline: Bytes,
        range: Range<u64>,
    ) -> S3Result<StreamingBlob> {
        let left = range.end - range.start;
        let stream = match &object.place {
            Place::Inline | Place::InlineOf(_) => {
                let (from, to) = (usize::try_from(range.start), usize::try_from(range.end));
                let bytes = inline.slice(from.map_err(errors::internal)?..to.map_err(errors::internal)?);
                futures_util::stream::once(async move { Ok(bytes) }).boxed()
            }
            Place::Blob(name) => {
                let stream = s3.storage.blobs.read(name, range).await.map_err(errors::internal)?;
                stream.map_err(StdError::from).boxed()
            }
            Place::Parts(upload) => {
                let mut spans = Vec::new();
                let mut at = 0;
                for (_, part) in s3.storage.parts(bucket, upload, 0, u32::MAX).await? {
                    let (from, to) = (range.start.max(at), range.end.min(at + part.size));
                    if from < to {
                        spans.push((part.blob, from - at..to - at));
                    }
                    at += part.size;
                }
                chained(s3.storage.blobs.clone(), spans)
            }
        };
        Ok(StreamingBlob::new(Pieces { stream: Mutex::new(stream), left }))
    }
}

/// One blob after the other, each opened when its turn comes.
fn chained(blobs: Arc<Blobs>, spans: Vec<(String, Range<u64>)>) -> BoxStream<'static, Result<Bytes, StdError>> {
    let open = move |(name, range): (String, Range<u64>)| {
        let blobs = blobs.clone();
        async move { Ok::<_, StdError>(blobs.read(&name, range).await?.map_err(StdError::from)) }
    };
    futures_util::stream::iter(spans).then(open).try_flatten().boxed()
}

impl Stream for Pieces {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = stream.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        polled
    }
}

impl ByteStream for Pieces {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.left).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}
