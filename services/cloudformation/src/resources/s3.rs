//! Buckets and their policies.

use cumulet_wire::error::ApiError;
use serde_json::{Map, Value, json};

use super::{Made, Whereabouts, only, required, required_text, text};

pub fn name(at: &Whereabouts) -> String {
    at.name(63).to_ascii_lowercase()
}

/// The parts of a bucket that have calls of their own: property, call that sets it, member of the input, call that
/// takes it away.
struct Part {
    property: &'static str,
    put: &'static str,
    member: &'static str,
    delete: Option<&'static str>,
}

const fn part(property: &'static str, put: &'static str, member: &'static str, delete: &'static str) -> Part {
    Part { property, put, member, delete: Some(delete) }
}

const PARTS: &[Part] = &[
    part("Tags", "PutBucketTagging", "Tagging", "DeleteBucketTagging"),
    part("CorsConfiguration", "PutBucketCors", "CORSConfiguration", "DeleteBucketCors"),
    part(
        "LifecycleConfiguration",
        "PutBucketLifecycleConfiguration",
        "LifecycleConfiguration",
        "DeleteBucketLifecycle",
    ),
    part("BucketEncryption", "PutBucketEncryption", "ServerSideEncryptionConfiguration", "DeleteBucketEncryption"),
    part("OwnershipControls", "PutBucketOwnershipControls", "OwnershipControls", "DeleteBucketOwnershipControls"),
    part(
        "PublicAccessBlockConfiguration",
        "PutPublicAccessBlock",
        "PublicAccessBlockConfiguration",
        "DeletePublicAccessBlock",
    ),
    part("WebsiteConfiguration", "PutBucketWebsite", "WebsiteConfiguration", "DeleteBucketWebsite"),
    Part {
        property: "VersioningConfiguration",
        put: "PutBucketVersioning",
        member: "VersioningConfiguration",
        delete: None,
    },
    Part {
        property: "NotificationConfiguration",
        put: "PutBucketNotificationConfiguration",
        member: "NotificationConfiguration",
        delete: None,
    },
    Part {
        property: "ObjectLockConfiguration",
        put: "PutObjectLockConfiguration",
        member: "ObjectLockConfiguration",
        delete: None,
    },
    Part { property: "LoggingConfiguration", put: "PutBucketLogging", member: "BucketLoggingStatus", delete: None },
];

/// The property in the shape of the call.
fn value_of(property: &str, value: &Value) -> Value {
    match property {
        "Tags" => json!({ "TagSet": value }),
        "CorsConfiguration" => json!({ "CORSRules": renamed_list(&value["CorsRules"], &[
            ("AllowedHeaders", "AllowedHeaders"),
            ("AllowedMethods", "AllowedMethods"),
            ("AllowedOrigins", "AllowedOrigins"),
            ("ExposedHeaders", "ExposeHeaders"),
            ("MaxAge", "MaxAgeSeconds"),
            ("Id", "ID"),
        ]) }),
        "BucketEncryption" => {
            let mut rules = renamed_list(
                &value["ServerSideEncryptionConfiguration"],
                &[
                    ("ServerSideEncryptionByDefault", "ApplyServerSideEncryptionByDefault"),
                    ("BucketKeyEnabled", "BucketKeyEnabled"),
                    ("BlockedEncryptionTypes", "BlockedEncryptionTypes"),
                ],
            );
            for rule in rules.as_array_mut().into_iter().flatten() {
                // A rule may be about the key of the bucket alone.
                if rule.get("ApplyServerSideEncryptionByDefault").is_none() {
                    rule["ApplyServerSideEncryptionByDefault"] = json!({ "SSEAlgorithm": "AES256" });
                }
            }
            json!({ "Rules": rules })
        }
        "LifecycleConfiguration" => {
            let rules = value["Rules"].as_array().map(|rules| rules.iter().map(lifecycle_rule).collect::<Vec<_>>());
            json!({ "Rules": rules.unwrap_or_default() })
        }
        "LoggingConfiguration" => json!({ "LoggingEnabled": {
            "TargetBucket": value["DestinationBucketName"],
            "TargetPrefix": value.get("LogFilePrefix").cloned().unwrap_or_else(|| "".into()),
        } }),
        "NotificationConfiguration" => notification(value),
        "WebsiteConfiguration" => website(value),
        "ObjectLockConfiguration" => {
            let mut lock = value.clone();
            if let Some(retention) = lock.pointer_mut("/Rule/DefaultRetention") {
                *retention = numbers(retention);
            }
            lock
        }
        "PublicAccessBlockConfiguration" => {
            let flags = value.as_object().into_iter().flatten();
            flags.map(|(name, value)| (name.clone(), super::typed(value))).collect::<Map<_, _>>().into()
        }
        _ => value.clone(),
    }
}

