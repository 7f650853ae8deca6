//! How the host talks to the process of an instance: events in, answers and everything printed out. Managed runtimes
//! speak frames (`docs/formats/frames.md`), the others Lambda's Runtime API over HTTP. Processes, deadlines and
//! isolation are not here.

pub(crate) mod frames;
pub(crate) mod pipes;
pub(crate) mod runtime_api;
pub(crate) mod server;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cumulet_engine::function::FunctionVersion;
use cumulet_engine::invocation::Invocation;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::{Answer, Deadline};

use crate::extensions::Extensions;
use frames::Frames;
use pipes::Pipes;
use runtime_api::RuntimeApi;

/// Why nothing more can be had from this process. The instance is of no further use after any of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The process closed its end; most often it has ended.
    #[error("the runtime closed its channel")]
    Closed,
    /// The runtime reported that initialisation failed; the error object in JSON.
    #[error("the runtime could not be initialised")]
    Init(Bytes),
    /// The answer is longer than a synchronous invocation may return.
    #[error("the answer has {bytes} bytes")]
    ResponseTooLarge { bytes: usize },
    /// A streamed answer is longer than this, which is what it may have.
    #[error("the streamed answer has more than {bytes_max} bytes")]
    StreamTooLong { bytes_max: u64 },
    /// The runtime did what the protocol does not allow; a sentence for the log.
    #[error("the runtime broke the protocol: {0}")]
    Protocol(String),
}

enum Channel {
    Frames(Frames),
    RuntimeApi(RuntimeApi),
    /// A wrapper may start the managed runtime, or something else that speaks to the Runtime API: an extension may do so
    /// on behalf of a plain web server. Whoever asks for the first event is the runtime.
    Either {
        frames: Frames,
        api: RuntimeApi,
        is_by_frames: bool,
    },
}

/// Both directions between the host and one process.
pub struct Io {
    channel: Channel,
    pipes: Pipes,
}

impl Io {
    /// A channel of frames over `socket`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A descriptor that cannot be made non-blocking, or `stdout`, `stderr` not the reading end of a pipe.
    pub fn frames(socket: UnixStream, stdout: OwnedFd, stderr: OwnedFd) -> std::io::Result<Io> {
        Ok(Io { channel: Channel::Frames(Frames::new(socket)?), pipes: Pipes::new(stdout, stderr)? })
    }

    /// Serves Lambda's Runtime API on `listener` for as long as this lives. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// As for [`Io::frames`].
    pub fn runtime_api(
        listener: TcpListener,
        stdout: OwnedFd,
        stderr: OwnedFd,
        function: Arc<FunctionVersion>,
    ) -> std::io::Result<Io> {
        Io::runtime_api_beside(listener, stdout, stderr, &function.name, None)
    }

    /// The same, with what the instance's extensions call.
    pub(crate) fn runtime_api_beside(
        listener: TcpListener,
        stdout: OwnedFd,
        stderr: OwnedFd,
        function: &str,
        extensions: Option<Arc<Extensions>>,
    ) -> std::io::Result<Io> {
        Ok(Io {
            channel: Channel::RuntimeApi(RuntimeApi::serve(listener, function, extensions)?),
            pipes: Pipes::new(stdout, stderr)?,
        })
    }

    /// Both of them, until one says that it is ready.
    pub(crate) fn either(
        socket: UnixStream,
        listener: TcpListener,
        stdout: OwnedFd,
        stderr: OwnedFd,
        function: &str,
        extensions: Arc<Extensions>,
    ) -> std::io::Result<Io> {
        let api = RuntimeApi::serve(listener, function, Some(extensions))?;
        Ok(Io {
            channel: Channel::Either { frames: Frames::new(socket)?, api, is_by_frames: true },
            pipes: Pipes::new(stdout, stderr)?,
        })
    }

    /// Waits for the first to be ready, which is the runtime from then on. The API's server stays, for extensions.
    async fn choose(&mut self, log: &mut InvocationLog) -> Result<(), ChannelError> {
        let Io { channel: Channel::Either { frames, api, is_by_frames }, pipes } = self else { return Ok(()) };
        let (result, is_frames) = tokio::select! {
            result = frames.ready(pipes, log) => match result {
                // Whatever the wrapper has started has no use for the channel.
                Err(ChannelError::Closed) => (api.ready(pipes, log).await, false),
                result => (result, true),
            },
            result = api.readied() => (result, false),
        };
        *is_by_frames = is_frames;
        result
    }

    /// Takes what is printed to `log` until the future is dropped.
    pub(crate) async fn listen(&mut self, log: &mut InvocationLog) {
        let pipes = &mut self.pipes;
        std::future::poll_fn(|cx| {
            // Both closed is nothing to act on here.
            let _both_closed = pipes.poll(cx, log);
            std::task::Poll::Pending
        })
        .await
    }

