//! Universal targets, `arn:aws:scheduler:::aws-sdk:SERVICE:OPERATION`: any operation of any service of this cloud
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html>).

use bytes::Bytes;
use cumulet_wire::error::ApiError;
use serde_json::Value;

use crate::errors;

/// Operations that only read are of no use to a schedule, and AWS refuses them.
const READING: [&str; 18] = [
    "get",
    "describe",
    "list",
    "poll",
    "receive",
    "search",
    "scan",
    "query",
    "select",
    "read",
    "lookup",
    "discover",
    "validate",
    "batchGet",
    "batchDescribe",
    "batchRead",
    "transactGet",
    "retrieve",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Universal<'a> {
    pub service: &'a str,
    /// As the service's model names it.
    pub operation: String,
}

impl<'a> Universal<'a> {
    /// `None`: the ARN is of another kind.
    pub fn parse(arn: &'a str) -> Option<Universal<'a>> {
        let (service, operation) = arn.strip_prefix("arn:aws:scheduler:::aws-sdk:")?.split_once(':')?;
        let mut chars = operation.chars();
        let first = chars.next()?.to_ascii_uppercase();
        let operation = format!("{first}{}", chars.as_str());
        // Some services are named by their SDK and not by their signatures.
        let service = match service {
            "eventbridge" => "events",
            "cloudwatchlogs" => "logs",
            "apigatewayv2" => "apigateway",
            other => other,
        };
        Some(Universal { service, operation })
    }

    /// Whether it may be a target.
    pub fn is_reading(arn: &str) -> bool {
        let operation = arn.rsplit(':').next().unwrap_or_default();
        READING.iter().any(|prefix| {
            let rest = operation.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.chars().next().is_none_or(|c| c.is_ascii_uppercase()))
        })
    }

    /// Members and payload of the call.
    ///
    /// # Errors
    /// When the text is not a JSON object.
    pub fn input(&self, text: &str) -> Result<(Value, Bytes), ApiError> {
        let mut value: Value = serde_json::from_str(text).unwrap_or_default();
        let Some(members) = value.as_object_mut() else {
            return Err(errors::invalid("The Input of a universal target must be a JSON object."));
        };
        if self.service != "lambda" {
            return Ok((value, Bytes::new()));
        }
        let payload = match members.shift_remove("Payload") {
            Some(Value::String(text)) => Bytes::from(text),
            Some(other) => Bytes::from(other.to_string()),
            None => Bytes::new(),
        };
        Ok((value, payload))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn universal_targets() {
        let of = |arn| Universal::parse(arn).map(|u| (u.service, u.operation));
        assert_eq!(of("arn:aws:scheduler:::aws-sdk:sqs:sendMessage"), Some(("sqs", "SendMessage".to_owned())));
        assert_eq!(of("arn:aws:scheduler:::aws-sdk:eventbridge:putEvents"), Some(("events", "PutEvents".to_owned())));
        assert_eq!(of("arn:aws:sqs:us-east-1:000000000000:q"), None);
        assert!(Universal::is_reading("arn:aws:scheduler:::aws-sdk:sqs:receiveMessage"));
        assert!(Universal::is_reading("arn:aws:scheduler:::aws-sdk:dynamodb:scan"));
        assert!(!Universal::is_reading("arn:aws:scheduler:::aws-sdk:x:getawayNow"));
        let lambda = Universal::parse("arn:aws:scheduler:::aws-sdk:lambda:invoke").unwrap();
        let (members, payload) = lambda.input("{\"FunctionName\":\"f\",\"Payload\":\"{}\"}").unwrap();
        assert_eq!((members, payload), (serde_json::json!({"FunctionName": "f"}), Bytes::from("{}")));
        assert!(lambda.input("[]").is_err());
    }
}
