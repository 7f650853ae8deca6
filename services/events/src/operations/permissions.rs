//! PutPermission, RemovePermission: the policy of a bus, by statements or as a whole.

use cumulet_base::limits;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::{Value, json};

use super::buses;
use crate::model::Bus;
use crate::{Events, errors, input};

fn statements(policy: Option<&str>) -> Vec<Value> {
    let document: Value = policy.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    match &document["Statement"] {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn set(bus: &mut Bus, statements: Vec<Value>) -> Result<(), ApiError> {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    if text.len() > limits::EVENTS_POLICY_BYTES_MAX {
        return Err(errors::policy_too_long());
    }
    bus.policy = (!statements.is_empty()).then_some(text);
    Ok(())
}

pub async fn put(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let given = &call.input;
    let (place, name) = input::bus(call, "EventBusName")?;
    if let Some(policy) = input::text(given, "Policy") {
        let is_document = Document::parse(policy).is_some_and(|document| {
            document.statements().iter().all(|s| s.principal.is_some() || s.not_principal.is_some())
        });
        if !is_document {
            return Err(errors::invalid("Parameter Policy is not valid. Reason: The policy is malformed."));
        }
        if policy.len() > limits::EVENTS_POLICY_BYTES_MAX {
            return Err(errors::policy_too_long());
        }
        let change = |bus: &mut Bus| {
            bus.policy = Some(policy.to_owned());
            Ok(())
        };
        buses::change(events, &place, &name, change).await?;
        return Ok(Answer::empty());
    }
    let principal = input::required(given, "Principal")?;
    let action = input::required(given, "Action")?;
    let id = input::required(given, "StatementId")?;
    let is_id = id.len() <= 64 && !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let is_account = principal.len() == 12 && principal.bytes().all(|b| b.is_ascii_digit());
    if !is_id {
        return Err(errors::parameter("StatementId", "Must be 1 to 64 letters, digits, hyphens or underscores."));
    }
    if principal != "*" && !is_account {
        return Err(errors::parameter("Principal", "Principal must be * or a 12 digit account number."));
    }
    if action != "events:PutEvents" {
        return Err(errors::parameter("Action", "Provided value is not supported."));
    }
    let mut statement = json!({
        "Sid": id,
        "Effect": "Allow",
        "Principal": match principal {
            "*" => json!("*"),
            account => json!({"AWS": format!("arn:aws:iam::{account}:root")}),
        },
        "Action": action,
        "Resource": place.bus_arn(&name),
    });
    if let Some(condition) = given.get("Condition").filter(|value| !value.is_null()) {
        let text = |member: &str| condition[member].as_str().unwrap_or_default();
        let mut test = serde_json::Map::new();
        test.insert(text("Key").to_owned(), text("Value").into());
        statement["Condition"] = json!({});
        statement["Condition"][text("Type")] = test.into();
    }
    let change = |bus: &mut Bus| {
        let mut all = statements(bus.policy.as_deref());
        all.retain(|other| other["Sid"] != id);
        all.push(statement.clone());
        set(bus, all)
    };
    buses::change(events, &place, &name, change).await?;
    Ok(Answer::empty())
}

pub async fn remove(events: &Events, call: &Call) -> Result<Answer, ApiError> {
    let given = &call.input;
    let (place, name) = input::bus(call, "EventBusName")?;
    let is_all = given.get("RemoveAllPermissions").and_then(Value::as_bool) == Some(true);
    let id = if is_all { None } else { Some(input::required(given, "StatementId")?) };
    let change = |bus: &mut Bus| {
        let mut all = statements(bus.policy.as_deref());
        let before = all.len();
        all.retain(|statement| id.is_some_and(|id| statement["Sid"] != id));
        if !is_all && all.len() == before {
            return Err(errors::not_found("Statement with the provided id does not exist."));
        }
        set(bus, all)
    };
    buses::change(events, &place, &name, change).await?;
    Ok(Answer::empty())
}
