//! The platform's own log: one line per event on standard error, as text or as JSON.

use std::str::FromStr;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Text,
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            other => Err(format!("log format `{other}` is neither `text` nor `json`")),
        }
    }
}

/// Installs the process's log. A second call changes nothing.
pub fn install(format: Format, level: LevelFilter) {
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(true);
    let layer = match format {
        Format::Text => layer.with_ansi(false).boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    };
    // To the crate s3s every refusal is an error; what is one is told by the service that uses it.
    let level = Targets::new().with_default(level).with_target("s3s", LevelFilter::OFF);
    // The only failure is a log that is there already, as in a test that starts two platforms.
    let _already_installed = tracing_subscriber::registry().with(layer.with_filter(level)).try_init();
}
