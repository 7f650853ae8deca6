//! The operations over the memory store; through boto3 and CloudFormation they are driven in `tests/`.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use serde_json::{Value, json};

use super::*;

async fn call(watch: &CloudWatch, operation: &str, input: Value) -> Result<Value, ApiError> {
    let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
    let Value::Object(input) = input else { panic!("the input is an object") };
    let context = Context {
        caller: Caller::owner("000000000000"),
        region: "us-east-1".to_owned(),
        request_id: "r".to_owned(),
        host: "localhost".to_owned(),
        now_ms: 1_795_428_930_123,
        trace: None,
    };
    watch.call(Call { operation, input, payload: bytes::Bytes::new(), context }).await.map(|answer| answer.output)
}

fn alarm(name: &str) -> Value {
    json!({
        "AlarmName": name, "MetricName": "Errors", "Namespace": "AWS/Lambda", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:t"], "Tags": [{"Key": "a", "Value": "b"}],
    })
}

#[tokio::test]
async fn alarms_are_kept_and_say_that_nothing_was_measured() {
    let watch = CloudWatch::new(Arc::new(MemoryStore::new()));
    for name in ["one", "two"] {
        call(&watch, "PutMetricAlarm", alarm(name)).await.unwrap();
    }
    let shown = call(&watch, "DescribeAlarms", json!({"AlarmNames": ["one"]})).await.unwrap();
    let one = &shown["MetricAlarms"][0];
    assert_eq!((&one["StateValue"], &one["ActionsEnabled"]), (&json!("INSUFFICIENT_DATA"), &json!(true)));
    assert_eq!(one["AlarmArn"], "arn:aws:cloudwatch:us-east-1:000000000000:alarm:one");
    call(&watch, "DisableAlarmActions", json!({"AlarmNames": ["one"]})).await.unwrap();
    let first = call(&watch, "DescribeAlarms", json!({"MaxRecords": 1})).await.unwrap();
    assert_eq!(first["MetricAlarms"][0]["ActionsEnabled"], false);
    let second =
        call(&watch, "DescribeAlarms", json!({"MaxRecords": 1, "NextToken": first["NextToken"]})).await.unwrap();
    assert_eq!((&second["MetricAlarms"][0]["AlarmName"], second.get("NextToken")), (&json!("two"), None));
    let arn = one["AlarmArn"].clone();
    call(&watch, "TagResource", json!({"ResourceARN": arn, "Tags": [{"Key": "c", "Value": "d"}]})).await.unwrap();
    call(&watch, "UntagResource", json!({"ResourceARN": arn, "TagKeys": ["a"]})).await.unwrap();
    let tags = call(&watch, "ListTagsForResource", json!({"ResourceARN": arn})).await.unwrap();
    assert_eq!(tags["Tags"], json!([{"Key": "c", "Value": "d"}]));
    let rule = json!({"AlarmName": "both", "AlarmRule": "ALARM(one) AND ALARM(two)"});
    call(&watch, "PutCompositeAlarm", rule).await.unwrap();
    let composite = call(&watch, "DescribeAlarms", json!({"AlarmTypes": ["CompositeAlarm"]})).await.unwrap();
    assert_eq!(composite["CompositeAlarms"].as_array().unwrap().len(), 1);
    call(&watch, "DeleteAlarms", json!({"AlarmNames": ["one", "two", "both"]})).await.unwrap();
    let error = call(&watch, "DeleteAlarms", json!({"AlarmNames": ["one"]})).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn what_no_alarm_can_be_made_of() {
    let watch = CloudWatch::new(Arc::new(MemoryStore::new()));
    for (member, value, code) in [
        ("AlarmName", Value::Null, "MissingParameter"),
        ("ComparisonOperator", json!("Equal"), "ValidationError"),
        ("EvaluationPeriods", json!(0), "MissingParameter"),
        ("Statistic", Value::Null, "MissingParameter"),
        ("ExtendedStatistic", json!("p99"), "InvalidParameterCombination"),
        ("Metrics", json!([]), "InvalidParameterCombination"),
        ("TreatMissingData", json!("never"), "ValidationError"),
    ] {
        let mut input = alarm("a");
        input[member] = value;
        assert_eq!(call(&watch, "PutMetricAlarm", input).await.unwrap_err().code, code, "{member}");
    }
}

#[tokio::test]
async fn dashboards() {
    let watch = CloudWatch::new(Arc::new(MemoryStore::new()));
    let body = json!({"widgets": []}).to_string();
    call(&watch, "PutDashboard", json!({"DashboardName": "d", "DashboardBody": body})).await.unwrap();
    assert_eq!(call(&watch, "GetDashboard", json!({"DashboardName": "d"})).await.unwrap()["DashboardBody"], body);
    let list = call(&watch, "ListDashboards", json!({"DashboardNamePrefix": "d"})).await.unwrap();
    assert_eq!(list["DashboardEntries"][0]["Size"], body.len());
    for bad in
        [json!({"DashboardName": "a b", "DashboardBody": body}), json!({"DashboardName": "d", "DashboardBody": "x"})]
    {
        assert_eq!(call(&watch, "PutDashboard", bad).await.unwrap_err().code, "InvalidParameterInput");
    }
    call(&watch, "DeleteDashboards", json!({"DashboardNames": ["d"]})).await.unwrap();
    assert_eq!(call(&watch, "GetDashboard", json!({"DashboardName": "d"})).await.unwrap_err().code, "ResourceNotFound");
}
