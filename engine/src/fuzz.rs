//! This crate's parsers of outside bytes, for the fuzz room.

use std::path::Path;

use cumulet_base::fuzz::Target;
use cumulet_base::{id, limits};

use crate::code;
use crate::image;
use crate::outcome;
use crate::output::InvocationLog;

/// An archive with one empty file, `a`.
const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0aPK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x80\x01\0\0\0\0aPK\x05\x06\0\0\0\0\x01\0\x01\0/\0\0\0\x1f\0\0\0\0\0";

/// A layer of an image, packed: a file, a link out, a file through it, a whiteout, a hard link.
const LAYER: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xed\xd5;\x0e\x80 \x0c\x06\xe0\x1e\x85\x13\xf0\x90\xd7y\xd0\x9808)F\xbd\xbd\xd5\xc9\xb8CH\xdaoi\xc3\x02\x09\xe9\xdf\x04\xf5i\x14\x9c{+\xfaWd>\xfds\x1et\x8c t\x83\xb7\xc1\xbe\x95\xb4\xe2\x95@\xd3\x09\x8c\xb2\xa5\x8b\xf9\xff\xf7\x01\x81\x18\xd4\x5c&\x9e\xff\xba\xff\xaf\xc6\x1e\xf3\xdfZ\xcb\xf9\xdf\xc2\xc5\x11H\x9a<\xb2L\xfd\xe5\xbf\x8f\x86\xe7\xbf\x85\xdc\xe7\xfe\xf7\x1a\xf3\xdf\xb4XN\xc4\xff\x9f1F\xd7\x0d\xb0\x82\xb6\x1b\0\x12\0\0";

pub const TARGETS: &[Target] = &[
    Target { name: "engine-zip", seeds: &[ZIP], run: zip },
    Target { name: "engine-image", seeds: &[LAYER], run: image },
    Target { name: "engine-log", seeds: &[b"a line\r\n\n\xff\xc3\xa9"], run: log },
];

fn zip(bytes: &[u8]) {
    if code::check_zip(bytes).is_err() {
        return;
    }
    // What the check lets through stays where it is put.
    stays_inside(|inner| drop(code::unpack(bytes, inner)));
}

fn image(bytes: &[u8]) {
    stays_inside(|inner| drop(image::unpack_layer(bytes, inner, &mut image::Left::default())));
}

fn stays_inside(unpack: impl FnOnce(&Path)) {
    let folder = std::env::temp_dir().join(format!("cumulet-fuzz-{}", id::hex(16)));
    let inner = folder.join("inner");
    std::fs::create_dir_all(&inner).expect("a temporary folder");
    // Names may clash; what is unpacked until then counts all the same.
    unpack(&inner);
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
