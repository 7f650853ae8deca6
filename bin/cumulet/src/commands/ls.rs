//! `cumulet ls`: what is deployed.

use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{self, Failure, Format};

pub async fn ls(client: &Client, format: Format) -> Result<(), Failure> {
    let functions = functions(client).await?;
    let apis = client.rest("apigateway", "GET", "/v2/apis", &[], "").await?.json()?["items"].clone();
    let stacks = client.query("cloudformation", "DescribeStacks", &[]).await?["Stacks"].clone();
    let instances = client.rest("cumulet", "GET", "/_cumulet/instances", &[], "").await?.json()?["Instances"].clone();
    match format {
        Format::Json => {
            output::json(&json!({ "functions": functions, "apis": apis, "stacks": stacks, "instances": instances }))
        }
        Format::Text => {
            let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
            let count = |function: &Value, name: &str| {
                let mine = |i: &&Value| i["FunctionName"] == function["FunctionName"];
                instances
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(mine)
                    .filter_map(|i| i[name].as_u64())
                    .sum::<u64>()
                    .to_string()
            };
            let how = |function: &Value| {
                let mine = |i: &&Value| i["FunctionName"] == function["FunctionName"];
                let known = instances.as_array().into_iter().flatten().filter(mine).find_map(|i| i["How"].as_str());
                known.unwrap_or_default().to_owned()
            };
            let rows: Vec<_> = functions
                .iter()
                .map(|f| {
                    vec![
                        text(f, "FunctionName"),
                        text(f, "Runtime"),
                        format!("{} MB", f["MemorySize"]),
                        text(f, "LastModified"),
                        count(f, "Idle"),
                        count(f, "Busy"),
                        how(f),
                    ]
                })
                .collect();
            output::table(&["FUNCTION", "RUNTIME", "MEMORY", "LAST MODIFIED", "IDLE", "BUSY", "INSTANCES ARE"], &rows);
            let rows: Vec<_> =
                apis.as_array().into_iter().flatten().map(|a| vec![text(a, "name"), text(a, "apiEndpoint")]).collect();
            if !rows.is_empty() {
                output::line("");
                output::table(&["API", "ENDPOINT"], &rows);
            }
            let rows: Vec<_> = stacks
                .as_array()
                .into_iter()
                .flatten()
                .map(|s| vec![text(s, "StackName"), text(s, "StackStatus")])
                .collect();
            if !rows.is_empty() {
                output::line("");
                output::table(&["STACK", "STATUS"], &rows);
            }
        }
    }
    Ok(())
}

async fn functions(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    let mut target = "/2015-03-31/functions".to_owned();
    loop {
        let page = client.rest("lambda", "GET", &target, &[], "").await?.json()?;
        all.extend(page["Functions"].as_array().cloned().unwrap_or_default());
        match page["NextMarker"].as_str() {
            Some(marker) => target = format!("/2015-03-31/functions?Marker={}", crate::client::segment(marker)),
            None => return Ok(all),
        }
    }
}
