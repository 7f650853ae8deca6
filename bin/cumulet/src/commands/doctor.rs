//! `cumulet doctor`: what this machine can isolate, what it lacks, and how to get it. Needs no running cloud.

use serde_json::json;

use crate::output::{self, Failure, Format};

pub fn doctor(format: Format) -> Result<(), Failure> {
    let features = cumulet_sandbox::probe(&[]);
    match format {
        Format::Json => {
            let all: Vec<_> = features
                .iter()
                .map(|f| json!({ "name": f.name, "available": f.available, "detail": f.detail, "howToGet": f.how_to_get }))
                .collect();
            output::json(&json!({ "features": all }));
        }
        Format::Text => {
            for feature in &features {
                let mark = if feature.available { "ok     " } else { "missing" };
                output::line(&format!("{mark} {}: {}", feature.name, feature.detail));
                if !feature.available && !feature.how_to_get.is_empty() {
                    output::line(&format!("        {}", feature.how_to_get));
                }
            }
        }
    }
    Ok(())
}
