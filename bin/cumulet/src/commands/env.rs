//! `cumulet env`: what a shell has to export so that AWS tools come here.

use serde_json::json;

use crate::client::Client;
use crate::output::{self, Failure, Format};

pub fn env(client: &Client, format: Format) -> Result<(), Failure> {
    let keys = client.keys();
    let mut variables = vec![
        ("AWS_ENDPOINT_URL", client.endpoint()),
        ("AWS_ACCESS_KEY_ID", keys.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
        ("AWS_REGION", client.region()),
        ("AWS_DEFAULT_REGION", client.region()),
    ];
    variables.extend(keys.session_token.map(|token| ("AWS_SESSION_TOKEN", token)));
    match format {
        Format::Json => {
            let all: serde_json::Map<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
            output::json(&all.into());
        }
        Format::Text => {
            for (name, value) in variables {
                output::line(&format!("export {name}='{}'", value.replace('\'', r"'\''")));
            }
        }
    }
    Ok(())
}
