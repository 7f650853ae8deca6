//! Clients that are slow, silent, or too much: each is bounded, and the others do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cumulet_tests::{Cloud, eventually, is_root, node_runtime, ran_in_its_own_network, succeed};

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

/// Browsers on the same machine give up their connections whenever one of its interfaces or addresses changes.
#[test]
fn the_machines_network_stays_as_it_is_when_instances_come_and_go() {
    if !is_root() {
        eprintln!("skipped: only root gives instances interfaces");
        return;
    }
    if ran_in_its_own_network("the_machines_network_stays_as_it_is_when_instances_come_and_go") {
        return;
    }
    let cloud = Cloud::start_with(&["--clones", "off"]);
    let code = [("index.js", "exports.handler = async () => require('fs').readFileSync('/proc/net/route', 'utf8');")];
    for name in ["f", "g"] {
        cloud.create_function(name, &node_runtime(), "index.handler", &code);
    }
    let is_connected = |name: &str| {
        let routes = cloud.invoke(name, "{}").1;
        assert!(routes.as_str().is_some_and(|routes| routes.contains("eth0")), "{routes}");
    };
    // The first start may open the way out.
    is_connected("f");
    let addresses = succeed(Command::new("ip").args(["-brief", "address"]));
    let mut monitor = Command::new("ip");
    let monitor = monitor.args(["-oneline", "monitor", "link", "address", "route"]).stdout(Stdio::piped());
    let mut monitor = monitor.spawn().expect("watching the network");
    let mut seen = monitor.stdout.take().expect("its standard output is piped");
    is_connected("g");
    cloud.aws(&["lambda", "delete-function", "--function-name", "f"]);
    eventually("the instance of `f` is gone", || {
        let listed = cloud.cumulet(&["ls", "--output", "json"]);
        !String::from_utf8_lossy(&listed.stdout).contains(r#""Function":"f""#)
    });
    assert_eq!(succeed(Command::new("ip").args(["-brief", "address"])), addresses);
    // That it watched is seen by a change of the test's own.
    succeed(Command::new("ip").args(["link", "add", "last", "type", "veth", "peer", "name", "last-peer"]));
    let mut said = String::new();
    let mut piece = [0; 4096];
    while !said.contains("last") {
        let length = seen.read(&mut piece).expect("what it saw");
        assert!(length > 0, "the monitor ended");
        said.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    monitor.kill().expect("ending the monitor");
    monitor.wait().expect("reaping the monitor");
    assert_eq!(said.lines().filter(|line| !line.contains("last")).collect::<Vec<_>>(), Vec::<&str>::new());
}
