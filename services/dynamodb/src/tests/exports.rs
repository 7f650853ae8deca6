//! Exports into a bucket that only remembers.

use super::*;

static BUCKET_MODEL: ServiceModel = ServiceModel {
    name: "s3",
    protocol: Protocol::Json10,
    target: "",
    xmlns: "",
    operations: &[Operation::rpc("PutObject")],
    absent: &[],
};

/// Keeps what is put into the bucket `b`; there is no other.
#[derive(Default)]
struct Bucket(Mutex<BTreeMap<String, bytes::Bytes>>);

#[async_trait]
impl Service for Bucket {
    fn model(&self) -> &'static ServiceModel {
        &BUCKET_MODEL
    }

    async fn call(&self, call: Call) -> Result<Answer, ApiError> {
        if call.input["Bucket"] != "b" {
            return Err(ApiError::new(404, "NoSuchBucket", "The specified bucket does not exist"));
        }
        let key = call.input["Key"].as_str().unwrap().to_owned();
        self.0.lock().unwrap().insert(key, call.payload);
        Ok(Answer::empty())
    }
}

struct Everybody;

#[async_trait]
impl Authorizer for Everybody {
    async fn authorize(&self, _: &Caller, _: &str, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
}

async fn exported(bench: &Bench, arn: &Value) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let shown = bench.ok("DescribeExport", json!({"ExportArn": arn})).await["ExportDescription"].clone();
        if shown["ExportStatus"] != "IN_PROGRESS" {
            return shown;
        }
        assert!(std::time::Instant::now() < deadline, "the export never ended");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// The summary of an export, and its lines.
fn written(bucket: &Bucket, shown: &Value) -> (Value, String) {
    let files = bucket.0.lock().unwrap().clone();
    let summary: Value = serde_json::from_slice(&files[shown["ExportManifest"].as_str().unwrap()]).unwrap();
    let manifest = std::str::from_utf8(&files[summary["manifestFilesS3Key"].as_str().unwrap()]).unwrap();
    let file: Value = serde_json::from_str(manifest.trim()).unwrap();
    let packed = &files[file["dataFileS3Key"].as_str().unwrap()];
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed[..]), &mut text).unwrap();
    (summary, text)
}

