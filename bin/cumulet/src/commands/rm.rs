//! `cumulet rm`: removes a stack with all that is in it, or a single function.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::client::{Client, segment};
use crate::commands::deploy;
use crate::output::{self, Failure, Format};

#[derive(Args)]
pub struct RmArgs {
    /// Name of a stack or of a function
    name: String,
}

pub async fn rm(client: &Client, args: RmArgs, format: Format) -> Result<(), Failure> {
    let stack = [("StackName".to_owned(), args.name.clone())];
    let what = match client.query("cloudformation", "DescribeStacks", &stack).await {
        Ok(answer) => {
            let id = answer["Stacks"][0]["StackId"].as_str().unwrap_or(&args.name).to_owned();
            client.query("cloudformation", "DeleteStack", &stack).await?;
            let ended = deploy::wait_for_stack(client, &id, Duration::from_secs(900), format).await?;
            if ended != "DELETE_COMPLETE" {
                return Err(Failure::new(format!("the stack {} could not be removed: {ended}", args.name)));
            }
            "stack"
        }
        Err(failure) if failure.exit_code == 3 => {
            let target = format!("/2015-03-31/functions/{}", segment(&args.name));
            client.rest("lambda", "DELETE", &target, &[], "").await?;
            "function"
        }
        Err(failure) => return Err(failure),
    };
    match format {
        Format::Json => output::json(&json!({ "removed": what, "name": args.name })),
        Format::Text => output::line(&format!("removed {what} {}", args.name)),
    }
    Ok(())
}
