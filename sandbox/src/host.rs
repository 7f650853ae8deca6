//! What the program asks of the machine it runs on, apart from instances: its own limit of open files, and the newest
//! interpreters there are.
#![allow(unsafe_code)]

use std::io;

use crate::interpreter::{Interpreters, Language};

/// Raises this process's limit of open files to `wanted`, or as far as it may.
///
/// # Errors
/// When the limit cannot be read or set.
pub fn raise_open_files(wanted: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the call to fill in; safe std has no way to read it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = wanted.min(limit.rlim_max).max(limit.rlim_cur);
    // SAFETY: `limit` is a valid rlimit, only read by the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Major version of the newest Node.js found. Blocks while candidates are asked.
pub fn newest_node() -> Option<u16> {
    newest(Language::Node).and_then(|version| version.first().copied())
}

/// Minor version of the newest Python 3 found. Blocks while candidates are asked.
pub fn newest_python() -> Option<u16> {
    newest(Language::Python).and_then(|version| version.get(1).copied())
}

fn newest(language: Language) -> Option<Vec<u16>> {
    Interpreters::new(Vec::new(), false).all(language).into_iter().map(|found| found.version).max()
}
