//! The operations over the memory store, with a clock that is set by hand; through boto3, the command line and
//! CloudFormation they are driven in `tests/`.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cumulet_engine::record::Measured;
use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use cumulet_wire::operation::Registry;
use serde_json::{Value, json};

use super::*;

/// The begin of a minute.
const NOW_MS: u64 = 1_795_428_960_000;
const NOW_S: u64 = NOW_MS / 1000;

struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Anybody;

#[async_trait]
impl Authorizer for Anybody {
    async fn authorize(&self, _: &Caller, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

static TOPICS: ServiceModel = ServiceModel {
    name: "sns",
    protocol: Protocol::Query,
    target: "",
    xmlns: "",
    operations: &[Operation::rpc("Publish")],
    absent: &[],
};
static BUSES: ServiceModel = ServiceModel { name: "events", operations: &[Operation::rpc("PutEvents")], ..TOPICS };

/// Keeps what it is sent.
struct Taker(&'static ServiceModel, Arc<Mutex<Vec<Value>>>);

#[async_trait]
impl Service for Taker {
    fn model(&self) -> &'static ServiceModel {
        self.0
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        self.1.lock().unwrap().push(call.input.into());
        Answer::json(json!({"Entries": [{}]}))
    }
}

struct Fixture {
    watch: CloudWatch,
    clock: Arc<Hand>,
    sent: Arc<Mutex<Vec<Value>>>,
    store: Arc<MemoryStore>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::over(Arc::new(MemoryStore::new()), NOW_MS)
    }

    fn over(store: Arc<MemoryStore>, now_ms: u64) -> Fixture {
        let clock = Arc::new(Hand(AtomicU64::new(now_ms)));
        let (client, sent) = (Client::default(), Arc::default());
        let registry = Registry::default()
            .with(Arc::new(Taker(&TOPICS, Arc::clone(&sent))))
            .with(Arc::new(Taker(&BUSES, Arc::clone(&sent))));
        client.connect(registry, Arc::new(Anybody), clock.clone());
        let delivery = Delivery::new(store.clone(), clock.clone());
        let ports = Ports { store: store.clone(), clock: clock.clone(), client, delivery: delivery.clone() };
        let watch = CloudWatch::new(ports);
        delivery.start();
        watch.start();
        Fixture { watch, clock, sent, store }
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let operation = MODEL.operations.iter().find(|o| o.name == operation).unwrap();
        let Value::Object(input) = input else { panic!("the input is an object") };
        let context = Context {
            caller: Caller::owner("000000000000"),
            region: "us-east-1".to_owned(),
            request_id: "r".to_owned(),
            host: "localhost".to_owned(),
            now_ms: self.clock.now_ms(),
            trace: None,
        };
        self.watch
            .call(Call { operation, input, payload: bytes::Bytes::new(), context })
            .await
            .map(|answer| answer.output)
    }

    async fn put(&self, data: Value) {
        self.call("PutMetricData", json!({"Namespace": "N", "MetricData": data})).await.unwrap();
    }

    async fn state(&self, name: &str) -> String {
        let kinds = ["MetricAlarm", "CompositeAlarm"];
        let shown = self.call("DescribeAlarms", json!({"AlarmNames": [name], "AlarmTypes": kinds})).await.unwrap();
        let one = if shown["MetricAlarms"][0].is_null() { &shown["CompositeAlarms"] } else { &shown["MetricAlarms"] };
        one[0]["StateValue"].as_str().unwrap().to_owned()
    }

    async fn comes_to(&self, name: &str, state: &str) {
        for _ in 0..2000 {
            if self.state(name).await == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{name} is {} and not {state}", self.state(name).await);
    }

    /// Later, and the alarms are looked at.
    fn pass(&self, ms: u64, alarms: &[&str]) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        let place = metrics::Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
        alarms.iter().for_each(|name| self.watch.watcher.look(&place, name));
    }

    async fn sent(&self, count: usize) -> Vec<Value> {
        for _ in 0..2000 {
            if self.sent.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.sent.lock().unwrap().clone()
    }
}

fn alarm(name: &str) -> Value {
    json!({
        "AlarmName": name, "MetricName": "Errors", "Namespace": "AWS/Lambda", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:t"], "Tags": [{"Key": "a", "Value": "b"}],
    })
}

#[tokio::test]
async fn alarms_are_kept() {
    let watch = Fixture::new();
    for name in ["one", "two"] {
        watch.call("PutMetricAlarm", alarm(name)).await.unwrap();
    }
    let shown = watch.call("DescribeAlarms", json!({"AlarmNames": ["one"]})).await.unwrap();
    let one = &shown["MetricAlarms"][0];
    assert_eq!((&one["StateValue"], &one["ActionsEnabled"]), (&json!("INSUFFICIENT_DATA"), &json!(true)));
    assert_eq!(one["AlarmArn"], "arn:aws:cloudwatch:us-east-1:000000000000:alarm:one");
    watch.call("DisableAlarmActions", json!({"AlarmNames": ["one"]})).await.unwrap();
    let first = watch.call("DescribeAlarms", json!({"MaxRecords": 1})).await.unwrap();
    assert_eq!(first["MetricAlarms"][0]["ActionsEnabled"], false);
    let second = watch.call("DescribeAlarms", json!({"MaxRecords": 1, "NextToken": first["NextToken"]})).await.unwrap();
    assert_eq!((&second["MetricAlarms"][0]["AlarmName"], second.get("NextToken")), (&json!("two"), None));
    let arn = one["AlarmArn"].clone();
    watch.call("TagResource", json!({"ResourceARN": arn, "Tags": [{"Key": "c", "Value": "d"}]})).await.unwrap();
    watch.call("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["a"]})).await.unwrap();
    let tags = watch.call("ListTagsForResource", json!({"ResourceARN": arn})).await.unwrap();
    assert_eq!(tags["Tags"], json!([{"Key": "c", "Value": "d"}]));
    let rule = json!({"AlarmName": "both", "AlarmRule": "ALARM(one) AND ALARM(two)"});
    watch.call("PutCompositeAlarm", rule).await.unwrap();
    let composite = watch.call("DescribeAlarms", json!({"AlarmTypes": ["CompositeAlarm"]})).await.unwrap();
    assert_eq!(composite["CompositeAlarms"].as_array().unwrap().len(), 1);
    watch.call("DeleteAlarms", json!({"AlarmNames": ["one", "two", "both"]})).await.unwrap();
    let error = watch.call("DeleteAlarms", json!({"AlarmNames": ["one"]})).await.unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn what_no_alarm_can_be_made_of() {
    let watch = Fixture::new();
    for (member, value, code) in [
        ("AlarmName", Value::Null, "MissingRequiredParameterException"),
        ("ComparisonOperator", json!("Equal"), "ValidationError"),
        ("EvaluationPeriods", json!(0), "MissingRequiredParameterException"),
        ("Statistic", Value::Null, "MissingRequiredParameterException"),
        ("ExtendedStatistic", json!("p99"), "InvalidParameterCombinationException"),
        ("Metrics", json!([]), "InvalidParameterCombinationException"),
        ("TreatMissingData", json!("never"), "ValidationError"),
    ] {
        let mut input = alarm("a");
        input[member] = value;
        assert_eq!(watch.call("PutMetricAlarm", input).await.unwrap_err().code, code, "{member}");
    }
}

#[tokio::test]
async fn dashboards() {
    let watch = Fixture::new();
    let body = json!({"widgets": []}).to_string();
    watch.call("PutDashboard", json!({"DashboardName": "d", "DashboardBody": body})).await.unwrap();
    assert_eq!(watch.call("GetDashboard", json!({"DashboardName": "d"})).await.unwrap()["DashboardBody"], body);
    let list = watch.call("ListDashboards", json!({"DashboardNamePrefix": "d"})).await.unwrap();
    assert_eq!(list["DashboardEntries"][0]["Size"], body.len());
    for bad in
        [json!({"DashboardName": "a b", "DashboardBody": body}), json!({"DashboardName": "d", "DashboardBody": "x"})]
    {
        assert_eq!(watch.call("PutDashboard", bad).await.unwrap_err().code, "DashboardInvalidInputError");
    }
    watch.call("DeleteDashboards", json!({"DashboardNames": ["d"]})).await.unwrap();
    assert_eq!(
        watch.call("GetDashboard", json!({"DashboardName": "d"})).await.unwrap_err().code,
        "DashboardNotFoundError"
    );
}

fn query(id: &str, stat: &str) -> Value {
    let metric = json!({"Namespace": "N", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "1"}]});
    json!({"Id": id, "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}})
}

#[tokio::test]
async fn what_is_put_is_found() {
    let watch = Fixture::new();
    let of = |more: Value| {
        let mut datum = json!({"MetricName": "m", "Dimensions": [{"Name": "d", "Value": "1"}], "Unit": "Count"});
        datum.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        datum
    };
    watch
        .put(json!([
            of(json!({"Value": 4, "Timestamp": NOW_S - 60})),
            of(json!({"Values": [1, 2], "Counts": [1, 2], "Timestamp": NOW_S - 30})),
            of(json!({"StatisticValues": {"SampleCount": 2, "Sum": 8, "Minimum": 3, "Maximum": 5}, "Timestamp": NOW_S - 120})),
            {"MetricName": "other", "Value": 1},
        ]))
        .await;
    let ask = |queries: Value, more: Value| {
        let mut input = json!({"MetricDataQueries": queries, "StartTime": NOW_S - 600, "EndTime": NOW_S + 60});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        watch.call("GetMetricData", input)
    };
    let mut hidden = query("m1", "Sum");
    hidden["ReturnData"] = false.into();
    let twice = json!({"Id": "e1", "Expression": "m1 * 2", "Label": "Twice"});
    let found = ask(
        json!([hidden, twice, query("p", "p100"), query("n", "SampleCount")]),
        json!({"ScanBy": "TimestampAscending"}),
    );
    let found = found.await.unwrap();
    let results = found["MetricDataResults"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!((&results[0]["Label"], &results[0]["Values"]), (&json!("Twice"), &json!([16.0, 18.0])));
    assert_eq!(results[0]["Timestamps"], json!([(NOW_S - 120) as f64, (NOW_S - 60) as f64]));
    // Of a set of statistics no percentile is known.
    assert_eq!((&results[1]["Values"], &results[2]["Values"]), (&json!([4.0]), &json!([2.0, 4.0])));
    let page = ask(json!([query("m1", "Sum"), query("m2", "Maximum")]), json!({"MaxDatapoints": 3})).await.unwrap();
    assert_eq!(page["MetricDataResults"][1]["Values"], json!([4.0]));
    let rest = json!({"MaxDatapoints": 3, "NextToken": page["NextToken"]});
    let rest = ask(json!([query("m1", "Sum"), query("m2", "Maximum")]), rest).await.unwrap();
    assert_eq!(
        (&rest["MetricDataResults"][0]["Id"], &rest["MetricDataResults"][0]["Values"]),
        (&json!("m2"), &json!([5.0]))
    );
    assert_eq!(rest.get("NextToken"), None);

    let statistics = json!({
        "Namespace": "N", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "1"}], "Period": 300,
        "StartTime": NOW_S - 300, "EndTime": NOW_S, "Statistics": ["Average", "Sum", "Maximum"],
    });
    let found = watch.call("GetMetricStatistics", statistics.clone()).await.unwrap();
    let point = &found["Datapoints"][0];
    assert_eq!((&point["Sum"], &point["Unit"], &point["Maximum"]), (&json!(17.0), &json!("Count"), &json!(5.0)));
    let other_unit = |unit: &str| {
        let mut input = statistics.clone();
        input["Unit"] = unit.into();
        input
    };
    let none = watch.call("GetMetricStatistics", other_unit("Bytes")).await.unwrap();
    assert_eq!(none["Datapoints"], json!([]));

    let all = watch.call("ListMetrics", json!({"Namespace": "N"})).await.unwrap();
    assert_eq!(all["Metrics"].as_array().unwrap().len(), 2);
    let by_dimension = watch.call("ListMetrics", json!({"Dimensions": [{"Name": "d"}]})).await.unwrap();
    assert_eq!(by_dimension["Metrics"][0]["Dimensions"], json!([{"Name": "d", "Value": "1"}]));
    // Kept over an end of the process, and added to.
    let again = Fixture::over(watch.store.clone(), NOW_MS + 1000);
    again.put(json!([of(json!({"Value": 1, "Timestamp": NOW_S - 60}))])).await;
    let found = again.call("GetMetricStatistics", statistics).await.unwrap();
    assert_eq!(found["Datapoints"][0]["Sum"], 18.0);
}

#[tokio::test]
async fn seconds_are_told_apart_and_everything_is_forgotten() {
    let watch = Fixture::new();
    for (at_s, value) in [(NOW_S - 9, 1.0), (NOW_S - 8, 2.0)] {
        watch.put(json!([{"MetricName": "h", "Value": value, "StorageResolution": 1, "Timestamp": at_s}])).await;
    }
    let ask = |period_s: u64| {
        let statistics = json!({
            "Namespace": "N", "MetricName": "h", "Period": period_s, "StartTime": NOW_S - 60, "EndTime": NOW_S,
            "Statistics": ["Sum"],
        });
        watch.call("GetMetricStatistics", statistics)
    };
    assert_eq!(ask(1).await.unwrap()["Datapoints"].as_array().unwrap().len(), 2);
    assert_eq!(ask(60).await.unwrap()["Datapoints"][0]["Sum"], 3.0);
    let place = metrics::Place { account: "000000000000".to_owned(), region: "us-east-1".to_owned() };
    metrics::tidy::once(&watch.watch.metrics, NOW_S + 4 * 3600).await.unwrap();
    assert_eq!(ask(1).await.unwrap()["Datapoints"].as_array().unwrap().len(), 1);
    metrics::tidy::once(&watch.watch.metrics, NOW_S + 16 * metrics::DAY_S).await.unwrap();
    assert_eq!(ask(60).await.unwrap()["Datapoints"], json!([]));
    assert_eq!(watch.watch.metrics.catalog(&place, None, None).await.unwrap().len(), 1);
    metrics::tidy::once(&watch.watch.metrics, NOW_S + 456 * metrics::DAY_S).await.unwrap();
    assert!(watch.watch.metrics.catalog(&place, None, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_no_metric_is() {
    let watch = Fixture::new();
    let good = json!({"MetricName": "m", "Value": 1});
    for (change, code) in [
        (json!({"MetricName": null}), "MissingRequiredParameterException"),
        (json!({"Value": null}), "MissingRequiredParameterException"),
        (json!({"Value": "NaN"}), "InvalidParameterValueException"),
        (json!({"Value": 1e200}), "InvalidParameterValueException"),
        (json!({"Values": [1]}), "InvalidParameterCombinationException"),
        (json!({"Value": null, "Values": [1], "Counts": [1, 2]}), "InvalidParameterCombinationException"),
        (json!({"Value": null, "Values": vec![1; 151]}), "InvalidParameterValueException"),
        (json!({"Unit": "Apples"}), "InvalidParameterValueException"),
        (json!({"StorageResolution": 30}), "InvalidParameterValueException"),
        (json!({"Timestamp": NOW_S - 15 * metrics::DAY_S}), "InvalidParameterValueException"),
        (json!({"Timestamp": NOW_S + 3 * 3600}), "InvalidParameterValueException"),
        (json!({"Dimensions": vec![json!({"Name": "a", "Value": "b"}); 31]}), "InvalidParameterValueException"),
        (json!({"Dimensions": [{"Name": "a", "Value": ""}]}), "InvalidParameterValueException"),
    ] {
        let mut datum = good.clone();
        datum.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let input = json!({"Namespace": "N", "MetricData": [datum]});
        assert_eq!(watch.call("PutMetricData", input).await.unwrap_err().code, code, "{change}");
    }
    for input in [
        json!({"Namespace": "AWS/Own", "MetricData": [good]}),
        json!({"Namespace": "N", "MetricData": vec![good.clone(); 1001]}),
    ] {
        assert_eq!(watch.call("PutMetricData", input).await.unwrap_err().code, "InvalidParameterValueException");
    }
    for (queries, code) in [
        (json!([query("M", "Sum")]), "ValidationError"),
        (json!([query("m", "Sum"), query("m", "Sum")]), "ValidationError"),
        (json!([{"Id": "e", "Expression": "x + 1"}]), "ValidationError"),
        (json!([{"Id": "e", "Expression": "f + 1"}, {"Id": "f", "Expression": "e"}]), "ValidationError"),
        (json!([{"Id": "e", "Expression": "1 + 1"}]), "ValidationError"),
        (json!([query("m", "tm90")]), "NotImplemented"),
        (json!([]), "MissingRequiredParameterException"),
    ] {
        let input = json!({"MetricDataQueries": queries, "StartTime": NOW_S - 60, "EndTime": NOW_S});
        assert_eq!(watch.call("GetMetricData", input).await.unwrap_err().code, code, "{queries}");
    }
    let long = json!({
        "Namespace": "N", "MetricName": "m", "Period": 60, "StartTime": 0, "EndTime": NOW_S, "Statistics": ["Sum"],
    });
    assert_eq!(watch.call("GetMetricStatistics", long).await.unwrap_err().code, "InvalidParameterCombinationException");
}

#[tokio::test]
async fn an_alarm_goes_through_its_states_and_acts() {
    let watch = Fixture::new();
    let mut input = alarm("a");
    input["Namespace"] = "N".into();
    watch.call("PutMetricAlarm", input.clone()).await.unwrap();
    watch.call("PutCompositeAlarm", json!({"AlarmName": "c", "AlarmRule": "ALARM(a)"})).await.unwrap();
    watch.comes_to("c", "OK").await;
    // The minute has ended: what comes for it is late.
    watch.put(json!([{"MetricName": "Errors", "Value": 5, "Timestamp": NOW_S - 30}])).await;
    watch.comes_to("a", "ALARM").await;
    watch.comes_to("c", "ALARM").await;
    // Two changes of the composite one and one of the other as events, and a message.
    let sent = watch.sent(4).await;
    let message = sent.iter().find(|sent| sent["TopicArn"].is_string()).unwrap();
    assert_eq!(message["Subject"], "ALARM: \"a\" in us-east-1");
    let message: Value = serde_json::from_str(message["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&message["NewStateValue"], &message["Trigger"]["Statistic"]), (&json!("ALARM"), &json!("SUM")));
    let event =
        sent.iter().find(|sent| sent["Entries"][0]["Resources"][0].as_str().is_some_and(|arn| arn.ends_with(":a")));
    let detail: Value = serde_json::from_str(event.unwrap()["Entries"][0]["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&detail["state"]["value"], &detail["previousState"]["value"]),
        (&json!("ALARM"), &json!("INSUFFICIENT_DATA"))
    );
    // Nothing for longer than data points stand in for missing ones.
    watch.pass(240_000, &["a"]);
    watch.comes_to("a", "INSUFFICIENT_DATA").await;
    watch.comes_to("c", "OK").await;
    let only = |kind: &str| json!({"AlarmName": "a", "HistoryItemType": kind, "ScanBy": "TimestampAscending"});
    let states = watch.call("DescribeAlarmHistory", only("StateUpdate")).await.unwrap();
    let said: Vec<&str> = states["AlarmHistoryItems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["HistorySummary"].as_str().unwrap())
        .collect();
    assert_eq!(
        said,
        ["Alarm updated from INSUFFICIENT_DATA to ALARM", "Alarm updated from ALARM to INSUFFICIENT_DATA"]
    );
    let actions = watch.call("DescribeAlarmHistory", only("Action")).await.unwrap();
    let summary = &actions["AlarmHistoryItems"][0]["HistorySummary"];
    assert_eq!(summary, "Successfully executed action arn:aws:sns:us-east-1:000000000000:t");
    // Without actions there is the event only.
    watch.call("DisableAlarmActions", json!({"AlarmNames": ["a"]})).await.unwrap();
    let before = watch.sent(6).await.len();
    let set = json!({"AlarmName": "a", "StateValue": "ALARM", "StateReason": "try", "StateReasonData": "{}"});
    watch.call("SetAlarmState", set.clone()).await.unwrap();
    assert_eq!(watch.state("a").await, "ALARM");
    watch.comes_to("c", "ALARM").await;
    let sent = watch.sent(before + 2).await;
    assert!(sent[before..].iter().all(|sent| sent["TopicArn"].is_null()), "{sent:?}");
    for (member, value, code) in [
        ("AlarmName", json!("none"), "ResourceNotFound"),
        ("StateValue", json!("Ok"), "ValidationError"),
        ("StateReasonData", json!("no"), "InvalidFormatFault"),
    ] {
        let mut set = set.clone();
        set[member] = value;
        assert_eq!(watch.call("SetAlarmState", set).await.unwrap_err().code, code, "{member}");
    }
    let metric = json!({"Namespace": "N", "MetricName": "Errors"});
    let on = watch.call("DescribeAlarmsForMetric", metric).await.unwrap();
    assert_eq!(on["MetricAlarms"][0]["AlarmName"], "a");
    let parents = watch.call("DescribeAlarms", json!({"ParentsOfAlarmName": "a"})).await.unwrap();
    assert_eq!(parents["CompositeAlarms"][0]["AlarmName"], "c");
}

/// States follow from metrics: what was missed is made up for.
#[tokio::test]
async fn an_alarm_is_looked_at_after_a_restart() {
    let watch = Fixture::new();
    let mut input = alarm("a");
    input["Namespace"] = "N".into();
    watch.call("PutMetricAlarm", input).await.unwrap();
    watch.put(json!([{"MetricName": "Errors", "Value": 5, "Timestamp": NOW_S}])).await;
    let again = Fixture::over(watch.store.clone(), NOW_MS + 61_000);
    again.comes_to("a", "ALARM").await;
}

#[tokio::test]
async fn the_platforms_own_numbers() {
    let watch = Fixture::new();
    for _ in 0..3 {
        watch.watch.sink().measured(Measured {
            account: "000000000000",
            region: "us-east-1",
            namespace: "AWS/Lambda",
            name: "Duration",
            unit: "Milliseconds",
            dimensions: &[("FunctionName", "f")],
            values: &[(1.0, 2.0), (4.0, 1.0)],
            at_ms: NOW_MS,
        });
    }
    watch.watch.flush().await;
    let statistics = json!({
        "Namespace": "AWS/Lambda", "MetricName": "Duration", "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
        "Period": 60, "StartTime": NOW_S, "EndTime": NOW_S + 60, "Statistics": ["SampleCount", "Average"],
        "ExtendedStatistics": ["p50"],
    });
    let found = watch.call("GetMetricStatistics", statistics).await.unwrap();
    let point = &found["Datapoints"][0];
    assert_eq!((&point["SampleCount"], &point["Average"]), (&json!(9.0), &json!(2.0)));
    assert_eq!(point["ExtendedStatistics"], json!({"p50": 1.0}));
}
