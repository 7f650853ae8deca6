//! The operations with a clock of the test's own: what lifecycle rules delete, what is billed, what other services call.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cumulet_base::clock::Clock;
use cumulet_base::limits;
use cumulet_blobs::Blobs;
use cumulet_delivery::Delivery;
use cumulet_engine::record::{Usage, UsageSink};
use cumulet_store_memory::MemoryStore;
use cumulet_wire::auth::{Authorizer, Caller, Credential, Credentials, Principal};
use cumulet_wire::call::Answer;
use cumulet_wire::client::Client;
use cumulet_wire::error::ApiError;
use cumulet_wire::operation::Registry;
use s3s::dto::{CompleteMultipartUploadInput, CompletedMultipartUpload, CompletedPart};
use serde_json::{Value, json};

use crate::access::{SESSION, Session};
use crate::model::{Attributes, Marks, Part, Upload};
use crate::operations::multipart;
use crate::{Ports, S3, face, lifecycle, measure};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct OwnerOnly;

#[async_trait]
impl Authorizer for OwnerOnly {
    async fn authorize(&self, caller: &Caller, action: &str, _resource: &str) -> Result<(), ApiError> {
        let is_owner = caller.kind == Principal::Owner;
        is_owner.then_some(()).ok_or_else(|| ApiError::new(403, "AccessDeniedException", action))
    }
}

#[async_trait]
impl Credentials for OwnerOnly {
    async fn find(&self, _id: &str, _token: Option<&str>) -> Result<Option<Credential>, ApiError> {
        Ok(None)
    }
}

#[derive(Default)]
struct Bill(Mutex<BTreeMap<&'static str, u64>>);

impl UsageSink for Bill {
    fn used(&self, usage: Usage) {
        *self.0.lock().unwrap().entry(usage.unit).or_default() += usage.quantity_micro;
    }
}

struct World {
    s3: S3,
    clock: Arc<HandClock>,
    bill: Arc<Bill>,
    client: Client,
    caller: Caller,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        // Noon, so that midnight is not now.
        let clock = Arc::new(HandClock(AtomicU64::new(20_000 * DAY_MS + DAY_MS / 2)));
        let bill = Arc::new(Bill::default());
        let client = Client::default();
        let s3 = S3::new(Ports {
            store: store.clone(),
            blobs: Arc::new(Blobs::local(folder.path()).unwrap()),
            credentials: Arc::new(OwnerOnly),
            authorizer: Arc::new(OwnerOnly),
            clock: clock.clone(),
            delivery: Delivery::new(store, clock.clone()),
            client: client.clone(),
            usage: bill.clone(),
        });
        client.connect(Registry::default().with(s3.face()), Arc::new(OwnerOnly), clock.clone());
        World { s3, clock, bill, client, caller: Caller::owner("0"), _folder: folder }
    }

    async fn try_call(&self, operation: &str, input: Value, payload: &'static [u8]) -> Result<Answer, ApiError> {
        let payload = Bytes::from_static(payload);
        self.client.call(&self.caller, "us-east-1", "s3", operation, input, payload).await
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        self.try_call(operation, input, b"").await.unwrap().output
    }

    async fn put(&self, key: &str, payload: &'static [u8]) -> Value {
        self.try_call("PutObject", json!({"Bucket": "b-b-b", "Key": key}), payload).await.unwrap().output
    }

    async fn keys(&self) -> Vec<String> {
        let listed = self.call("ListObjectsV2", json!({"Bucket": "b-b-b"})).await;
        listed["Contents"].as_array().unwrap().iter().map(|one| one["Key"].as_str().unwrap().to_owned()).collect()
    }

    fn pass(&self, days: u64) {
        self.clock.0.fetch_add(days * DAY_MS, Ordering::SeqCst);
    }

    async fn versions(&self) -> Vec<(String, bool)> {
        let (listed, _) = self.s3.objects.storage.versions("b-b-b", "", b"", None, 100).await.unwrap();
        listed.into_iter().map(|one| (one.key, one.object.version.is_marker)).collect()
    }
}

