//! Rollback triggers as requests give them
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html>). Pure.

use cumulet_base::arn::Arn;
use cumulet_base::limits;
use serde_json::{Value, json};

use super::Input;
use crate::errors::Error;
use crate::stack::{RollbackConfiguration, Trigger};

/// What a request asks for. Triggers that it does not name stay as they were; an empty list takes them away.
pub fn configuration(
    input: &Input,
    before: Option<&RollbackConfiguration>,
) -> Result<Option<RollbackConfiguration>, Error> {
    let given = match input.get("RollbackConfiguration") {
        None | Some(Value::Null) => return Ok(before.cloned()),
        // How the query protocol writes an empty structure.
        Some(Value::String(text)) if text.is_empty() => return Ok(before.cloned()),
        Some(given) => given,
    };
    let rollback_triggers = match given.get("RollbackTriggers") {
        None | Some(Value::Null) => before.map(|before| before.rollback_triggers.clone()).unwrap_or_default(),
        Some(Value::Array(list)) => list.iter().map(trigger).collect::<Result<_, _>>()?,
        Some(_) => Vec::new(),
    };
    if rollback_triggers.len() > limits::STACK_TRIGGERS_MAX {
        return Err(Error::Validation(format!(
            "1 validation error detected: Value at 'rollbackConfiguration.rollbackTriggers' failed to satisfy constraint: Member must have length less than or equal to {}",
            limits::STACK_TRIGGERS_MAX
        )));
    }
    let configuration = RollbackConfiguration { rollback_triggers, monitoring_time_in_minutes: minutes(given)? };
    Ok((configuration != RollbackConfiguration::default()).then_some(configuration))
}

/// Without one, an empty structure.
pub fn shown(configuration: Option<&RollbackConfiguration>) -> Value {
    configuration.map_or_else(|| json!({}), |configuration| json!(configuration))
}

fn trigger(value: &Value) -> Result<Trigger, Error> {
    let text = |member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let trigger = Trigger { arn: text("Arn"), kind: text("Type") };
    if !matches!(trigger.kind.as_str(), "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm") {
        return Err(Error::Validation(format!("Rollback triggers of the type {} are not supported", trigger.kind)));
    }
    let is_alarm = |arn: &Arn| arn.service == "cloudwatch" && arn.resource.starts_with("alarm:");
    if !trigger.arn.parse::<Arn>().as_ref().is_ok_and(is_alarm) {
        return Err(Error::Validation(format!("The rollback trigger {} is not the ARN of an alarm", trigger.arn)));
    }
    Ok(trigger)
}

fn minutes(given: &Value) -> Result<u64, Error> {
    let minutes = match given.get("MonitoringTimeInMinutes") {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_u64(),
    };
    minutes.filter(|minutes| *minutes <= limits::STACK_MONITORING_MINUTES_MAX).ok_or_else(|| {
        Error::Validation(format!(
            "MonitoringTimeInMinutes must be a number from 0 to {}",
            limits::STACK_MONITORING_MINUTES_MAX
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn triggers_stay_are_replaced_and_go() {
        let alarm = |name: &str| json!({"Arn": format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"), "Type": "AWS::CloudWatch::Alarm"});
        let of = |given: Value, before: Option<&RollbackConfiguration>| {
            let input = json!({ "RollbackConfiguration": given }).as_object().unwrap().clone();
            configuration(&input, before).map(|found| found.map(|found| json!(found)).unwrap_or_default())
        };
        let first = json!({"RollbackTriggers": [alarm("a")], "MonitoringTimeInMinutes": 5});
        assert_eq!(of(first.clone(), None).unwrap(), first);
        let before: RollbackConfiguration = serde_json::from_value(first.clone()).unwrap();
        assert_eq!(of(Value::Null, Some(&before)).unwrap(), first);
        let timed = json!({"RollbackTriggers": [alarm("a")], "MonitoringTimeInMinutes": 7});
        assert_eq!(of(json!({"MonitoringTimeInMinutes": "7"}), Some(&before)).unwrap(), timed);
        assert_eq!(of(json!({"RollbackTriggers": ""}), Some(&before)).unwrap(), Value::Null);
        for wrong in [
            json!({"MonitoringTimeInMinutes": 181}),
            json!({"MonitoringTimeInMinutes": "soon"}),
            json!({"RollbackTriggers": [{"Arn": "a", "Type": "AWS::CloudWatch::Alarm"}]}),
            json!({"RollbackTriggers": [{"Arn": alarm("a")["Arn"], "Type": "AWS::SNS::Topic"}]}),
            json!({"RollbackTriggers": vec![alarm("a"); 6]}),
        ] {
            assert!(of(wrong.clone(), None).is_err(), "{wrong}");
        }
    }
}