fn renamed(value: &Value, names: &[(&str, &str)]) -> Value {
    let mut members = Map::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let to = names.iter().find(|(from, _)| from == name).map_or(name.as_str(), |(_, to)| to);
        members.insert(to.to_owned(), value.clone());
    }
    members.into()
}

fn renamed_list(list: &Value, names: &[(&str, &str)]) -> Value {
    list.as_array().into_iter().flatten().map(|item| renamed(item, names)).collect()
}

fn lifecycle_rule(rule: &Value) -> Value {
    let mut made = json!({ "Status": rule["Status"] });
    if let Some(id) = rule.get("Id") {
        made["ID"] = id.clone();
    }
    let tags: Vec<Value> = rule["TagFilters"].as_array().cloned().unwrap_or_default();
    let mut parts = Map::new();
    if let Some(prefix) = rule.get("Prefix") {
        parts.insert("Prefix".into(), prefix.clone());
    }
    for name in ["ObjectSizeGreaterThan", "ObjectSizeLessThan"] {
        if let Some(size) = rule.get(name) {
            parts.insert(name.into(), super::typed(size));
        }
    }
    made["Filter"] = match (parts.len(), tags.as_slice()) {
        (0, []) => json!({ "Prefix": "" }),
        (1, []) => parts.into(),
        (0, [tag]) => json!({ "Tag": tag }),
        (_, tags) => {
            if !tags.is_empty() {
                parts.insert("Tags".into(), tags.into());
            }
            json!({ "And": parts })
        }
    };
    let mut expiration = Map::new();
    for (from, to) in [
        ("ExpirationInDays", "Days"),
        ("ExpirationDate", "Date"),
        ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
    ] {
        if let Some(value) = rule.get(from) {
            expiration.insert(to.into(), super::typed(value));
        }
    }
    if !expiration.is_empty() {
        made["Expiration"] = expiration.into();
    }
    if let Some(days) = rule.get("NoncurrentVersionExpirationInDays") {
        made["NoncurrentVersionExpiration"] = json!({ "NoncurrentDays": super::typed(days) });
    }
    if let Some(given) = rule.get("NoncurrentVersionExpiration") {
        made["NoncurrentVersionExpiration"] = numbers(given);
    }
    if let Some(given) = rule.get("AbortIncompleteMultipartUpload") {
        made["AbortIncompleteMultipartUpload"] = numbers(given);
    }
    let lists = [
        ("Transition", "Transitions", "Days"),
        ("NoncurrentVersionTransition", "NoncurrentVersionTransitions", "NoncurrentDays"),
    ];
    for (one, list, days) in lists {
        let names = [("TransitionInDays", days), ("TransitionDate", "Date")];
        let several = rule.get(list).and_then(Value::as_array).into_iter().flatten();
        let all: Vec<Value> = several.chain(rule.get(one)).map(|given| numbers(&renamed(given, &names))).collect();
        if !all.is_empty() {
            made[list] = all.into();
        }
    }
    made
}

fn numbers(value: &Value) -> Value {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), super::typed(value))).collect::<Map<_, _>>().into()
}

