//! The frames of `docs/formats/frames.md`, host's side. The runtime is hostile: every length is checked before memory
//! is given to it, and whatever comes out of turn ends the instance.

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use cumulet_base::clock::{Clock, SystemClock};
use cumulet_base::limits::{INVOKE_PAYLOAD_BYTES_MAX, STREAM_PIECE_BYTES_MAX};
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::{Answer, Deadline};
use cumulet_engine::stream::{Sink, TooLong};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWrite, Interest};
use tokio::net::UnixStream;

use super::ChannelError;
use super::pipes::Pipes;
use crate::sys;

const LENGTH_BYTES: usize = 4;
/// Type and body of the longest frame: an answer.
const FRAME_BYTES_MAX: usize = 1 + INVOKE_PAYLOAD_BYTES_MAX;
const CONTENT_TYPE_BYTES_MAX: usize = 1024;
const READ_BYTES_MIN: usize = 4096;
/// Answers up to this length are copied, so that the buffer stays ours and is used again.
const COPY_BYTES_MAX: usize = 16 * 1024;
/// Frames handled before other work gets its turn.
const FRAMES_PER_TURN: usize = 64;
/// A runtime's clock reading is believed within this of ours.
const LOG_AGE_MS_MAX: u64 = 3_600_000;

/// The host's end of the socket.
pub struct Frames {
    socket: UnixStream,
    read: BytesMut,
    /// A frame to go before the first event.
    first: Vec<u8>,
    /// Length, type and header of the event being sent, after such a frame.
    head: Vec<u8>,
    /// Bytes of head and payload already sent.
    sent: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventHeader<'a> {
    request_id: &'a str,
    deadline_ms: u64,
    arn: &'a str,
    trace: &'a str,
    /// JSON in a string: what the caller sent is not proven to be JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_context: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<&'a str>,
}

/// A frame from the runtime that is not a log.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Ready,
    /// Of a template: ready, and its clones will be without saying so.
    Quiet,
    InitError(Bytes),
    Success(Bytes),
    Failure(Bytes),
    /// The answer comes in chunks; its content type, where it has one.
    Begin(Option<String>),
    Chunk(Bytes),
}

/// An answer under way: to whoever waits for it, or gathered where nobody takes it piece by piece.
struct Streamed {
    sink: Option<Sink>,
    gathered: BytesMut,
}

impl Streamed {
    async fn begin(sink: Option<Sink>, content_type: Option<String>) -> Streamed {
        if let Some(sink) = &sink {
            sink.begin(content_type).await;
        }
        Streamed { sink, gathered: BytesMut::new() }
    }

    async fn take(&mut self, data: Bytes) -> Result<(), ChannelError> {
        if let Some(sink) = &self.sink {
            let too_long = |TooLong { bytes_max }| ChannelError::StreamTooLong { bytes_max };
            return sink.send(data).await.map_err(too_long);
        }
        let bytes = self.gathered.len() + data.len();
        if bytes > INVOKE_PAYLOAD_BYTES_MAX {
            return Err(ChannelError::ResponseTooLarge { bytes });
        }
        self.gathered.extend_from_slice(&data);
        Ok(())
    }
}

impl Frames {
    pub fn new(socket: StdUnixStream) -> std::io::Result<Frames> {
        socket.set_nonblocking(true)?;
        Ok(Frames {
            socket: UnixStream::from_std(socket)?,
            read: BytesMut::new(),
            first: Vec::new(),
            head: Vec::new(),
            sent: 0,
        })
    }

    pub fn begin_with(&mut self, frame: Vec<u8>) {
        self.first = frame;
    }

    pub fn into_socket(self) -> std::io::Result<StdUnixStream> {
        if self.read.is_empty() {
            self.socket.into_std()
        } else {
            Err(std::io::Error::other("more than was asked for"))
        }
    }

    /// Gives the runtime a socket for each of `count` seats, and returns the other ends. Nothing but logs comes here afterwards.
    pub fn divide(&mut self, count: usize) -> std::io::Result<Vec<Frames>> {
        const SEATS: &[u8] = &[1, 0, 0, 0, b'T'];
        let pairs = (0..count).map(|_| StdUnixStream::pair()).collect::<std::io::Result<Vec<_>>>()?;
        let theirs: Vec<RawFd> = pairs.iter().map(|(_, theirs)| theirs.as_raw_fd()).collect();
        let sent = self.socket.try_io(Interest::WRITABLE, || sys::send(&self.socket, IoSlice::new(SEATS), &theirs))?;
        if sent < SEATS.len() {
            return Err(std::io::Error::other("the runtime does not read"));
        }
        pairs.into_iter().map(|(ours, _)| Frames::new(ours)).collect()
    }

