//! CodeDeploy's applications, configurations and deployment groups, and the traffic of an alias shifted by a deployment
//! (`UpdatePolicy` with `CodeDeployLambdaAliasUpdate`,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-updatepolicy.html>). The members of the calls
//! are the properties with a small first letter.

use std::time::Duration;

use cumulet_wire::error::ApiError;
use cumulet_wire::operation::Changes;
use serde_json::{Map, Value, json};

use super::apigateway::lower;
use super::{Made, Whereabouts, copied, gone_is_done, invalid, only, required_text, text};

type Properties = Map<String, Value>;

const APPLICATION: &str = "AWS::CodeDeploy::Application";
const CONFIG: &str = "AWS::CodeDeploy::DeploymentConfig";
const GROUP: &[&str] = &[
    "ApplicationName",
    "DeploymentGroupName",
    "DeploymentConfigName",
    "ServiceRoleArn",
    "AlarmConfiguration",
    "AutoRollbackConfiguration",
    "DeploymentStyle",
    "TriggerConfigurations",
    "Tags",
];
const NAME_LENGTH_MAX: usize = 100;
/// Where nothing wakes: a commit that was made before anybody looked.
const LOOK_AGAIN_S: u64 = 30;

async fn call(at: &Whereabouts, operation: &str, input: Value) -> Result<Value, ApiError> {
    at.client.call("codedeploy", operation, input).await
}

/// Everything with small first letters; booleans and numbers as such.
fn lowered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(name, value)| (lower(name), lowered(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(lowered).collect(),
        other => super::typed(other),
    }
}

fn input(properties: &Properties, names: &[&str]) -> Properties {
    copied(properties, names).iter().map(|(name, value)| (lower(name), lowered(value))).collect()
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Properties) -> Result<Made, ApiError> {
    let name = |member: &str| properties.get(member).map_or_else(|| at.name(NAME_LENGTH_MAX), text);
    let (operation, made, mut members) = match kind {
        APPLICATION => {
            only(properties, &["ApplicationName", "ComputePlatform", "Tags"])?;
            let name = name("ApplicationName");
            let mut members = input(properties, &["ComputePlatform"]);
            members.insert("applicationName".into(), name.clone().into());
            ("CreateApplication", name, members)
        }
        CONFIG => {
            only(properties, &["DeploymentConfigName", "ComputePlatform", "TrafficRoutingConfig"])?;
            let name = name("DeploymentConfigName");
            let mut members = input(properties, &["ComputePlatform", "TrafficRoutingConfig"]);
            members.insert("deploymentConfigName".into(), name.clone().into());
            ("CreateDeploymentConfig", name, members)
        }
        _ => {
            only(properties, GROUP)?;
            let name = name("DeploymentGroupName");
            let names: Vec<&str> = GROUP.iter().copied().filter(|name| *name != "Tags").collect();
            let mut members = input(properties, &names);
            members.insert("deploymentGroupName".into(), name.clone().into());
            ("CreateDeploymentGroup", name, members)
        }
    };
    if kind != CONFIG {
        members.insert("tags".into(), at.tag_list(properties));
    }
    call(at, operation, members.into()).await?;
    Ok(Made::new(made))
}

/// How the member that has the resource's name is called, in templates.
pub fn name_of(kind: &str) -> &'static str {
    match kind {
        APPLICATION => "ApplicationName",
        CONFIG => "DeploymentConfigName",
        _ => "DeploymentGroupName",
    }
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Properties,
    new: &Properties,
) -> Result<Made, ApiError> {
    let id = &made.physical_id;
    let resource = match kind {
        APPLICATION => format!("application:{id}"),
        _ => {
            only(new, GROUP)?;
            let application = required_text(new, "ApplicationName")?;
            let skipped = ["Tags", "DeploymentGroupName"];
            let names: Vec<&str> = GROUP.iter().copied().filter(|name| !skipped.contains(name)).collect();
            let mut members = input(new, &names);
            members.insert("currentDeploymentGroupName".into(), id.clone().into());
            // What is no longer said goes back to what it is without.
            members.entry("deploymentConfigName").or_insert_with(|| "CodeDeployDefault.LambdaAllAtOnce".into());
            for name in ["alarmConfiguration", "autoRollbackConfiguration"] {
                members.entry(name).or_insert_with(|| json!({ "enabled": false }));
            }
            members.entry("triggerConfigurations").or_insert_with(|| json!([]));
            call(at, "UpdateDeploymentGroup", members.into()).await?;
            format!("deploymentgroup:{application}/{id}")
        }
    };
    let arn = at.client.context.arn("codedeploy", resource);
    let (removed, changed) = at.tag_changes(old, new);
    if !removed.is_empty() {
        call(at, "UntagResource", json!({ "ResourceArn": arn, "TagKeys": removed })).await?;
    }
    if let Some(tags) = changed {
        call(at, "TagResource", json!({ "ResourceArn": arn, "Tags": tags })).await?;
    }
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, kind: &str, made: &Made, properties: &Properties) -> Result<(), ApiError> {
    let (operation, input) = match kind {
        APPLICATION => ("DeleteApplication", json!({ "applicationName": made.physical_id })),
        CONFIG => ("DeleteDeploymentConfig", json!({ "deploymentConfigName": made.physical_id })),
        _ => {
            let application = required_text(properties, "ApplicationName")?;
            let input = json!({ "applicationName": application, "deploymentGroupName": made.physical_id });
            ("DeleteDeploymentGroup", input)
        }
    };
    gone_is_done(call(at, operation, input).await)
}

