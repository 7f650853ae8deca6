//! The first bytes of a connection, which tell HTTP/2 from HTTP/1, and both from TLS. The protocols' own limits begin only after them, so
//! whoever sends nothing, or half of HTTP/2's preface, is waited for here, and not for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The type of TLS's first record (RFC 8446, section 5.1), which no request begins with.
const HANDSHAKE: u8 = 22;

/// A stream whose first bytes were read already, and are read again.
pub struct Begun<S> {
    first: Bytes,
    stream: S,
}

/// Reads until it is certain which protocol is spoken; `None` when that takes too long or nothing comes.
pub async fn read<S: AsyncRead + Unpin>(mut stream: S, limit: Duration) -> Option<Begun<S>> {
    let mut first = BytesMut::with_capacity(PREFACE.len());
    let undecided = async {
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            let mut rest = (&mut stream).take((PREFACE.len() - first.len()) as u64);
            if rest.read_buf(&mut first).await.ok()? == 0 {
                return None;
            }
        }
        Some(())
    };
    tokio::time::timeout(limit, undecided).await.ok()??;
    Some(Begun { first: first.freeze(), stream })
}

impl<S> Begun<S> {
    /// Whether it is TLS, and HTTP only within.
    pub fn is_tls(&self) -> bool {
        self.first.first() == Some(&HANDSHAKE)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const LIMIT: Duration = Duration::from_millis(50);

    /// What is read of a connection on which `sent` came, and nothing after it.
    async fn begun(sent: &[u8]) -> Option<Vec<u8>> {
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(sent).await.unwrap();
        let mut begun = read(server, LIMIT).await?;
        drop(client);
        let mut all = Vec::new();
        begun.read_to_end(&mut all).await.unwrap();
        Some(all)
    }

    #[tokio::test]
    async fn nothing_and_half_a_preface_are_given_up() {
        for length in 0..PREFACE.len() {
            assert_eq!(begun(&PREFACE[..length]).await, None, "{length} bytes");
        }
    }

    #[tokio::test]
    async fn what_came_is_read_again() {
        for sent in
            [&b"G"[..], b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/1", b"PRJ", PREFACE, &[PREFACE, b"more"].concat()]
        {
            assert_eq!(begun(sent).await.as_deref(), Some(sent));
        }
    }
}
