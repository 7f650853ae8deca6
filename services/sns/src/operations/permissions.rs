//! AddPermission and RemovePermission: statements of the topic's policy, by their labels.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::labelled;
use serde_json::Value;

use super::topics::default_policy;
use crate::model::{Place, Topic};
use crate::{Sns, errors, input};

const ACTIONS: &[&str] = &[
    "*",
    "AddPermission",
    "DeleteTopic",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "Publish",
    "RemovePermission",
    "SetTopicAttributes",
    "Subscribe",
];

fn policy_of(place: &Place, topic: &Topic) -> Value {
    let own = topic.attributes.get("Policy").and_then(|text| serde_json::from_str(text).ok());
    own.unwrap_or_else(|| default_policy(place))
}

pub async fn add(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    let label = input::required(&call.input, "Label")?;
    let texts = |member: &str| -> Vec<&str> { input::list(&call.input, member).filter_map(Value::as_str).collect() };
    let (accounts, actions) = (texts("AWSAccountId"), texts("ActionName"));
    if accounts.is_empty() || actions.is_empty() || label.is_empty() {
        return Err(errors::invalid("AWSAccountId, ActionName and Label are required"));
    }
    if let Some(unknown) = actions.iter().find(|action| !ACTIONS.contains(action)) {
        return Err(errors::invalid(format!("Policy statement action out of service scope! {unknown}")));
    }
    let principals: Vec<String> = accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
    let named: Vec<String> = actions.iter().map(|action| format!("SNS:{action}")).collect();
    let statement = labelled::statement(label, &principals, &named, &place.arn());
    let change = |topic: &mut Topic| {
        let policy = labelled::with(policy_of(&place, topic), label, &statement);
        let policy = policy.ok_or_else(|| errors::invalid("Statement already exists"))?;
        topic.attributes.insert("Policy".to_owned(), policy.to_string());
        Ok(())
    };
    sns.storage.update(&place, change).await?;
    Ok(Answer::empty())
}

pub async fn remove(sns: &Sns, call: &Call) -> Result<Answer, ApiError> {
    let place = input::topic(call, "TopicArn")?;
    let label = input::required(&call.input, "Label")?;
    let change = |topic: &mut Topic| {
        if let Some(policy) = labelled::without(policy_of(&place, topic), label) {
            topic.attributes.insert("Policy".to_owned(), policy.to_string());
        }
        Ok(())
    };
    sns.storage.update(&place, change).await?;
    Ok(Answer::empty())
}