fn website(value: &Value) -> Value {
    let mut made = Map::new();
    for (name, member) in [("IndexDocument", "Suffix"), ("ErrorDocument", "Key")] {
        if let Some(document) = value.get(name) {
            made.insert(name.into(), json!({ member: document }));
        }
    }
    if let Some(all) = value.get("RedirectAllRequestsTo") {
        made.insert("RedirectAllRequestsTo".into(), all.clone());
    }
    if let Some(rules) = value.get("RoutingRules") {
        let names = [("RedirectRule", "Redirect"), ("RoutingRuleCondition", "Condition")];
        let mut rules = renamed_list(rules, &names);
        for rule in rules.as_array_mut().into_iter().flatten() {
            for (part, member) in [("Redirect", "HttpRedirectCode"), ("Condition", "HttpErrorCodeReturnedEquals")] {
                if let Some(code) = rule.get_mut(part).and_then(|part| part.get_mut(member)) {
                    *code = text(code).into();
                }
            }
        }
        made.insert("RoutingRules".into(), rules);
    }
    made.into()
}

fn notification(value: &Value) -> Value {
    let mut made = Map::new();
    let kinds = [
        ("LambdaConfigurations", "LambdaFunctionConfigurations", "Function", "LambdaFunctionArn"),
        ("QueueConfigurations", "QueueConfigurations", "Queue", "QueueArn"),
        ("TopicConfigurations", "TopicConfigurations", "Topic", "TopicArn"),
    ];
    for (from, to, target, arn) in kinds {
        let list: Vec<Value> = value[from]
            .as_array()
            .into_iter()
            .flatten()
            .map(|given| {
                let mut one = json!({ arn: given[target], "Events": [given["Event"]] });
                let rules = &given["Filter"]["S3Key"]["Rules"];
                if rules.is_array() {
                    one["Filter"] = json!({ "Key": { "FilterRules": rules } });
                }
                one
            })
            .collect();
        if !list.is_empty() {
            made.insert(to.into(), list.into());
        }
    }
    let bridge = &value["EventBridgeConfiguration"];
    if bridge.is_object() && bridge.get("EventBridgeEnabled").is_none_or(crate::template::is_true) {
        made.insert("EventBridgeConfiguration".into(), json!({}));
    }
    made.into()
}

fn known() -> Vec<&'static str> {
    let mut known: Vec<&str> = PARTS.iter().map(|part| part.property).collect();
    known.extend(["BucketName", "AccessControl", "ObjectLockEnabled"]);
    known
}

