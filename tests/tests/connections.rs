//! Clients that are slow, silent, or too much: each is bounded, and the others do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use cumulet_tests::{Cloud, succeed};

/// Longer than any limit of the front door; reached only when a connection is never ended.
const GIVEN_UP: Duration = Duration::from_secs(60);

fn connect(cloud: &Cloud) -> TcpStream {
    let stream = TcpStream::connect(format!("127.0.0.1:{}", cloud.port())).expect("connecting");
    stream.set_read_timeout(Some(GIVEN_UP)).expect("a timeout");
    stream
}

/// Whether the platform still answers somebody else.
fn answers(cloud: &Cloud) -> bool {
    cloud.curl(&["-o", "/dev/null"], &format!("{}/2015-03-31/functions", cloud.endpoint)).status.success()
}

/// Sends `first`, then `drip` again and again, until the other side ends the connection; answers what it said.
fn trickle(mut stream: TcpStream, first: &[u8], drip: &[u8]) -> String {
    let deadline = Instant::now() + GIVEN_UP;
    let mut said = Vec::new();
    stream.write_all(first).expect("the first bytes");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let mut piece = [0; 4096];
    loop {
        assert!(Instant::now() < deadline, "a slow client was never ended: {:?}", String::from_utf8_lossy(first));
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => said.extend_from_slice(&piece[..length]),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                // Ended between two drips is ended all the same.
                if stream.write_all(drip).is_err() {
                    break;
                }
            }
            Err(_reset) => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn slow_clients_are_ended() {
    let cloud = Cloud::start();
    let cloud = &cloud;
    std::thread::scope(|scope| {
        let run = |first: &'static [u8], drip: &'static [u8]| scope.spawn(move || trickle(connect(cloud), first, drip));
        let ended = [
            run(b"", b""),
            run(b"PRI * HTTP/2.0\r\n", b""),
            run(b"P", b""),
            run(b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n"),
            run(b"GET / HT", b""),
        ];
        let body = run(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n", b"x");
        assert!(answers(cloud));
        for ended in ended {
            ended.join().expect("ended");
        }
        assert!(body.join().expect("ended").starts_with("HTTP/1.1 408"));
    });
    assert!(answers(cloud));
}

#[test]
fn huge_heads_are_refused() {
    let cloud = Cloud::start();
    let ask = |head: &str| trickle(connect(&cloud), head.as_bytes(), b"");
    let large = ask(&format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "x".repeat(128 * 1024)));
    // The connection always ends; whether the answer is seen before is not asserted: a reset may overtake it.
    assert!(large.is_empty() || large.starts_with("HTTP/1.1 431"), "{large}");
    let many = ask(&format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(300)));
    assert!(many.is_empty() || many.starts_with("HTTP/1.1 431"), "{many}");
    let broken = ask("GET / HTTP/1.1\r\nhost x\r\n\r\n");
    assert!(broken.is_empty() || broken.starts_with("HTTP/1.1 400"), "{broken}");
    assert!(answers(&cloud));
}

#[test]
fn huge_bodies_are_refused_before_they_come() {
    let cloud = Cloud::start();
    let mut stream = connect(&cloud);
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n").expect("a head");
    let mut said = [0; 12];
    stream.read_exact(&mut said).expect("an answer");
    assert_eq!(&said, b"HTTP/1.1 413");
}

#[test]
fn ten_thousand_connections_are_held() {
    // Each needs a descriptor here, and one in the program, which inherits this process's limit.
    let this = std::process::id().to_string();
    succeed(std::process::Command::new("prlimit").args(["--pid", &this, "--nofile=16384:"]));
    let cloud = Cloud::start();
    let head = "GET /2015-03-31/functions HTTP/1.1\r\nhost: x\r\n\r\n";
    // Each asks at once: those that are silent for long are ended, and a busy machine takes its time for so many.
    let ask = |_| {
        let mut stream = connect(&cloud);
        stream.write_all(head.as_bytes()).expect("asking");
        stream
    };
    let mut held: Vec<TcpStream> = (0..10_000).map(ask).collect();
    for stream in &mut held {
        let mut said = [0; 12];
        stream.read_exact(&mut said).expect("an answer");
        assert_eq!(&said, b"HTTP/1.1 403");
    }
    assert!(answers(&cloud));
}
