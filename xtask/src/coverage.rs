//! The coverage page: every operation of every service's model, built or absent.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cumulet_wire::operation::ServiceModel;

const PAGE: &str = "docs/reference/coverage.md";

fn models() -> [&'static ServiceModel; 7] {
    [
        &cumulet_lambda::MODEL,
        &cumulet_apigateway::MODEL,
        &cumulet_cloudformation::MODEL,
        &cumulet_logs::MODEL,
        &cumulet_iam::MODEL,
        &cumulet_sts::MODEL,
        &cumulet_sqs::MODEL,
    ]
}

pub fn page() -> String {
    let mut text = String::from(
        "# Coverage\n\nMade by `cargo run -p xtask -- coverage`. What is absent answers \
         `not implemented: SERVICE.Operation`.\n\n| service | built | absent |\n| --- | --- | --- |\n",
    );
    for model in models() {
        let _infallible = writeln!(text, "| {} | {} | {} |", model.name, model.operations.len(), model.absent.len());
    }
    for model in models() {
        let names = |operations: &[cumulet_wire::operation::Operation]| {
            let mut names: Vec<_> = operations.iter().map(|o| o.name).collect();
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        };
        let _infallible = write!(
            text,
            "\n## {}\n\nBuilt: {}.\n\nAbsent: {}.\n",
            model.name,
            names(model.operations),
            names(model.absent)
        );
    }
    text
}

pub fn write(root: &Path) -> Vec<String> {
    let path: PathBuf = root.join(PAGE);
    let parent = path.parent().map(Path::to_owned).unwrap_or_default();
    match std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, page())) {
        Ok(()) => Vec::new(),
        Err(e) => vec![format!("{PAGE}: {e}")],
    }
}

pub fn check(root: &Path) -> Vec<String> {
    if std::fs::read_to_string(root.join(PAGE)).is_ok_and(|text| text == page()) {
        Vec::new()
    } else {
        vec![format!("{PAGE} is out of date: cargo run -p xtask -- coverage")]
    }
}
