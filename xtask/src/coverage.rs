//! The coverage page: every operation of every service's model, built or absent.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cumulet_wire::operation::ServiceModel;

const PAGE: &str = "docs/reference/coverage.md";

fn models() -> [&'static ServiceModel; 19] {
    [
        &cumulet_lambda::MODEL,
        &cumulet_apigateway::MODEL,
        &cumulet_apigateway::rest::MODEL,
        &cumulet_cloudcontrol::MODEL,
        &cumulet_cloudformation::MODEL,
        &cumulet_logs::MODEL,
        &cumulet_iam::MODEL,
        &cumulet_sts::MODEL,
        &cumulet_kms::MODEL,
        &cumulet_cloudwatch::MODEL,
        &cumulet_codedeploy::MODEL,
        &cumulet_events::MODEL,
        &cumulet_scheduler::MODEL,
        &cumulet_sns::MODEL,
        &cumulet_sqs::MODEL,
        &cumulet_secretsmanager::MODEL,
        &cumulet_ssm::MODEL,
        &cumulet_dynamodb::MODEL,
        &cumulet_dynamodb::STREAMS_MODEL,
    ]
}

/// What is built in part, and is seen in no list of operations.
const REMARKS: &[(&str, &str)] = &[
    ("apigateway", CERTIFICATES),
    ("apigateway-rest", CERTIFICATES),
    ("codedeploy", "Functions only. An AppSpec is JSON. Triggers on instances are kept, and never come."),
    ("cloudformation", "Drift is told of types that can be read back; others are `NOT_CHECKED`."),
    (
        "cloudwatch",
        "Refused by name: the statistics of a part of the values (`tm99`, `IQM` and their like), searches, Metrics Insights and the \
         metric math functions that are not in the guide, bands of anomaly detection, `AT_LEAST` and `ActionsSuppressor` of composite \
         alarms. Alarm actions go to SNS and Lambda; others fail, and the history says so. A deleted alarm takes its history along.\n\nMetrics \
         of the platform's own: of `AWS/Lambda` Invocations, Errors, Duration, Throttles and, looked at every five seconds, ConcurrentExecutions (by FunctionName \
         and over all); of `AWS/ApiGateway` Count, \
         4xx, 5xx, Latency, IntegrationLatency (by API and stage, not by method); of `AWS/DynamoDB` ConsumedReadCapacityUnits, \
         ConsumedWriteCapacityUnits (by TableName). of `AWS/SQS` \
         ApproximateNumberOfMessagesVisible, NotVisible and Delayed, of queues that an alarm looks at. No others: nothing that is told apart by \
         Resource or ExecutedVersion, nothing of `AWS/SNS`, `AWS/Events`, `AWS/S3` and `AWS/States`.",
    ),
    ("cloudcontrolapi", "GetResource: of `AWS::Lambda::Url`. Other types are an `UnsupportedActionException`."),
];
const CERTIFICATES: &str =
    "Certificates of domain names are taken by their ARNs as given: there is no Certificate Manager (`acm`).";

type Named = (&'static str, Vec<&'static str>, Vec<&'static str>);

/// Name, built and absent; S3 has a protocol of its own and therefore no model of `wire`.
fn services() -> Vec<Named> {
    let names = |operations: &'static [cumulet_wire::operation::Operation]| operations.iter().map(|o| o.name).collect();
    let mut services: Vec<Named> =
        models().into_iter().map(|model| (model.name, names(model.operations), names(model.absent))).collect();
    services.push(("s3", cumulet_s3::coverage::BUILT.to_vec(), cumulet_s3::coverage::ABSENT.to_vec()));
    services
}

pub fn page() -> String {
    let mut text = String::from(
        "# Coverage\n\nMade by `cargo run -p xtask -- coverage`. What is absent answers \
         `not implemented: SERVICE.Operation`.\n\n| service | built | absent |\n| --- | --- | --- |\n",
    );
    let services = services();
    for (service, built, absent) in &services {
        let _infallible = writeln!(text, "| {service} | {} | {} |", built.len(), absent.len());
    }
    for (service, built, absent) in &services {
        let names = |operations: &[&str]| {
            let mut names = operations.to_vec();
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        };
        let _infallible = write!(text, "\n## {service}\n\nBuilt: {}.\n\nAbsent: {}.\n", names(built), names(absent));
        for (_, remark) in REMARKS.iter().filter(|(name, _)| name == service) {
            let _infallible = writeln!(text, "\n{remark}");
        }
    }
    text
}

pub fn write(root: &Path) -> Vec<String> {
    let path: PathBuf = root.join(PAGE);
    let parent = path.parent().map(Path::to_owned).unwrap_or_default();
    match std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, page())) {
        Ok(()) => Vec::new(),
        Err(e) => vec![format!("{PAGE}: {e}")],
    }
}

pub fn check(root: &Path) -> Vec<String> {
    if std::fs::read_to_string(root.join(PAGE)).is_ok_and(|text| text == page()) {
        Vec::new()
    } else {
        vec![format!("{PAGE} is out of date: cargo run -p xtask -- coverage")]
    }
}