async fn set_parts(
    at: &Whereabouts,
    bucket: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<(), ApiError> {
    for part in PARTS {
        let (before, after) = (old.get(part.property), new.get(part.property));
        if before == after {
            continue;
        }
        let (operation, input) = match (after, part.delete) {
            (Some(value), _) => (part.put, json!({ "Bucket": bucket, part.member: value_of(part.property, value) })),
            (None, Some(delete)) => (delete, json!({ "Bucket": bucket })),
            (None, None) if part.property == "VersioningConfiguration" => {
                (part.put, json!({ "Bucket": bucket, part.member: { "Status": "Suspended" } }))
            }
            // What is locked stays so, but for the retention that objects have by default.
            (None, None) if part.property == "ObjectLockConfiguration" => {
                (part.put, json!({ "Bucket": bucket, part.member: { "ObjectLockEnabled": "Enabled" } }))
            }
            (None, None) => (part.put, json!({ "Bucket": bucket, part.member: {} })),
        };
        at.client.call("s3", operation, input).await?;
    }
    Ok(())
}

pub async fn create(at: &Whereabouts, kind: &str, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    if kind == "AWS::S3::BucketPolicy" {
        return put_policy(at, properties).await;
    }
    only(properties, &known())?;
    let bucket = properties.get("BucketName").map_or_else(|| name(at), text);
    let region = &at.client.context.region;
    let mut input = json!({ "Bucket": bucket });
    if region != "us-east-1" {
        input["CreateBucketConfiguration"] = json!({ "LocationConstraint": region });
    }
    if has_locks(properties) {
        input["ObjectLockEnabledForBucket"] = true.into();
    }
    at.client.call("s3", "CreateBucket", input).await?;
    if let Err(error) = set_parts(at, &bucket, &Map::new(), properties).await {
        // Otherwise a bucket would stay behind that no stack knows.
        at.client.call("s3", "DeleteBucket", json!({ "Bucket": bucket })).await?;
        return Err(error);
    }
    Ok(made(at, &bucket))
}

fn has_locks(properties: &Map<String, Value>) -> bool {
    properties.get("ObjectLockEnabled").is_some_and(crate::template::is_true)
}

/// What a bucket answers with.
pub fn made(at: &Whereabouts, bucket: &str) -> Made {
    let region = &at.client.context.region;
    let domain = crate::operations::url_suffix(&at.client.context.host);
    let of = |text: String| Value::from(text);
    Made::new(bucket)
        .with("Arn", &of(format!("arn:aws:s3:::{bucket}")))
        .with("DomainName", &of(format!("{bucket}.s3.{domain}")))
        .with("RegionalDomainName", &of(format!("{bucket}.s3.{region}.{domain}")))
        .with("DualStackDomainName", &of(format!("{bucket}.s3.dualstack.{region}.{domain}")))
        .with("WebsiteURL", &of(format!("http://{bucket}.s3-website-{region}.{domain}")))
}

async fn put_policy(at: &Whereabouts, properties: &Map<String, Value>) -> Result<Made, ApiError> {
    only(properties, &["Bucket", "PolicyDocument"])?;
    let bucket = required_text(properties, "Bucket")?;
    let document = text(required(properties, "PolicyDocument")?);
    at.client.call("s3", "PutBucketPolicy", json!({ "Bucket": bucket, "Policy": document })).await?;
    Ok(Made::new(bucket))
}

pub async fn update(
    at: &Whereabouts,
    kind: &str,
    made: &Made,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Result<Made, ApiError> {
    if kind == "AWS::S3::BucketPolicy" {
        return put_policy(at, new).await;
    }
    only(new, &known())?;
    set_parts(at, &made.physical_id, old, new).await?;
    if has_locks(new) && !has_locks(old) && !new.contains_key("ObjectLockConfiguration") {
        let lock = json!({ "ObjectLockEnabled": "Enabled" });
        let input = json!({ "Bucket": made.physical_id, "ObjectLockConfiguration": lock });
        at.client.call("s3", "PutObjectLockConfiguration", input).await?;
    }
    Ok(made.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_the_service_takes_them() {
        let rules = json!({"Rules": [
            {"Status": "Enabled", "Prefix": "a", "ObjectSizeGreaterThan": "5", "ExpirationInDays": 1,
             "Transition": {"StorageClass": "GLACIER", "TransitionInDays": "30"}},
            {"Status": "Enabled", "ObjectSizeLessThan": 7, "NoncurrentVersionExpirationInDays": 2},
        ]});
        assert_eq!(
            value_of("LifecycleConfiguration", &rules)["Rules"],
            json!([
                {"Status": "Enabled", "Filter": {"And": {"Prefix": "a", "ObjectSizeGreaterThan": 5}},
                 "Expiration": {"Days": 1}, "Transitions": [{"StorageClass": "GLACIER", "Days": 30}]},
                {"Status": "Enabled", "Filter": {"ObjectSizeLessThan": 7},
                 "NoncurrentVersionExpiration": {"NoncurrentDays": 2}},
            ])
        );
        let website = json!({
            "IndexDocument": "i", "ErrorDocument": "e",
            "RoutingRules": [{
                "RedirectRule": {"ReplaceKeyWith": "x", "HttpRedirectCode": 302},
                "RoutingRuleCondition": {"HttpErrorCodeReturnedEquals": "404"},
            }],
        });
        assert_eq!(
            value_of("WebsiteConfiguration", &website),
            json!({
                "IndexDocument": {"Suffix": "i"}, "ErrorDocument": {"Key": "e"},
                "RoutingRules": [{
                    "Redirect": {"ReplaceKeyWith": "x", "HttpRedirectCode": "302"},
                    "Condition": {"HttpErrorCodeReturnedEquals": "404"},
                }],
            })
        );
        let encryption = json!({"ServerSideEncryptionConfiguration": [{"BucketKeyEnabled": true}]});
        let rule = &value_of("BucketEncryption", &encryption)["Rules"][0];
        assert_eq!(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
        let bridge = |enabled: Value| {
            let value = json!({"EventBridgeConfiguration": {"EventBridgeEnabled": enabled}});
            value_of("NotificationConfiguration", &value).get("EventBridgeConfiguration").is_some()
        };
        assert_eq!((bridge(true.into()), bridge("false".into())), (true, false));
    }
}
