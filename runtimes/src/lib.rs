//! What runs inside an instance of a managed runtime: the Node.js, Python and Ruby hosts, as files to be laid out on disk.
//! Starting them, and the other end of their channel, is the sandbox's.

const TEXTS: &[(&str, &str)] = &[
    ("node/host.js", include_str!("../node/host.js")),
    ("node/rehearsal.js", include_str!("../node/rehearsal.js")),
    ("node/seats.js", include_str!("../node/seats.js")),
    ("python/host.py", include_str!("../python/host.py")),
    ("ruby/host.rb", include_str!("../ruby/host.rb")),
    ("proof/index.js", include_str!("../proof/index.js")),
    ("proof/index.py", include_str!("../proof/index.py")),
    // Found by functions under these names.
    ("snapshot-restore.js", include_str!("../node/snapshot-restore.js")),
    ("snapshot_restore_py.py", include_str!("../python/snapshot_restore_py.py")),
];

const PROGRAMS: &[(&str, &[u8])] = &[
    // It clones live processes; empty where it is not built for this processor.
    ("clone.so", include_bytes!(concat!(env!("OUT_DIR"), "/clone.so"))),
    // The Node.js host's end of its channel.
    ("node/channel.so", include_bytes!(concat!(env!("OUT_DIR"), "/channel.so"))),
    // The first process of instances that are more than one process; an executable.
    ("init", include_bytes!(concat!(env!("OUT_DIR"), "/init"))),
];

/// The files, by their path under `/var/runtime`. They depend on nothing but the interpreter.
pub fn files() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    TEXTS.iter().map(|(path, text)| (*path, text.as_bytes())).chain(PROGRAMS.iter().copied())
}
