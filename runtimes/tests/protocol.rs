//! Frames against a runtime that sends whatever it likes: the channel answers or fails, and never hangs or panics.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use cumulet_engine::output::InvocationLog;
use cumulet_engine::sandbox::Answer;
use cumulet_sandbox::channel::{ChannelError, Io};
use proptest::prelude::*;
use support::{deadline, event};

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32 + 1).to_le_bytes().to_vec();
    frame.push(kind);
    frame.extend_from_slice(body);
    frame
}

fn log_frame(timestamp_ms: u64, message: &[u8]) -> Vec<u8> {
    frame(b'L', &[&timestamp_ms.to_le_bytes(), message].concat())
}

type Result<T> = std::result::Result<T, ChannelError>;

/// What `ready` and then `invoke` give if the runtime sends `bytes`, in pieces of `piece` bytes, and goes away.
fn drive(bytes: &[u8], piece: usize) -> (Result<()>, Option<Result<Answer>>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (out, _) = std::io::pipe().unwrap();
        let (err, _) = std::io::pipe().unwrap();
        let bytes = bytes.to_vec();
        let sender = std::thread::spawn(move || {
            for chunk in bytes.chunks(piece) {
                if theirs.write_all(chunk).is_err() {
                    return;
                }
            }
            // Reading what comes, so that an event of any size can be sent.
            let _ = theirs.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut theirs, &mut std::io::sink());
        });
        let mut io = Io::frames(ours, out.into(), err.into()).unwrap();
        let mut log = InvocationLog::new();
        let run = async {
            let ready = io.ready(&mut log).await;
            if ready.is_err() {
                return (ready, None);
            }
            io.drain(&mut log);
            let answer = io.invoke(&event("{}"), deadline(), &mut log).await;
            io.drain(&mut log);
            (ready, Some(answer))
        };
        let (ready, answer) = tokio::time::timeout(Duration::from_secs(30), run).await.expect("no hang");
        drop(io);
        sender.join().unwrap();
        let messages = log.take().0.into_iter().map(|e| e.message).collect();
        (ready, answer, messages)
    })
}

fn protocol(result: &Result<Answer>) -> bool {
    matches!(result, Err(ChannelError::Protocol(_)))
}

#[test]
fn frames_in_turn() {
    let good =
        [log_frame(1, b"init"), frame(b'R', b""), log_frame(u64::MAX, "grün\n".as_bytes()), log_frame(0, b"\xff")]
            .concat();
    for piece in [1, 3, 7, 4096] {
        // An answer that comes before the event is out of turn or, seen later, cannot be told from a quick one.
        let (ready, answer, messages) = drive(&good, piece);
        assert_eq!(ready, Ok(()));
        assert_eq!(answer, Some(Err(ChannelError::Closed)));
        assert_eq!(messages, ["init", "grün", "\u{fffd}"]);
    }
}

#[test]
fn frames_out_of_turn() {
    for bad in [
        frame(b'S', b"1"),
        frame(b'F', b"{}"),
        frame(b'R', b"x"),
        frame(b'Q', b""),
        frame(b'E', b""),
        frame(b'L', b"short"),
        vec![0, 0, 0, 0, b'R'],
        vec![0xff, 0xff, 0xff, 0xff, b'L'],
        vec![0xff, 0xff, 0xff, 0x7f, b'?'],
    ] {
        let (ready, _, _) = drive(&bad, 2);
        assert!(matches!(ready, Err(ChannelError::Protocol(_))), "{bad:?} {ready:?}");
    }
    // Sent in one piece with `R`, so it is in the buffer before the event is sent.
    for bad in [frame(b'S', b"1"), frame(b'R', b""), frame(b'Q', b""), frame(b'I', b"{}")] {
        let (ready, answer, _) = drive(&[frame(b'R', b""), bad].concat(), 4096);
        assert_eq!(ready, Ok(()));
        assert!(protocol(&answer.unwrap()));
    }
}

#[tokio::test]
async fn a_drain_takes_logs_and_leaves_the_rest() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (out, _) = std::io::pipe().unwrap();
    let (err, _) = std::io::pipe().unwrap();
    let mut io = Io::frames(ours, out.into(), err.into()).unwrap();
    let mut log = InvocationLog::new();
    let sent =
        [frame(b'R', b""), log_frame(1, b"one"), log_frame(1, b""), frame(b'S', b"unasked"), log_frame(1, b"two")];
    theirs.write_all(&sent.concat()).unwrap();
    assert_eq!(io.ready(&mut log).await, Ok(()));
    for _ in 0..2 {
        io.drain(&mut log);
    }
    let messages: Vec<String> = log.take().0.into_iter().map(|e| e.message).collect();
    assert_eq!(messages, ["one"]);
    let answer = io.invoke(&event("{}"), deadline(), &mut log).await;
    assert!(protocol(&answer));
}

#[tokio::test]
async fn an_answer_before_the_event_is_read_ends_the_instance() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let (out, _) = std::io::pipe().unwrap();
    let (err, _) = std::io::pipe().unwrap();
    let mut io = Io::frames(ours, out.into(), err.into()).unwrap();
    let mut log = InvocationLog::new();
    theirs.write_all(&frame(b'R', b"")).unwrap();
    assert_eq!(io.ready(&mut log).await, Ok(()));
    theirs.write_all(&frame(b'S', b"1")).unwrap();
    let large = event(vec![b' '; 4 * 1024 * 1024]);
    assert!(protocol(&io.invoke(&large, deadline(), &mut log).await));
}

#[test]
fn a_channel_moves_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Io>();
    fn check_future(io: &mut Io) -> impl Send {
        async move { io.ready(&mut InvocationLog::new()).await }
    }
    let _ = check_future;
}

#[test]
fn an_init_error_and_a_length_too_large() {
    let (ready, ..) = drive(&frame(b'I', b"{\"errorType\":\"X\"}"), 5);
    assert_eq!(ready, Err(ChannelError::Init(Bytes::from_static(b"{\"errorType\":\"X\"}"))));
    let mut long = (6 * 1024 * 1024 + 2_u32).to_le_bytes().to_vec();
    long.push(b'S');
    let (ready, ..) = drive(&long, 1);
    assert_eq!(ready, Err(ChannelError::ResponseTooLarge { bytes: 6 * 1024 * 1024 + 1 }));
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(b"RISFLE\0?".to_vec());
    prop_oneof![
        4 => (kind, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(k, b)| frame(k, &b)),
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|b| log_frame(7, &b)),
        2 => Just(frame(b'R', b"")),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_may_come(frames in prop::collection::vec(any_frame(), 0..8), piece in 1_usize..64) {
        let _ = drive(&frames.concat(), piece);
    }

    #[test]
    fn pieces_make_no_difference_to_logs(
        messages in prop::collection::vec("[a-zäß]{1,30}", 0..8),
        piece in 1_usize..64,
    ) {
        let mut bytes: Vec<u8> = messages.iter().flat_map(|m| log_frame(1, m.as_bytes())).collect();
        bytes.extend(frame(b'R', b""));
        let (ready, _, logged) = drive(&bytes, piece);
        prop_assert_eq!(ready, Ok(()));
        prop_assert_eq!(logged, messages);
    }
}