/// What changed between two times: once for each item, as it was before and after.
#[tokio::test]
async fn changes_are_exported() {
    const MINUTE_MS: u64 = 60_000;
    let bucket = Arc::new(Bucket::default());
    let client = Client::default();
    let clock = Arc::new(Hand(AtomicU64::new(NOW_MS)));
    client.connect(Registry::default().with(bucket.clone()), Arc::new(Everybody), clock);
    let bench = Bench::with(Arc::new(MemoryStore::new()), client);
    bench.table("tbl", json!({})).await;
    let on = json!({"TableName": "tbl", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}});
    bench.ok("UpdateContinuousBackups", on).await;
    let put =
        |pk: &str, v: &str| json!({"TableName": "tbl", "Item": {"pk": {"S": pk}, "sk": {"N": "1"}, "v": {"S": v}}});
    let gone = |pk: &str| json!({"TableName": "tbl", "Key": {"pk": {"S": pk}, "sk": {"N": "1"}}});
    for pk in ["stays", "changes", "goes", "later"] {
        bench.ok("PutItem", put(pk, "old")).await;
    }
    bench.clock.0.fetch_add(30 * MINUTE_MS, Ordering::SeqCst);
    let from_ms = bench.clock.0.load(Ordering::SeqCst);
    bench.ok("PutItem", put("changes", "between")).await;
    bench.ok("PutItem", put("changes", "new")).await;
    bench.ok("PutItem", put("comes", "new")).await;
    bench.ok("PutItem", put("comes and goes", "new")).await;
    bench.ok("DeleteItem", gone("comes and goes")).await;
    bench.ok("DeleteItem", gone("goes")).await;
    bench.clock.0.fetch_add(20 * MINUTE_MS, Ordering::SeqCst);
    let to_ms = bench.clock.0.load(Ordering::SeqCst);
    // Beyond the window.
    for pk in ["changes", "comes", "goes", "later"] {
        bench.ok("PutItem", put(pk, "after")).await;
    }
    bench.clock.0.fetch_add(MINUTE_MS, Ordering::SeqCst);
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/tbl";
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let input = |view: &str, from_ms: u64, format: &str| {
        json!({"TableArn": arn, "S3Bucket": "b", "ExportType": "INCREMENTAL_EXPORT", "ExportFormat": format,
            "IncrementalExportSpecification":
                {"ExportFromTime": seconds(from_ms), "ExportToTime": seconds(to_ms), "ExportViewType": view}})
    };
    let export = async |input: Value| {
        let begun = bench.ok("ExportTableToPointInTime", input).await["ExportDescription"].clone();
        let shown = exported(&bench, &begun["ExportArn"]).await;
        assert_eq!(shown["ExportStatus"], "COMPLETED", "{shown}");
        bench.clock.0.fetch_add(1, Ordering::SeqCst);
        shown
    };
    let shown = export(input("NEW_AND_OLD_IMAGES", from_ms, "DYNAMODB_JSON")).await;
    assert_eq!((&shown["ExportType"], &shown["ItemCount"]), (&json!("INCREMENTAL_EXPORT"), &json!(3)));
    assert_eq!(shown["IncrementalExportSpecification"]["ExportViewType"], "NEW_AND_OLD_IMAGES");
    let (summary, text) = written(&bucket, &shown);
    assert_eq!((&summary["outputView"], &summary["version"]), (&json!("NEW_AND_OLD_IMAGES"), &json!("2023-08-01")));
    let record = |line: &str| -> (String, [Value; 2]) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["Metadata"]["WriteTimestampMicros"]["N"], (from_ms * 1000).to_string());
        assert_eq!(line["Keys"]["sk"]["N"], "1");
        let image = |name: &str| line.get(name).map_or(Value::Null, |image| image["v"]["S"].clone());
        (line["Keys"]["pk"]["S"].as_str().unwrap().to_owned(), [image("OldImage"), image("NewImage")])
    };
    let found: BTreeMap<_, _> = text.lines().map(record).collect();
    let expect = [
        ("changes", [json!("old"), json!("new")]),
        ("comes", [Value::Null, json!("new")]),
        ("goes", [json!("old"), Value::Null]),
    ];
    assert_eq!(found, expect.map(|(pk, images)| (pk.to_owned(), images)).into());

    let (_, text) = written(&bucket, &export(input("NEW_IMAGE", from_ms, "ION")).await);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| line.len());
    let stamp = from_ms * 1000;
    let stamp = stamp.to_string();
    let digits = stamp.trim_end_matches('0');
    let stamp = format!("{digits}d{}", stamp.len() - digits.len());
    assert_eq!(
        lines[0],
        format!("$ion_1_0 {{Record:{{Keys:{{pk:\"goes\",sk:1.}},Metadata:{{WriteTimestampMicros:{stamp}}}}}}}")
    );
    assert!(lines[1].ends_with(",NewImage:{pk:\"comes\",sk:1.,v:\"new\"}}}"), "{}", lines[1]);
    let (_, text) = written(&bucket, &export(json!({"TableArn": arn, "S3Bucket": "b", "ExportFormat": "ION"})).await);
    assert!(text.contains("$ion_1_0 {Item:{pk:\"stays\",sk:1.,v:\"old\"}}\n"), "{text}");

    for (input, code) in [
        (input("NEW_IMAGE", to_ms - 14 * MINUTE_MS, "ION"), "ValidationException"),
        (input("NEW_IMAGE", NOW_MS - 1, "ION"), "InvalidExportTimeException"),
        (input("BOTH", from_ms, "ION"), "ValidationException"),
        (input("NEW_IMAGE", to_ms + 1, "ION"), "InvalidExportTimeException"),
    ] {
        assert_eq!(bench.call("ExportTableToPointInTime", input.clone()).await.unwrap_err().code, code, "{input}");
    }
}

