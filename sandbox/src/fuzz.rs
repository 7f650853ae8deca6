//! This crate's parsers of outside bytes, for the fuzz room: what a hostile runtime may send.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use cumulet_base::fuzz::Target;
use cumulet_engine::output::InvocationLog;

use crate::channel::{Io, runtime_api};
use crate::extensions::telemetry::{Schema, parse};

pub const TARGETS: &[Target] = &[
    Target {
        name: "sandbox-frames",
        seeds: &[
            b"\x01\0\0\0R",
            b"\x0e\0\0\0L\0\0\0\0\0\0\0\0hello\x01\0\0\0R",
            b"\x08\0\0\0I{\"a\":1}",
            b"\x03\0\0\0S{}",
            b"\x0b\0\0\0Btext/plain\x03\0\0\0Cab\x01\0\0\0S",
        ],
        run: frames,
    },
    Target {
        name: "sandbox-runtime-api",
        seeds: &[
            b"/2018-06-01/runtime/invocation/00000000-0000-4000-8000-000000000000/response\nRuntime.Unknown\ne30=",
        ],
        run: runtime_api::fuzz,
    },
    Target {
        name: "sandbox-telemetry",
        seeds: &[
            br#"{"schemaVersion":"2022-12-13","types":["platform"],"buffering":{"maxItems":1000},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"}}"#,
            br#"{"types":["function"],"destination":{"protocol":"TCP","port":9}}"#,
        ],
        run: telemetry,
    },
];

/// What an extension asks for.
fn telemetry(bytes: &[u8]) {
    for schema in [Schema::Telemetry, Schema::Logs] {
        let _either = parse(bytes, schema);
    }
}

/// Everything a runtime says, before it hangs up.
fn frames(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (host, mut instance) = UnixStream::pair().expect("a pair of sockets");
        let null = || OwnedFd::from(std::io::pipe().expect("a pipe").0);
        // A socket's buffer holds what a fuzzer makes; what does not fit is not sent.
        instance.set_nonblocking(true).expect("a socket");
        let _as_much_as_fits = instance.write(bytes);
        drop(instance);
        let mut io = Io::frames(host, null(), null()).expect("a channel");
        let mut log = InvocationLog::new();
        let _either = io.ready(&mut log).await;
        io.drain(&mut log);
    });
}
