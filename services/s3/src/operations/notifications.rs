//! The notification configuration: what it says is checked with the destinations before it counts.

use cumulet_delivery::target::{self, Parcel};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};
use serde_json::json;

use crate::model::Bucket;
use crate::notify::{self, Notifications, Rule};
use crate::{Objects, access};

/// What S3 tells of (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>);
/// those that never happen here may be asked for too.
const EVENTS: [&str; 28] = [
    "s3:TestEvent",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectAcl:Put",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
];

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> s3s::S3Error {
    s3s::S3Error::with_message(s3s::S3ErrorCode::InvalidArgument, message)
}

fn rule(
    service: &str,
    id: Option<String>,
    arn: String,
    events: &EventList,
    filter: Option<NotificationConfigurationFilter>,
) -> S3Result<Rule> {
    if !target::is_target(&arn) || !arn.starts_with(&format!("arn:aws:{service}:")) {
        return Err(invalid("The ARN is not well formed"));
    }
    let events: Vec<String> = events.iter().map(|event| String::from(event.clone())).collect();
    if events.is_empty() || !events.iter().all(|event| EVENTS.contains(&event.as_str())) {
        return Err(invalid("The event is not supported for notifications"));
    }
    let mut filters = Vec::new();
    for found in filter.and_then(|filter| filter.key).and_then(|key| key.filter_rules).into_iter().flatten() {
        let name = found.name.map(|name| name.as_str().to_owned()).unwrap_or_default();
        if !matches!(name.to_ascii_lowercase().as_str(), "prefix" | "suffix") {
            return Err(invalid("filter rule name must be either prefix or suffix"));
        }
        if filters.iter().any(|(other, _): &(String, String)| other.eq_ignore_ascii_case(&name)) {
            return Err(invalid("Cannot specify more than one prefix or suffix rule in a filter."));
        }
        filters.push((name, found.value.unwrap_or_default()));
    }
    Ok(Rule { id: id.unwrap_or_else(cumulet_base::id::uuid), arn, events, filters })
}

pub async fn put(
    s3: &Objects,
    request: S3Request<PutBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
    let input = request.input;
    let asked = input.notification_configuration;
    let mut rules = Vec::new();
    for one in asked.lambda_function_configurations.into_iter().flatten() {
        rules.push(rule("lambda", one.id, one.lambda_function_arn, &one.events, one.filter)?);
    }
    for one in asked.queue_configurations.into_iter().flatten() {
        rules.push(rule("sqs", one.id, one.queue_arn, &one.events, one.filter)?);
    }
    for one in asked.topic_configurations.into_iter().flatten() {
        rules.push(rule("sns", one.id, one.topic_arn, &one.events, one.filter)?);
    }
    overlapping(&rules)?;
    let bucket = s3.storage.bucket(&input.bucket).await?;
    if input.skip_destination_validation != Some(true) {
        // What is unchanged was checked before.
        for rule in rules.iter().filter(|rule| !bucket.notifications.rules.iter().any(|old| old.arn == rule.arn)) {
            validate(s3, &bucket, &input.bucket, rule).await?;
        }
    }
    let notifications = Notifications { rules, has_bus: asked.event_bridge_configuration.is_some() };
    let amend = |bucket: &mut Bucket| {
        bucket.notifications.clone_from(&notifications);
        Ok(())
    };
    s3.storage.amend_bucket(&input.bucket, None, amend).await?;
    Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
}

