//! Deployment preferences of functions: an application for all of them, a group for each, a role for those that bring none,
//! and the update policies of their aliases.

use serde_json::{Map, Value, json};

use super::{Out, invalid, policies, tag_list};
use crate::errors::Error;

const APPLICATION: &str = "ServerlessDeploymentApplication";
const ROLE: &str = "CodeDeployServiceRole";
const CONDITION: &str = "ServerlessCodeDeployCondition";
/// Conditions that one `Fn::Or` takes.
const CONDITIONS_MAX: usize = 10;
const CONFIGURATIONS: [&str; 9] = [
    "Canary10Percent5Minutes",
    "Canary10Percent10Minutes",
    "Canary10Percent15Minutes",
    "Canary10Percent30Minutes",
    "Linear10PercentEvery1Minute",
    "Linear10PercentEvery2Minutes",
    "Linear10PercentEvery3Minutes",
    "Linear10PercentEvery10Minutes",
    "AllAtOnce",
];

pub struct Preference {
    function: String,
    given: Map<String, Value>,
    /// Of the function, where it is handed on.
    condition: Option<String>,
    /// Those of the function, where they are handed on.
    tags: Map<String, Value>,
}

/// A truth, or a parameter that is one.
fn truth(function: &str, member: &str, value: &Value, out: &Out<'_>) -> Result<bool, Error> {
    match out.resolved(value) {
        Value::Bool(truth) => Ok(truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(invalid(format!("Resource with id [{function}] is invalid. Invalid value for property {member}."))),
    }
}

/// Takes a function's preference, and has its alias follow it.
pub fn prefer(
    function: &str,
    source: &Value,
    properties: &Map<String, Value>,
    given: &Map<String, Value>,
    alias: Option<&str>,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let bad = |why: &str| invalid(format!("Resource with id [{function}] is invalid. {why}"));
    let is_enabled = given.get("Enabled").map_or(Ok(true), |value| truth(function, "Enabled", value, out))?;
    let hands_on = given.get("PassthroughCondition");
    let hands_on = hands_on.map_or(Ok(false), |value| truth(function, "PassthroughCondition", value, out))?;
    if !is_enabled {
        return Ok(());
    }
    let Some(alias) = alias else {
        return Err(bad("'DeploymentPreference' requires AutoPublishAlias property to be specified."));
    };
    if !given.contains_key("Type") {
        return Err(bad("'DeploymentPreference' is missing required Property 'Type'"));
    }
    let mut policy =
        json!({ "ApplicationName": { "Ref": APPLICATION }, "DeploymentGroupName": { "Ref": group_of(function) } });
    match given.get("Hooks") {
        None | Some(Value::Null) => {}
        Some(Value::Object(hooks)) => {
            for (ours, theirs) in [("PreTraffic", "BeforeAllowTrafficHook"), ("PostTraffic", "AfterAllowTrafficHook")] {
                if let Some(hook) = hooks.get(ours).filter(|hook| !hook.is_null()) {
                    policy[theirs] = hook.clone();
                }
            }
        }
        Some(_) => return Err(bad("'Hooks' property of 'DeploymentPreference' must be a dictionary")),
    }
    if let Some(alias) = out.resources.get_mut(alias) {
        alias["UpdatePolicy"] = json!({ "CodeDeployLambdaAliasUpdate": policy });
    }
    let condition = source.get("Condition").and_then(Value::as_str).filter(|_| hands_on).map(str::to_owned);
    let propagates = properties.get("PropagateTags").is_some_and(crate::template::is_true);
    let tags = properties.get("Tags").and_then(Value::as_object).filter(|_| propagates).cloned().unwrap_or_default();
    out.preferences.push(Preference { function: function.to_owned(), given: given.clone(), condition, tags });
    Ok(())
}

fn group_of(function: &str) -> String {
    format!("{function}DeploymentGroup")
}

/// Adds what the preferences need; answers with conditions that have to be added, too.
pub fn apply(out: &mut Out<'_>) -> Result<Map<String, Value>, Error> {
    let preferences = std::mem::take(&mut out.preferences);
    if preferences.is_empty() {
        return Ok(Map::new());
    }
    let (condition, added) = shared_condition(&preferences);
    let mut tags = Map::new();
    for preference in &preferences {
        tags.extend(preference.tags.clone());
    }
    let shared = |kind: &str, mut properties: Value| {
        if !tags.is_empty() {
            properties["Tags"] = tag_list(Some(&tags.clone().into()), "");
        }
        let mut resource = json!({ "Type": kind, "Properties": properties });
        if let Some(condition) = &condition {
            resource["Condition"] = condition.clone().into();
        }
        resource
    };
    out.add(APPLICATION, shared("AWS::CodeDeploy::Application", json!({ "ComputePlatform": "Lambda" })))?;
    if preferences.iter().any(|preference| role_of(preference).is_none()) {
        let statement = json!({
            "Action": ["sts:AssumeRole"],
            "Effect": "Allow",
            "Principal": { "Service": ["codedeploy.amazonaws.com"] },
        });
        let role = json!({
            "AssumeRolePolicyDocument": { "Version": "2012-10-17", "Statement": [statement] },
            "ManagedPolicyArns": [policies::managed_arn("AWSCodeDeployRoleForLambda")],
        });
        out.add(ROLE, shared("AWS::IAM::Role", role))?;
    }
    for preference in &preferences {
        let mut group = json!({ "Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": group(preference)? });
        if let Some(condition) = &preference.condition {
            group["Condition"] = condition.clone().into();
        }
        out.add(&group_of(&preference.function), group)?;
    }
    Ok(added)
}

fn role_of(preference: &Preference) -> Option<&Value> {
    preference.given.get("Role").filter(|role| !role.is_null())
}

fn group(preference: &Preference) -> Result<Value, Error> {
    let given = &preference.given;
    let events = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"];
    let mut group = json!({
        "ApplicationName": { "Ref": APPLICATION },
        "AutoRollbackConfiguration": { "Enabled": true, "Events": events },
        "DeploymentConfigName": configuration(&given["Type"], false),
        "DeploymentStyle": { "DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL" },
        "ServiceRoleArn": role_of(preference).cloned().unwrap_or_else(|| json!({ "Fn::GetAtt": [ROLE, "Arn"] })),
    });
    if let Some(triggers) = given.get("TriggerConfigurations").filter(|triggers| !triggers.is_null()) {
        group["TriggerConfigurations"] = triggers.clone();
    }
    if let Some(alarms) = given.get("Alarms").filter(|alarms| !is_nothing(alarms)) {
        let bad = |why: &str| invalid(format!("Resource with id [{}] is invalid. {why}", preference.function));
        group["AlarmConfiguration"] = match alarms.get("Fn::If").and_then(Value::as_array) {
            Some(parts) if parts.len() == 3 => {
                json!({ "Fn::If": [parts[0], watched(&parts[1], &bad)?, watched(&parts[2], &bad)?] })
            }
            _ => watched(alarms, &bad)?,
        };
    }
    if !preference.tags.is_empty() {
        group["Tags"] = tag_list(Some(&preference.tags.clone().into()), "");
    }
    Ok(group)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.get("Ref").is_some_and(|name| name == "AWS::NoValue")
}

fn watched(alarms: &Value, bad: &dyn Fn(&str) -> Error) -> Result<Value, Error> {
    let Some(alarms) = alarms.as_array() else { return Err(bad("Alarms must be a list")) };
    if alarms.first().is_none_or(is_nothing) {
        return Ok(json!({}));
    }
    let list: Vec<Value> = alarms.iter().map(|name| json!({ "Name": name })).collect();
    Ok(json!({ "Enabled": true, "Alarms": list }))
}

/// The name of a configuration, also within functions.
fn configuration(kind: &Value, is_within_sub: bool) -> Value {
    match kind {
        Value::String(name) if CONFIGURATIONS.contains(&name.as_str()) => {
            let parts = json!(["CodeDeployDefault.Lambda${ConfigName}", { "ConfigName": name }]);
            if is_within_sub { parts } else { json!({ "Fn::Sub": parts }) }
        }
        Value::Array(items) => items.iter().map(|item| configuration(item, false)).collect(),
        Value::Object(map) if super::is_intrinsic(map) => {
            let of = |(name, value): (&String, &Value)| (name.clone(), configuration(value, name == "Fn::Sub"));
            map.iter().map(of).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// The condition of what all groups share, where each of them has one, and the conditions that are made for it.
fn shared_condition(preferences: &[Preference]) -> (Option<String>, Map<String, Value>) {
    let mut conditions: Vec<String> = Vec::new();
    for preference in preferences {
        match &preference.condition {
            None => return (None, Map::new()),
            Some(condition) if conditions.contains(condition) => {}
            Some(condition) => conditions.push(condition.clone()),
        }
    }
    if let [only] = conditions.as_slice() {
        return (Some(only.clone()), Map::new());
    }
    let mut added = Map::new();
    let mut number = conditions.len().saturating_sub(1).div_ceil(CONDITIONS_MAX - 1).saturating_sub(1);
    while conditions.len() > 1 {
        let name = if number > 0 { format!("{CONDITION}{number}") } else { CONDITION.to_owned() };
        number = number.saturating_sub(1);
        let rest = conditions.split_off(conditions.len().min(CONDITIONS_MAX));
        let any: Vec<Value> = conditions.iter().map(|condition| json!({ "Condition": condition })).collect();
        added.insert(name.clone(), json!({ "Fn::Or": any }));
        conditions = rest;
        conditions.push(name);
    }
    (Some(CONDITION.to_owned()), added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_within_functions() {
        let named = json!({ "Fn::Sub": ["CodeDeployDefault.Lambda${ConfigName}", { "ConfigName": "AllAtOnce" }] });
        assert_eq!(configuration(&json!("AllAtOnce"), false), named);
        assert_eq!(configuration(&json!({ "Fn::Sub": "AllAtOnce" }), false), named);
        assert_eq!(
            configuration(&json!({ "Fn::If": ["C", "AllAtOnce", "mine"] }), false),
            json!({ "Fn::If": ["C", named, "mine"] })
        );
    }

    #[test]
    fn many_conditions_become_one() {
        let of = |count: usize| -> Vec<Preference> {
            let preference = |i| Preference {
                function: format!("F{i}"),
                given: Map::new(),
                condition: Some(format!("C{i}")),
                tags: Map::new(),
            };
            (0..count).map(preference).collect()
        };
        assert_eq!(shared_condition(&of(1)), (Some("C0".to_owned()), Map::new()));
        assert_eq!(shared_condition(&of(2)).1.len(), 1);
        let (name, added) = shared_condition(&of(11));
        assert_eq!(name.as_deref(), Some(CONDITION));
        assert_eq!(added.keys().collect::<Vec<_>>(), [&format!("{CONDITION}1"), CONDITION]);
    }
}
