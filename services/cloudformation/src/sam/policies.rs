//! Policy templates: the documents that names such as `DynamoDBCrudPolicy` stand for, with their parameters filled in.
//! The table is AWS's published list
//! (<https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-policy-template-list.html>).

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::invalid;
use crate::errors::Error;

static ALL: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("policies.json")).expect("the table of policy templates is JSON: a test reads it")
});

/// AWS's managed policies that have a path; others have none.
const WITH_PATH: &[&str] = &[
    "AWSAppSyncPushToCloudWatchLogs",
    "AWSCodeDeployRoleForLambda",
    "AWSCodeDeployRoleForLambdaLimited",
    "AWSConfigRulesExecutionRole",
    "AWSGlueServiceRole",
    "AWSLambdaBasicDurableExecutionRolePolicy",
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaDynamoDBExecutionRole",
    "AWSLambdaENIManagementAccess",
    "AWSLambdaKinesisExecutionRole",
    "AWSLambdaMSKExecutionRole",
    "AWSLambdaRole",
    "AWSLambdaSQSQueueExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
    "AmazonAPIGatewayPushToCloudWatchLogs",
    "AmazonECSTaskExecutionRolePolicy",
    "AmazonSNSRole",
];

/// The ARN of one of AWS's managed policies by its name.
pub fn managed_arn(name: &str) -> String {
    match name {
        _ if name.starts_with("arn:") => name.to_owned(),
        _ if WITH_PATH.contains(&name) => format!("arn:aws:iam::aws:policy/service-role/{name}"),
        _ => format!("arn:aws:iam::aws:policy/{name}"),
    }
}

/// The document of `{NAME: {PARAMETER: …}}`; `None`: there is no template of the name.
pub fn document(logical_id: &str, policy: &Map<String, Value>) -> Result<Option<Value>, Error> {
    let Some((name, given)) = policy.iter().next().filter(|_| policy.len() == 1) else { return Ok(None) };
    let Some(template) = ALL.get(name) else { return Ok(None) };
    let empty = Map::new();
    let given = given.as_object().unwrap_or(&empty);
    let wanted: Vec<&str> = template["parameters"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let missing: Vec<&str> = wanted.iter().filter(|name| !given.contains_key(**name)).copied().collect();
    if !missing.is_empty() {
        return Err(invalid(format!(
            "Resource with id [{logical_id}] is invalid. Must specify valid parameter values for policy template '{name}': {}",
            missing.join(", ")
        )));
    }
    Ok(Some(json!({ "Statement": filled(&template["statements"], given) })))
}

fn filled(value: &Value, given: &Map<String, Value>) -> Value {
    match value {
        Value::Object(map) => match map.get("Ref").and_then(Value::as_str).filter(|_| map.len() == 1) {
            Some(name) if given.contains_key(name) => given[name].clone(),
            _ => map.iter().map(|(name, value)| (name.clone(), filled(value, given))).collect::<Map<_, _>>().into(),
        },
        Value::Array(items) => items.iter().map(|item| filled(item, given)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_template_is_filled() {
        assert_eq!(ALL.len(), 81);
        for (name, template) in ALL.iter() {
            let parameters: Map<String, Value> = template["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| (name.as_str().unwrap().to_owned(), json!("given")))
                .collect();
            let policy = Map::from_iter([(name.clone(), parameters.into())]);
            let made = document("F", &policy).unwrap().unwrap().to_string();
            assert!(!made.contains("\"Ref\""), "{name}: {made}");
        }
        let unknown = Map::from_iter([("NopePolicy".to_owned(), json!({}))]);
        assert_eq!(document("F", &unknown).unwrap(), None);
        let incomplete = Map::from_iter([("SQSPollerPolicy".to_owned(), json!({}))]);
        assert!(document("F", &incomplete).unwrap_err().to_string().contains("QueueName"));
    }
}