    /// Waits until initialisation is over. What is printed meanwhile goes to `log`.
    ///
    /// # Errors
    /// [`ChannelError::Init`] when the runtime says that it failed, [`ChannelError::Closed`] when it went away.
    pub async fn ready(&mut self, log: &mut InvocationLog) -> Result<(), ChannelError> {
        let Io { channel, pipes } = self;
        let result = match channel {
            Channel::Frames(frames) => frames.ready(pipes, log).await,
            Channel::RuntimeApi(api) => api.ready(pipes, log).await,
            Channel::Either { .. } => self.choose(log).await,
        };
        let pipes = &mut self.pipes;
        pipes.drain(log);
        result
    }

    /// The same of a template, which parks then. Whether its clones have nothing to do before their first event, and do not
    /// say that they are ready.
    ///
    /// # Errors
    /// As for [`Io::ready`].
    pub(crate) async fn parked(&mut self, log: &mut InvocationLog) -> Result<bool, ChannelError> {
        match &mut self.channel {
            Channel::Frames(frames) => frames.parked(&mut self.pipes, log).await,
            Channel::RuntimeApi(_) | Channel::Either { .. } => Ok(false),
        }
    }

    /// Sends this with the first event.
    pub(crate) fn begin_with(&mut self, frame: Vec<u8>) {
        if let Channel::Frames(frames) = &mut self.channel {
            frames.begin_with(frame);
        }
    }

    /// Gives the socket back, when the runtime says on it what frames are not for.
    ///
    /// # Errors
    /// When it has already said more, or the channel is none of frames.
    pub(crate) fn into_socket(self) -> std::io::Result<UnixStream> {
        match self.channel {
            Channel::Frames(frames) => frames.into_socket(),
            Channel::RuntimeApi(_) | Channel::Either { .. } => Err(std::io::Error::other("a channel of requests")),
        }
    }

    /// Divides the way to an initialised runtime into one for each seat, and what is printed.
    ///
    /// # Errors
    /// When descriptors have run out, or the channel is none of frames.
    pub(crate) fn divide(self, count: usize) -> std::io::Result<(Vec<Io>, Output)> {
        let seat = |channel| Io { channel, pipes: Pipes::none() };
        let (seats, frames) = match self.channel {
            Channel::Frames(mut frames) | Channel::Either { mut frames, is_by_frames: true, .. } => {
                let seats = frames.divide(count)?.into_iter().map(|frames| seat(Channel::Frames(frames)));
                (seats.collect(), Some(frames))
            }
            Channel::RuntimeApi(api) | Channel::Either { api, .. } => {
                let seats = api.divide(count).into_iter().map(|api| seat(Channel::RuntimeApi(api)));
                (seats.collect(), None)
            }
        };
        Ok((seats, Output { frames, pipes: self.pipes, log: InvocationLog::new() }))
    }

    /// Hands over one event and waits for the answer. All that was printed before the answer is in `log` on return.
    ///
    /// Dropping the future leaves the event under way: the process cannot be used again.
    ///
    /// # Errors
    /// Any of [`ChannelError`] but [`ChannelError::Init`].
    pub async fn invoke(
        &mut self,
        event: &Invocation,
        deadline: Deadline,
        log: &mut InvocationLog,
    ) -> Result<Answer, ChannelError> {
        let Io { channel, pipes } = self;
        let result = match channel {
            Channel::Frames(frames) | Channel::Either { frames, is_by_frames: true, .. } => {
                frames.invoke(event, deadline, pipes, log).await
            }
            Channel::RuntimeApi(api) | Channel::Either { api, .. } => api.invoke(event, deadline, pipes, log).await,
        };
        pipes.drain(log);
        result
    }

    /// Takes what has been printed and not yet been read, unfinished lines too. Never waits.
    pub fn drain(&mut self, log: &mut InvocationLog) {
        if let Channel::Frames(frames) | Channel::Either { frames, is_by_frames: true, .. } = &mut self.channel {
            frames.drain(log);
        }
        self.pipes.drain(log);
    }
}

/// What an instance with seats prints beside its events: gathered for whichever event is over next.
pub(crate) struct Output {
    /// Of runtimes that speak them.
    frames: Option<Frames>,
    pipes: Pipes,
    log: InvocationLog,
}

impl Output {
    /// Reads what is there and arranges to be woken for more. Ready once nothing more comes.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Output { frames, pipes, log } = self;
        let logs = frames.as_mut().map_or(Poll::Ready(()), |frames| frames.poll_logs(cx, log));
        let printed = pipes.poll(cx, log);
        if logs.is_ready() && printed.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes what has been printed and not yet been taken, unfinished lines too. Never waits.
    pub(crate) fn drain(&mut self, log: &mut InvocationLog) {
        if let Some(frames) = &mut self.frames {
            frames.drain(&mut self.log);
        }
        self.pipes.drain(&mut self.log);
        log.append(&mut self.log);
    }
}