    /// Moves what logs there are to `log`, and arranges to be woken for more. Ready once nothing more comes.
    pub fn poll_logs(&mut self, cx: &mut Context<'_>, log: &mut InvocationLog) -> Poll<()> {
        for _ in 0..FRAMES_PER_TURN {
            let is_sound = self.take_logs(log).is_ok() && matches!(split(&self.read), Ok(None));
            if !is_sound || ready!(self.poll_fill(cx)).is_err() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub async fn ready(&mut self, pipes: &mut Pipes, log: &mut InvocationLog) -> Result<(), ChannelError> {
        match poll_fn(|cx| self.poll_turn(cx, &[], pipes, log)).await? {
            Frame::Ready => Ok(()),
            Frame::InitError(error) => Err(ChannelError::Init(error)),
            other => Err(out_of_turn(&other)),
        }
    }

    /// Whether the template's clones are quiet.
    pub async fn parked(&mut self, pipes: &mut Pipes, log: &mut InvocationLog) -> Result<bool, ChannelError> {
        match poll_fn(|cx| self.poll_turn(cx, &[], pipes, log)).await? {
            Frame::Ready => Ok(false),
            Frame::Quiet => Ok(true),
            Frame::InitError(error) => Err(ChannelError::Init(error)),
            other => Err(out_of_turn(&other)),
        }
    }

    pub async fn invoke(
        &mut self,
        event: &Invocation,
        deadline: Deadline,
        pipes: &mut Pipes,
        log: &mut InvocationLog,
    ) -> Result<Answer, ChannelError> {
        if let Some(frame) = self.take_frame(log)? {
            return Err(out_of_turn(&frame));
        }
        let is_first = !self.first.is_empty();
        self.write_head(event, deadline)?;
        let mut streamed: Option<Streamed> = None;
        loop {
            let frame = poll_fn(|cx| self.poll_turn(cx, &event.payload, pipes, log)).await?;
            if self.sent < self.head.len() + event.payload.len() {
                return Err(ChannelError::Protocol("an answer before the event was read".to_owned()));
            }
            match (frame, &mut streamed) {
                (Frame::Success(answer), None) => return Ok(Answer::Success(answer)),
                (Frame::Success(rest), Some(streamed)) if rest.is_empty() => {
                    return Ok(Answer::Success(std::mem::take(&mut streamed.gathered).freeze()));
                }
                // Of a clone whose environment came with the event.
                (Frame::InitError(error), None) if is_first => return Err(ChannelError::Init(error)),
                (Frame::Failure(error), _) => return Ok(Answer::Error(error)),
                (Frame::Begin(content_type), None) => {
                    streamed = Some(Streamed::begin(event.sink.clone(), content_type).await);
                }
                // While the reader is behind, nothing more is read, and the runtime waits in its write.
                (Frame::Chunk(data), Some(streamed)) => streamed.take(data).await?,
                (frame, _) => return Err(out_of_turn(&frame)),
            }
        }
    }

    /// Takes the log frames that have come; leaves any other frame, and any error, for the next event to meet.
    pub fn drain(&mut self, log: &mut InvocationLog) {
        for _ in 0..FRAMES_PER_TURN {
            if self.take_logs(log).is_err() || !matches!(split(&self.read), Ok(None)) {
                return;
            }
            self.read.reserve(READ_BYTES_MIN);
            match self.socket.try_read_buf(&mut self.read) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn write_head(&mut self, event: &Invocation, deadline: Deadline) -> Result<(), ChannelError> {
        const BEFORE_HEADER: usize = LENGTH_BYTES + 1 + 4;
        self.head.clear();
        self.head.append(&mut self.first);
        let start = self.head.len();
        self.head.resize(start + BEFORE_HEADER, 0);
        serde_json::to_writer(
            &mut self.head,
            &EventHeader {
                request_id: &event.request_id,
                deadline_ms: deadline.epoch_ms,
                arn: &event.invoked_arn,
                trace: &event.trace,
                client_context: event.client_context.as_deref(),
                tenant_id: event.tenant.as_deref(),
            },
        )
        .expect("strings and numbers have a JSON form, and a Vec takes every write");
        let header = self.head.len() - start - BEFORE_HEADER;
        let total = 1 + 4 + header + event.payload.len();
        let (Ok(total), Ok(header)) = (u32::try_from(total), u32::try_from(header)) else {
            return Err(ChannelError::Protocol("the event exceeds 4 GiB".to_owned()));
        };
        let before = &mut self.head[start..];
        before[..4].copy_from_slice(&total.to_le_bytes());
        before[4] = b'E';
        before[5..BEFORE_HEADER].copy_from_slice(&header.to_le_bytes());
        self.sent = 0;
        Ok(())
    }

    /// One turn of everything at once, for a process that is blocked on one of its descriptors while the host serves
    /// another would wait for ever. Ready with the first frame that is not a log.
    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        payload: &[u8],
        pipes: &mut Pipes,
        log: &mut InvocationLog,
    ) -> Poll<Result<Frame, ChannelError>> {
        let _ = pipes.poll(cx, log);
        self.poll_send(cx, payload);
        for _ in 0..FRAMES_PER_TURN {
            if let Some(frame) = self.take_frame(log)? {
                return Poll::Ready(Ok(frame));
            }
            ready!(self.poll_fill(cx))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends the rest of the event. A broken socket is found out by reading, where a last word may still be.
    fn poll_send(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let total = self.head.len() + payload.len();
        while self.sent < total {
            let head = &self.head[self.sent.min(self.head.len())..];
            let body = &payload[self.sent.saturating_sub(self.head.len())..];
            let pieces = [IoSlice::new(head), IoSlice::new(body)];
            match Pin::new(&mut self.socket).poll_write_vectored(cx, &pieces) {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) if count > 0 => self.sent += count,
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(_) => self.sent = total,
            }
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        let missing = match split(&self.read)? {
            None if self.read.len() >= LENGTH_BYTES => LENGTH_BYTES + announced(&self.read) - self.read.len(),
            _ => 0,
        };
        self.read.reserve(missing.max(READ_BYTES_MIN));
        let filled = pin!(self.socket.read_buf(&mut self.read)).poll(cx);
        match ready!(filled) {
            Ok(0) | Err(_) => Poll::Ready(Err(ChannelError::Closed)),
            Ok(_) => Poll::Ready(Ok(())),
        }
    }

    /// The next whole frame in the buffer that is not a log; logs go to `log`.
    fn take_frame(&mut self, log: &mut InvocationLog) -> Result<Option<Frame>, ChannelError> {
        self.take_logs(log)?;
        let Some(length) = split(&self.read)? else {
            return Ok(None);
        };
        self.read.advance(LENGTH_BYTES);
        let frame = if length > COPY_BYTES_MAX {
            let frame = self.read.split_to(length).freeze();
            if self.read.is_empty() {
                // What is left would keep the memory of the whole frame.
                self.read = BytesMut::new();
            }
            frame
        } else {
            let copy = Bytes::copy_from_slice(&self.read[..length]);
            self.read.advance(length);
            copy
        };
        parse(frame).map(Some)
    }

    /// Moves the log frames at the beginning of the buffer to `log`. Empty messages are left out: CloudWatch Logs has
    /// no empty events.
    fn take_logs(&mut self, log: &mut InvocationLog) -> Result<(), ChannelError> {
        while let Some(length) = split(&self.read)? {
            let frame = &self.read[LENGTH_BYTES..LENGTH_BYTES + length];
            if frame[0] != b'L' {
                return Ok(());
            }
            let Some((stamp, message)) = frame[1..].split_first_chunk() else {
                return Err(ChannelError::Protocol(format!("a log frame of {length} bytes")));
            };
            if !message.is_empty() {
                let now = SystemClock.now_ms();
                let at = u64::from_le_bytes(*stamp).clamp(now.saturating_sub(LOG_AGE_MS_MAX), now);
                log.push(at, &String::from_utf8_lossy(message));
            }
            self.read.advance(LENGTH_BYTES + length);
        }
        Ok(())
    }
}

/// A whole frame.
pub(crate) fn of(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = 1 + body.len() as u32;
    [length.to_le_bytes().as_slice(), &[kind], body].concat()
}

fn announced(buffer: &[u8]) -> usize {
    u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize
}

/// The length of the first frame without its prefix, if the whole of it is there.
fn split(buffer: &[u8]) -> Result<Option<usize>, ChannelError> {
    if buffer.len() < LENGTH_BYTES {
        return Ok(None);
    }
    let length = announced(buffer);
    if length == 0 {
        return Err(ChannelError::Protocol("an empty frame".to_owned()));
    }
    if length > FRAME_BYTES_MAX {
        // The type decides what it is called, so it has to be seen first.
        return match buffer.get(LENGTH_BYTES) {
            None => Ok(None),
            Some(b'S' | b'F') => Err(ChannelError::ResponseTooLarge { bytes: length - 1 }),
            Some(kind) => Err(ChannelError::Protocol(format!("a frame of type {kind:#04x} with {length} bytes"))),
        };
    }
    Ok((buffer.len() >= LENGTH_BYTES + length).then_some(length))
}

/// A frame that is not a log.
fn parse(mut frame: Bytes) -> Result<Frame, ChannelError> {
    match frame.get_u8() {
        b'S' => Ok(Frame::Success(frame)),
        b'F' => Ok(Frame::Failure(frame)),
        b'B' => {
            let kind = String::from_utf8_lossy(&frame);
            let is_good =
                kind.len() <= CONTENT_TYPE_BYTES_MAX && kind.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
            Ok(Frame::Begin(Some(kind.into_owned()).filter(|kind| is_good && !kind.is_empty())))
        }
        b'C' if frame.len() <= STREAM_PIECE_BYTES_MAX => Ok(Frame::Chunk(frame)),
        b'R' if frame.is_empty() => Ok(Frame::Ready),
        b'Q' if frame.is_empty() => Ok(Frame::Quiet),
        b'I' => Ok(Frame::InitError(frame)),
        kind => {
            Err(ChannelError::Protocol(format!("a frame of type {kind:#04x} with a body of {} bytes", frame.len())))
        }
    }
}

fn out_of_turn(frame: &Frame) -> ChannelError {
    let name = match frame {
        Frame::Ready | Frame::Quiet => "a ready frame",
        Frame::InitError(_) => "an init error",
        Frame::Success(_) | Frame::Failure(_) => "an answer",
        Frame::Begin(_) | Frame::Chunk(_) => "a part of an answer",
    };
    ChannelError::Protocol(format!("{name} out of turn"))
}