/// Shifts an alias to the version that its properties name, by a deployment as the update policy asks for, and waits until
/// that is through. Nothing is done where the alias has that version already.
pub async fn shift(at: &Whereabouts, policy: &Value, alias: &Properties) -> Result<(), ApiError> {
    let policy = &policy["CodeDeployLambdaAliasUpdate"];
    let needed = |name: &str| {
        policy.get(name).map(text).ok_or_else(|| invalid(format!("{name} of CodeDeployLambdaAliasUpdate is required")))
    };
    let (application, group) = (needed("ApplicationName")?, needed("DeploymentGroupName")?);
    let (function, name) = (required_text(alias, "FunctionName")?, required_text(alias, "Name")?);
    let wanted = required_text(alias, "FunctionVersion")?;
    // Of a step that is taken again the deployment may be there.
    let external_id = format!("{}/{}/{}", at.stack_arn, at.logical_id, at.seed);
    let earlier = match at.is_again {
        false => None,
        true => {
            let input = json!({ "externalId": external_id });
            call(at, "ListDeployments", input).await?["deployments"][0].as_str().map(str::to_owned)
        }
    };
    let id = match earlier {
        Some(id) => id,
        None => {
            let input = json!({ "FunctionName": function, "Name": name });
            let current = text(&at.client.call("lambda", "GetAlias", input).await?["FunctionVersion"]);
            if current == wanted {
                return Ok(());
            }
            let properties =
                json!({ "Name": function, "Alias": name, "CurrentVersion": current, "TargetVersion": wanted });
            let hooks: Vec<Value> = ["BeforeAllowTraffic", "AfterAllowTraffic"]
                .iter()
                .filter_map(|hook| Some(json!({ *hook: text(policy.get(format!("{hook}Hook"))?) })))
                .collect();
            let function = json!({ "Type": "AWS::Lambda::Function", "Properties": properties });
            let spec = json!({ "version": "0.0", "Resources": [{ &name: function }], "Hooks": hooks });
            let content = json!({ "content": spec.to_string() });
            let input = json!({
                "applicationName": application,
                "deploymentGroupName": group,
                "revision": { "revisionType": "AppSpecContent", "appSpecContent": content },
                "externalId": external_id,
            });
            text(&call(at, "CreateDeployment", input).await?["deploymentId"])
        }
    };
    let arn = at.client.context.arn("codedeploy", format!("deploymentgroup:{application}/{group}"));
    through(at, &arn, &id).await
}

async fn news(changes: &mut Option<Box<dyn Changes>>) {
    match changes {
        Some(changes) => changes.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits until a deployment is over; stops it when what it is for is given up.
async fn through(at: &Whereabouts, arn: &str, id: &str) -> Result<(), ApiError> {
    let stack_id = at.stack_arn.rsplit('/').next().unwrap_or_default();
    let mut changes = at.client.wire.changes("codedeploy", arn);
    let (mut cancelled, mut is_over) = (at.cloud.cancelled.subscribe(), at.is_over.clone());
    let mut is_stopped = false;
    loop {
        let is_given_up = tokio::select! {
            () = news(&mut changes) => false,
            _ = cancelled.wait_for(|stacks| stacks.contains(stack_id)), if !is_stopped => true,
            Ok(_) = is_over.wait_for(|is_over| *is_over), if !is_stopped => true,
            () = tokio::time::sleep(Duration::from_secs(LOOK_AGAIN_S)) => false,
        };
        if is_given_up {
            is_stopped = true;
            let input = json!({ "deploymentId": id, "autoRollbackEnabled": true });
            // One that is over meanwhile cannot be stopped, and need not be.
            match call(at, "StopDeployment", input).await {
                Err(error) if error.code != "DeploymentAlreadyCompletedException" => return Err(error),
                _ => {}
            }
        }
        let info = call(at, "GetDeployment", json!({ "deploymentId": id })).await?["deploymentInfo"].take();
        match info["status"].as_str() {
            Some("Succeeded") => return Ok(()),
            Some("Failed" | "Stopped") => {
                let why = text(&info["errorInformation"]["message"]);
                return Err(ApiError::new(400, "", format!("Deployment {id} failed: {why}")));
            }
            _ => {}
        }
    }
}