#[tokio::test]
async fn other_services_reach_what_they_need() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    let put = world.put("k", b"content").await;
    let got = world.try_call("GetObject", json!({"Bucket": "b-b-b", "Key": "k"}), b"").await.unwrap();
    assert_eq!(got.payload.as_deref(), Some(&b"content"[..]));
    assert_eq!((&got.output["ETag"], &got.output["ContentLength"]), (&put["ETag"], &json!(7)));
    for (operation, member, value) in [
        ("PutBucketVersioning", "VersioningConfiguration", json!({"Status": "Enabled"})),
        ("PutBucketTagging", "Tagging", json!({"TagSet": [{"Key": "a", "Value": "b"}]})),
        (
            "PutBucketCors",
            "CORSConfiguration",
            json!({"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAgeSeconds": 3, "ID": "x"}]}),
        ),
        (
            "PutBucketLifecycleConfiguration",
            "LifecycleConfiguration",
            json!({"Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}),
        ),
        ("PutBucketWebsite", "WebsiteConfiguration", json!({"IndexDocument": {"Suffix": "index.html"}})),
        (
            "PutBucketEncryption",
            "ServerSideEncryptionConfiguration",
            json!({"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}),
        ),
        ("PutBucketOwnershipControls", "OwnershipControls", json!({"Rules": [{"ObjectOwnership": "ObjectWriter"}]})),
        ("PutPublicAccessBlock", "PublicAccessBlockConfiguration", json!({"BlockPublicAcls": true})),
        ("PutBucketNotificationConfiguration", "NotificationConfiguration", json!({"EventBridgeConfiguration": {}})),
        (
            "PutBucketPolicy",
            "Policy",
            json!({"Statement": [{"Effect": "Allow", "Principal": {"AWS": "0"}, "Action": "s3:*", "Resource": "arn:aws:s3:::b-b-b/*"}]}),
        ),
    ] {
        let done = world.try_call(operation, json!({"Bucket": "b-b-b", member: value}), b"").await;
        assert!(done.is_ok(), "{operation}: {done:?}");
    }
    assert_eq!(world.call("GetBucketVersioning", json!({"Bucket": "b-b-b"})).await, json!({"Status": "Enabled"}));
    let nobody = Caller::service("0", "lambda.amazonaws.com", "arn:aws:lambda:us-east-1:0:function:f");
    let input = json!({"Bucket": "b-b-b", "Key": "k"});
    let refused = world.client.call(&nobody, "us-east-1", "s3", "GetObject", input, Bytes::new()).await;
    assert_eq!(refused.unwrap_err().code, "AccessDenied");
    let missing = world.try_call("GetObject", json!({"Bucket": "b-b-b", "Key": "none"}), b"").await.unwrap_err();
    assert_eq!((missing.code.as_str(), missing.status), ("NoSuchKey", 404));
    let missing = world.try_call("HeadBucket", json!({"Bucket": "c-c-c"}), b"").await.unwrap_err();
    assert_eq!((missing.code.as_str(), missing.status), ("NoSuchBucket", 404));
}

async fn rules(world: &World, rule: Value) {
    let mut rule = rule;
    rule["Status"] = "Enabled".into();
    let input = json!({"Bucket": "b-b-b", "LifecycleConfiguration": {"Rules": [rule]}});
    world.call("PutBucketLifecycleConfiguration", input).await;
}

#[tokio::test]
async fn objects_expire_at_the_midnight_after_their_days() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    rules(
        &world,
        json!({"Filter": {"And": {"Prefix": "tmp/", "ObjectSizeGreaterThan": 2}}, "Expiration": {"Days": 2}}),
    )
    .await;
    for key in ["tmp/large", "kept"] {
        world.put(key, b"12345").await;
    }
    world.put("tmp/small", b"1").await;
    world.pass(2);
    assert_eq!(lifecycle::run(&world.s3.objects).await.unwrap(), 0, "midnight is to come");
    world.pass(1);
    assert_eq!(lifecycle::run(&world.s3.objects).await.unwrap(), 1);
    assert_eq!(world.keys().await, ["kept", "tmp/small"]);
}

#[tokio::test]
async fn old_versions_and_lonely_markers_go() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    world
        .call("PutBucketVersioning", json!({"Bucket": "b-b-b", "VersioningConfiguration": {"Status": "Enabled"}}))
        .await;
    for _ in 0..4 {
        world.put("k", b"x").await;
    }
    rules(
        &world,
        json!({"Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}}),
    )
    .await;
    world.pass(3);
    assert_eq!(lifecycle::run(&world.s3.objects).await.unwrap(), 2, "one of three is spared");
    rules(
        &world,
        json!({"Filter": {}, "Expiration": {"Days": 1}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}),
    )
    .await;
    lifecycle::run(&world.s3.objects).await.unwrap();
    assert_eq!(world.versions().await, [("k".to_owned(), true), ("k".to_owned(), false)]);
    world.pass(3);
    lifecycle::run(&world.s3.objects).await.unwrap();
    lifecycle::run(&world.s3.objects).await.unwrap();
    assert_eq!(world.versions().await, []);
}

/// Transitions change the class that is shown; archives are not gone to, so that everything can be read as before.
#[tokio::test]
async fn objects_move_to_the_class_of_the_last_transition_that_is_due() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    rules(
        &world,
        json!({"Filter": {"Prefix": ""}, "Transitions": [
            {"Days": 30, "StorageClass": "STANDARD_IA"},
            {"Days": 60, "StorageClass": "GLACIER_IR"},
            {"Days": 90, "StorageClass": "DEEP_ARCHIVE"},
        ]}),
    )
    .await;
    world.put("large", &[7; 200_000]).await;
    world.put("small", b"1").await;
    let class = async |key: &str| {
        let found = world.s3.objects.storage.object("b-b-b", key, None).await.unwrap();
        found.object.storage_class().map(str::to_owned)
    };
    for (days, moved, expected) in
        [(20, 0, None), (11, 1, Some("STANDARD_IA")), (30, 1, Some("GLACIER_IR")), (40, 0, Some("GLACIER_IR"))]
    {
        world.pass(days);
        assert_eq!(lifecycle::run(&world.s3.objects).await.unwrap(), moved, "{days} more days");
        assert_eq!(class("large").await.as_deref(), expected);
    }
    assert_eq!(class("small").await, None, "too small for it to pay");
}

#[tokio::test]
async fn what_is_stored_and_asked_is_billed() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    world.put("a", &[7; 20_000]).await;
    world.put("b", b"12345").await;
    world.call("HeadObject", json!({"Bucket": "b-b-b", "Key": "a"})).await;
    measure::run(&world.s3.objects, 30 * 60 * 1000).await.unwrap();
    let bill = world.bill.0.lock().unwrap().clone();
    let expected = [("byte-hours", 20_005 * 500_000), ("get-requests", 1_000_000), ("put-requests", 2_000_000)];
    assert_eq!(bill.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn rules_by_date_tag_and_size() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    let tagged = json!({"Bucket": "b-b-b", "Key": "tagged", "Tagging": "a=b&c=d"});
    world.try_call("PutObject", tagged, b"1234567").await.unwrap();
    for (key, payload) in [("small", &b"1"[..]), ("middling", b"12345"), ("large", b"1234567890")] {
        world.put(key, payload).await;
    }
    let run = async || lifecycle::run(&world.s3.objects).await.unwrap();
    // Days pass with tags that are not all there.
    let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
    rules(&world, json!({"Filter": {"And": {"Tags": [tag("a", "b"), tag("c", "other")]}}, "Expiration": {"Days": 1}}))
        .await;
    world.pass(3);
    assert_eq!(run().await, 0);
    rules(&world, json!({"Filter": {"And": {"Tags": [tag("a", "b"), tag("c", "d")]}}, "Expiration": {"Days": 1}}))
        .await;
    assert_eq!(run().await, 1);
    assert_eq!(world.keys().await, ["large", "middling", "small"]);
    // Both bounds are left out of what is between them.
    let between = json!({"And": {"ObjectSizeGreaterThan": 1, "ObjectSizeLessThan": 10}});
    rules(&world, json!({"Filter": between, "Expiration": {"Days": 1}})).await;
    assert_eq!(run().await, 1);
    assert_eq!(world.keys().await, ["large", "small"]);
    // A date is a moment: that of the day after tomorrow.
    let date = |days: u64| {
        let s = i64::try_from((world.clock.now_ms() / DAY_MS + days) * DAY_MS / 1000).unwrap();
        let date = time::OffsetDateTime::from_unix_timestamp(s).unwrap();
        date.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    rules(&world, json!({"Filter": {"ObjectSizeLessThan": 5}, "Expiration": {"Date": date(2)}})).await;
    world.pass(1);
    assert_eq!(run().await, 0);
    world.pass(1);
    assert_eq!(run().await, 1);
    assert_eq!(world.keys().await, ["large"]);
    assert_eq!(run().await, 0);
}

#[tokio::test]
async fn uploads_that_are_not_completed_are_aborted() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    let storage = &world.s3.objects.storage;
    let under_way = || upload(world.clock.now_ms());
    let old = storage.create_upload("b-b-b", "tmp/old", &under_way()).await.unwrap();
    let name = storage.new_blob("b-b-b", Some(&old));
    let mut writer = storage.blobs.create(&name);
    writer.write("part".into()).await.unwrap();
    writer.finish().await.unwrap();
    storage.put_part("b-b-b", "tmp/old", &old, 1, &part(&name, 4)).await.unwrap();
    storage.create_upload("b-b-b", "kept", &under_way()).await.unwrap();
    rules(&world, json!({"Filter": {"Prefix": "tmp/"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}))
        .await;
    world.pass(2);
    storage.create_upload("b-b-b", "tmp/young", &under_way()).await.unwrap();
    world.pass(1);
    assert_eq!(lifecycle::run(&world.s3.objects).await.unwrap(), 1);
    let left: Vec<String> = storage.uploads("b-b-b", ("", "")).await.unwrap().into_iter().map(|one| one.0).collect();
    assert_eq!(left, ["kept", "tmp/young"]);
    assert!(storage.blobs.read(&name, 0..4).await.is_err(), "its parts went with it");
}

fn upload(initiated_ms: u64) -> Upload {
    Upload {
        initiated_ms,
        attributes: Attributes::default(),
        marks: Marks::default(),
        algorithm: "CRC64NVME".to_owned(),
        is_composite: false,
        is_implied: true,
    }
}

fn part(blob: &str, size: u64) -> Part {
    Part { blob: blob.to_owned(), size, etag: hex::encode([7; 16]), modified_ms: 1, sum: None }
}

/// As many parts as there may be, without the fifty gigabytes that they would be.
#[tokio::test]
async fn ten_thousand_parts_become_one_object_and_go_with_it() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    let storage = &world.s3.objects.storage;
    let id = storage.create_upload("b-b-b", "k", &upload(1)).await.unwrap();
    let count = u64::try_from(limits::OBJECT_PARTS_MAX).unwrap();
    for number in 1..=count {
        let name = storage.new_blob("b-b-b", Some(&id));
        storage.put_part("b-b-b", "k", &id, number, &part(&name, limits::OBJECT_PART_BYTES_MIN)).await.unwrap();
    }
    let tag = || Some(s3s::dto::ETag::Strong(hex::encode([7; 16])));
    let one = |number| CompletedPart { part_number: Some(number), e_tag: tag(), ..Default::default() };
    let parts = (1..=limits::OBJECT_PARTS_MAX).map(one).collect();
    let input = CompleteMultipartUploadInput {
        bucket: "b-b-b".to_owned(),
        key: "k".to_owned(),
        upload_id: id.clone(),
        multipart_upload: Some(CompletedMultipartUpload { parts: Some(parts) }),
        ..Default::default()
    };
    let session = Session::inside(&cumulet_wire::call::Context {
        caller: world.caller.clone(),
        region: "us-east-1".to_owned(),
        request_id: "0".to_owned(),
        host: "localhost".to_owned(),
        now_ms: 1_795_428_930_123,
        trace: None,
    });
    let made = multipart::complete(&world.s3.objects, face::request(input));
    let made = SESSION.scope(session, made).await.unwrap().output;
    assert!(made.e_tag.unwrap().value().ends_with("-10000"));
    let head = world.call("HeadObject", json!({"Bucket": "b-b-b", "Key": "k"})).await;
    assert_eq!(head["ContentLength"], count * limits::OBJECT_PART_BYTES_MIN);
    assert_eq!(storage.parts("b-b-b", &id, 0, u32::MAX).await.unwrap().len(), 10_000);
    world.call("DeleteObject", json!({"Bucket": "b-b-b", "Key": "k"})).await;
    assert_eq!(storage.parts("b-b-b", &id, 0, u32::MAX).await.unwrap().len(), 0);
}

/// A write that always meets another one gives up, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn writes_that_never_meet_a_quiet_moment_are_aborted() {
    let world = World::new();
    world.call("CreateBucket", json!({"Bucket": "b-b-b"})).await;
    let storage = world.s3.objects.storage.clone();
    let runtime = tokio::runtime::Handle::current();
    let meanwhile = |_: &mut crate::model::Bucket| {
        let other = storage.amend_bucket("b-b-b", None, |_| Ok(()));
        tokio::task::block_in_place(|| runtime.block_on(other)).map(drop)
    };
    let refused = storage.amend_bucket("b-b-b", None, meanwhile).await.unwrap_err();
    assert_eq!(refused.code().as_str(), "OperationAborted");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::new();
    let storage = &world.s3.objects.storage;
    let name = storage.new_blob("b-b-b", None);
    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let body = s3s::dto::StreamingBlob::wrap(never);
    let received = crate::content::receive(storage, Some(body), &Default::default(), "CRC32", &name, true).await;
    assert_eq!(received.err().unwrap().code().as_str(), "RequestTimeout");
}
