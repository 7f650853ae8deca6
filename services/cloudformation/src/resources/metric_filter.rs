//! Metric filters of log groups
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-metricfilter.html>).

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, gone_is_done, invalid, only, required_text, text};

type Properties = Map<String, Value>;

pub const KIND: &str = "AWS::Logs::MetricFilter";
const KNOWN: &[&str] = &["FilterName", "FilterPattern", "LogGroupName", "MetricTransformations"];
const TRANSFORMATION: &[(&str, &str)] = &[
    ("MetricName", "metricName"),
    ("MetricNamespace", "metricNamespace"),
    ("MetricValue", "metricValue"),
    ("Unit", "unit"),
];

fn transformation(given: &Value) -> Result<Value, ApiError> {
    let Value::Object(given) = given else { return Err(invalid("MetricTransformations has something else in it")) };
    let mut made = Map::new();
    for (name, value) in given {
        if let Some((_, member)) = TRANSFORMATION.iter().find(|(known, _)| known == name) {
            made.insert((*member).to_owned(), text(value).into());
        } else if name == "DefaultValue" {
            let number = value.as_f64().or_else(|| text(value).parse().ok());
            made.insert("defaultValue".to_owned(), number.ok_or_else(|| invalid("DefaultValue is no number"))?.into());
        } else if name == "Dimensions" {
            let pairs = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let of = |pair: &Value| (text(&pair["Key"]), Value::from(text(&pair["Value"])));
            made.insert("dimensions".to_owned(), pairs.iter().map(of).collect::<Map<_, _>>().into());
        } else {
            return Err(invalid(format!("not implemented: property {name}")));
        }
    }
    Ok(made.into())
}

async fn put(at: &Whereabouts, name: &str, properties: &Properties) -> Result<(), ApiError> {
    only(properties, KNOWN)?;
    let list = properties.get("MetricTransformations").and_then(Value::as_array).map(Vec::as_slice);
    let transformations = list.unwrap_or_default().iter().map(transformation).collect::<Result<Vec<_>, _>>()?;
    let input = json!({
        "logGroupName": required_text(properties, "LogGroupName")?,
        "filterName": name,
        "filterPattern": properties.get("FilterPattern").map(text).unwrap_or_default(),
        "metricTransformations": transformations,
    });
    at.client.call("logs", "PutMetricFilter", input).await.map(drop)
}

pub async fn create(at: &Whereabouts, properties: &Properties) -> Result<Made, ApiError> {
    let name = properties.get("FilterName").map_or_else(|| at.name(512), text);
    put(at, &name, properties).await?;
    Ok(Made::new(name))
}

pub async fn update(at: &Whereabouts, made: &Made, new: &Properties) -> Result<Made, ApiError> {
    put(at, &made.physical_id, new).await?;
    Ok(made.clone())
}

pub async fn delete(at: &Whereabouts, made: &Made, properties: &Properties) -> Result<(), ApiError> {
    let input = json!({ "logGroupName": required_text(properties, "LogGroupName")?, "filterName": made.physical_id });
    gone_is_done(at.client.call("logs", "DeleteMetricFilter", input).await)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn members_are_named_as_the_operation_does() {
        let given = json!({
            "MetricName": "m", "MetricNamespace": "N", "MetricValue": 1, "DefaultValue": "0", "Unit": "Count",
            "Dimensions": [{"Key": "k", "Value": "$.k"}],
        });
        let made = json!({
            "metricName": "m", "metricNamespace": "N", "metricValue": "1", "defaultValue": 0.0, "unit": "Count",
            "dimensions": {"k": "$.k"},
        });
        assert_eq!(transformation(&given).unwrap(), made);
        assert!(transformation(&json!({"Other": 1})).is_err());
    }
}
