//! Chores of the project: `tidy` holds the house in order, `licences` looks at the dependencies, `coverage` writes the
//! coverage page (and `tidy` fails when it is out of date).

mod coverage;
mod licences;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let root = root();
    let problems = match task.as_str() {
        "tidy" => tidy::check(&root),
        "licences" => licences::check(&root),
        "coverage" => coverage::write(&root),
        _ => vec!["usage: cargo run --package xtask -- tidy | licences | coverage".to_owned()],
    };
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}
