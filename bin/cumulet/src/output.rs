//! How the command line answers: text for people, JSON for scripts, and failures with an exit code.

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Why a command failed; printed once, at the end.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    /// AWS's code, where a service answered with one.
    pub code: Option<String>,
    pub exit_code: u8,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), code: None, exit_code: 1 }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit_code: 2, ..Failure::new(message) }
    }

    pub fn of_service(status: u16, code: String, message: String) -> Failure {
        let is_missing = status == 404 || code.contains("NotFound") || message.contains("does not exist");
        Failure { message, code: Some(code), exit_code: if is_missing { 3 } else { 1 } }
    }

    pub fn print(&self, format: Format) {
        match format {
            Format::Json => eprintln!("{}", json!({ "error": { "code": self.code, "message": self.message } })),
            Format::Text => match &self.code {
                Some(code) => eprintln!("error: {} ({code})", self.message),
                None => eprintln!("error: {}", self.message),
            },
        }
    }
}

/// Prints without failing when the reader has gone, as behind `| head`.
pub fn line(text: &str) {
    use std::io::Write;
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

pub fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Rows under headings, columns as wide as their widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = headings.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width + 2 - cell.chars().count()));
        }
        line(text.trim_end());
    };
    print(&mut headings.iter().copied());
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
}
