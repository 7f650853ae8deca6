//! This crate's parsers of outside bytes, for the fuzz room.

use cumulet_base::fuzz::Target;
use cumulet_base::{id, limits};

use crate::code;
use crate::outcome;
use crate::output::InvocationLog;

/// An archive with one empty file, `a`.
const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0aPK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x80\x01\0\0\0\0aPK\x05\x06\0\0\0\0\x01\0\x01\0/\0\0\0\x1f\0\0\0\0\0";

pub const TARGETS: &[Target] = &[
    Target { name: "engine-zip", seeds: &[ZIP], run: zip },
    Target { name: "engine-log", seeds: &[b"a line\r\n\n\xff\xc3\xa9"], run: log },
];

fn zip(bytes: &[u8]) {
    if code::check_zip(bytes).is_err() {
        return;
    }
    // What the check lets through stays where it is put.
    let folder = std::env::temp_dir().join(format!("cumulet-fuzz-{}", id::hex(16)));
    let inner = folder.join("inner");
    std::fs::create_dir_all(&inner).expect("a temporary folder");
    let _names_may_clash = code::unpack(bytes, &inner);
    let outside = std::fs::read_dir(&folder).expect("the folder was just made").count();
    std::fs::remove_dir_all(&folder).expect("the folder was just made");
    assert_eq!(outside, 1, "an archive wrote outside of its folder");
}

fn log(bytes: &[u8]) {
    let mut log = InvocationLog::new();
    log.push(1, &String::from_utf8_lossy(bytes));
    let (events, _) = log.take();
    assert!(outcome::tail(&events).len() <= limits::LOG_TAIL_BYTES_MAX, "a tail beyond its bound");
}