#[tokio::test]
async fn a_table_is_exported_as_it_was() {
    let bucket = Arc::new(Bucket::default());
    let client = Client::default();
    let clock = Arc::new(Hand(AtomicU64::new(NOW_MS)));
    client.connect(Registry::default().with(bucket.clone()), Arc::new(Everybody), clock);
    let bench = Bench::with(Arc::new(MemoryStore::new()), client);
    bench.table("tbl", json!({})).await;
    let arn = "arn:aws:dynamodb:us-east-1:000000000000:table/tbl";
    let input = json!({"TableArn": arn, "S3Bucket": "b", "S3Prefix": "out"});
    let refused = bench.call("ExportTableToPointInTime", input.clone()).await.unwrap_err();
    assert_eq!(refused.code, "PointInTimeRecoveryUnavailableException");
    let on = json!({"TableName": "tbl", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true}});
    bench.ok("UpdateContinuousBackups", on).await;
    let item = |pk: &str, v: &str| json!({"pk": {"S": pk}, "sk": {"N": "1"}, "v": {"S": v}});
    let large = "x".repeat(100_000);
    for (pk, v) in [("stays", "1"), ("changes", "old"), ("goes", large.as_str())] {
        bench.ok("PutItem", json!({"TableName": "tbl", "Item": item(pk, v)})).await;
    }
    bench.clock.0.fetch_add(1000, Ordering::SeqCst);
    let at = (NOW_MS + 500) as f64 / 1000.0;
    bench.ok("PutItem", json!({"TableName": "tbl", "Item": item("changes", "new")})).await;
    bench.ok("PutItem", json!({"TableName": "tbl", "Item": item("changes", "newer")})).await;
    bench.ok("PutItem", json!({"TableName": "tbl", "Item": item("comes", "1")})).await;
    bench.ok("DeleteItem", json!({"TableName": "tbl", "Key": {"pk": {"S": "goes"}, "sk": {"N": "1"}}})).await;

    let mut timed = input.clone();
    timed["ExportTime"] = json!(at);
    timed["ClientToken"] = json!("once");
    let begun = bench.ok("ExportTableToPointInTime", timed.clone()).await["ExportDescription"].clone();
    let shown = exported(&bench, &begun["ExportArn"]).await;
    assert_eq!((&shown["ExportStatus"], &shown["ItemCount"]), (&json!("COMPLETED"), &json!(3)), "{shown}");
    let again = bench.ok("ExportTableToPointInTime", timed.clone()).await["ExportDescription"].clone();
    assert_eq!(again["ExportArn"], begun["ExportArn"]);
    timed["S3Prefix"] = json!("elsewhere");
    let conflict = bench.call("ExportTableToPointInTime", timed).await.unwrap_err();
    assert_eq!(conflict.code, "ExportConflictException");

    let (_, text) = written(&bucket, &shown);
    let items: BTreeMap<String, String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["Item"].clone())
        .map(|item| (item["pk"]["S"].as_str().unwrap().to_owned(), item["v"]["S"].as_str().unwrap().to_owned()))
        .collect();
    let expect = [("changes", "old"), ("goes", large.as_str()), ("stays", "1")];
    assert_eq!(items, expect.map(|(pk, v)| (pk.to_owned(), v.to_owned())).into());

    // Exports are listed in the order of their times.
    bench.clock.0.fetch_add(1, Ordering::SeqCst);
    let lost = bench.ok("ExportTableToPointInTime", json!({"TableArn": arn, "S3Bucket": "none"})).await;
    let shown = exported(&bench, &lost["ExportDescription"]["ExportArn"]).await;
    assert_eq!((&shown["ExportStatus"], &shown["FailureCode"]), (&json!("FAILED"), &json!("S3NoSuchBucket")));
    let listed = bench.ok("ListExports", json!({"TableArn": arn, "MaxResults": 1})).await;
    assert_eq!(listed["ExportSummaries"].as_array().unwrap().len(), 1);
    let rest = bench.ok("ListExports", json!({"NextToken": listed["NextToken"]})).await;
    assert_eq!(rest["ExportSummaries"][0]["ExportStatus"], "FAILED");
    for (input, code) in [
        (json!({"TableArn": format!("{arn}x"), "S3Bucket": "b"}), "TableNotFoundException"),
        (json!({"TableArn": arn, "S3Bucket": "b", "ExportTime": 1}), "InvalidExportTimeException"),
        (json!({"TableArn": arn, "S3Bucket": "b", "ExportFormat": "CSV"}), "ValidationException"),
        (json!({"TableArn": arn, "S3Bucket": "b", "ExportType": "INCREMENTAL_EXPORT"}), "ValidationException"),
        (json!({"TableArn": arn, "S3Bucket": "b", "IncrementalExportSpecification": {}}), "ValidationException"),
        (json!({"TableArn": arn}), "ValidationException"),
    ] {
        assert_eq!(bench.call("ExportTableToPointInTime", input.clone()).await.unwrap_err().code, code, "{input}");
    }
    let unknown = bench.call("DescribeExport", json!({"ExportArn": format!("{arn}/export/1")})).await.unwrap_err();
    assert_eq!(unknown.code, "ExportNotFoundException");
}