/// No key and event may be meant by two rules.
fn overlapping(rules: &[Rule]) -> S3Result<()> {
    let family = |event: &str| event.trim_end_matches('*').to_owned();
    let meets = |a: &str, b: &str| {
        a == b || a.ends_with('*') && b.starts_with(&family(a)) || b.ends_with('*') && a.starts_with(&family(b))
    };
    let value = |rule: &Rule, name: &str| {
        let found = rule.filters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    for (at, a) in rules.iter().enumerate() {
        for b in &rules[at + 1..] {
            let (start_a, start_b) = (value(a, "prefix"), value(b, "prefix"));
            let (end_a, end_b) = (value(a, "suffix"), value(b, "suffix"));
            let share_keys = (start_a.starts_with(&start_b) || start_b.starts_with(&start_a))
                && (end_a.ends_with(&end_b) || end_b.ends_with(&end_a));
            if share_keys && a.events.iter().any(|x| b.events.iter().any(|y| meets(x, y))) {
                return Err(invalid(
                    "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
                ));
            }
        }
    }
    Ok(())
}

/// A queue or topic gets the test event; a function is asked whether it would be invoked.
async fn validate(s3: &Objects, record: &Bucket, bucket: &str, rule: &Rule) -> S3Result<()> {
    let caller = notify::caller(&record.account, bucket);
    let (request_id, now_ms) = (access::request_id()?, s3.clock.now_ms());
    let checked = if rule.arn.starts_with("arn:aws:lambda:") {
        let input = json!({"FunctionName": rule.arn, "InvocationType": "DryRun"});
        s3.client.call(&caller, &record.region, "lambda", "Invoke", input, bytes::Bytes::new()).await
    } else {
        let parcel = Parcel::new(notify::test_event(bucket, &request_id, now_ms));
        target::deliver(&s3.client, &caller, &rule.arn, &parcel).await
    };
    match checked {
        Ok(_) => Ok(()),
        Err(e) if e.status == 501 => Err(s3s::S3Error::with_message(s3s::S3ErrorCode::NotImplemented, e.message)),
        Err(e) => {
            tracing::debug!(error = %e, target = rule.arn, "a destination of notifications refused the test");
            Err(invalid("Unable to validate the following destination configurations"))
        }
    }
}

pub async fn get(
    s3: &Objects,
    request: S3Request<GetBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
    let found = s3.storage.bucket(&request.input.bucket).await?.notifications;
    let mut output = GetBucketNotificationConfigurationOutput::default();
    for rule in found.rules {
        let events: EventList = rule.events.into_iter().map(Event::from).collect();
        let id = Some(rule.id);
        let rules: Vec<_> = rule
            .filters
            .into_iter()
            .map(|(name, value)| FilterRule { name: Some(FilterRuleName::from(name)), value: Some(value) })
            .collect();
        let key = S3KeyFilter { filter_rules: Some(rules) };
        let filter = key.filter_rules.as_ref().is_some_and(|rules| !rules.is_empty());
        let filter = filter.then_some(NotificationConfigurationFilter { key: Some(key) });
        if rule.arn.starts_with("arn:aws:lambda:") {
            let one = LambdaFunctionConfiguration { events, filter, id, lambda_function_arn: rule.arn };
            output.lambda_function_configurations.get_or_insert_default().push(one);
        } else if rule.arn.starts_with("arn:aws:sqs:") {
            let one = QueueConfiguration { events, filter, id, queue_arn: rule.arn };
            output.queue_configurations.get_or_insert_default().push(one);
        } else {
            let one = TopicConfiguration { events, filter, id, topic_arn: rule.arn };
            output.topic_configurations.get_or_insert_default().push(one);
        }
    }
    output.event_bridge_configuration = found.has_bus.then(EventBridgeConfiguration::default);
    Ok(S3Response::new(output))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_that_overlap() {
        let of = |event: &str, prefix: &str, suffix: &str| Rule {
            id: String::new(),
            arn: String::new(),
            events: vec![event.to_owned()],
            filters: vec![("prefix".to_owned(), prefix.to_owned()), ("suffix".to_owned(), suffix.to_owned())],
        };
        let check = |a: Rule, b: Rule| overlapping(&[a, b]).is_err();
        assert!(check(of("s3:ObjectCreated:*", "", ""), of("s3:ObjectCreated:Put", "", "")));
        assert!(check(of("s3:ObjectCreated:*", "a/", ".x"), of("s3:ObjectCreated:*", "a/b", "")));
        assert!(!check(of("s3:ObjectCreated:*", "a/", ""), of("s3:ObjectCreated:*", "b/", "")));
        assert!(!check(of("s3:ObjectCreated:*", "", ".x"), of("s3:ObjectCreated:*", "", ".y")));
        assert!(!check(of("s3:ObjectCreated:*", "", ""), of("s3:ObjectRemoved:*", "", "")));
    }
}
