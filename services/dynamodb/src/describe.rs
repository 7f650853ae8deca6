//! Tables, indexes, streams and backups as AWS describes them.

use serde_json::{Map, Value as Json, json};

use crate::model::{Backup, Index, IndexStatus, KeySchema, Projection, Status, Table, Throughput};
use crate::tables::Live;

/// Seconds with milliseconds, as times are on the wire.
pub fn seconds(ms: u64) -> Json {
    json!(ms as f64 / 1000.0)
}

pub fn key_schema(schema: &KeySchema) -> Json {
    let mut list = vec![json!({"AttributeName": schema.hash.name, "KeyType": "HASH"})];
    list.extend(schema.range.iter().map(|range| json!({"AttributeName": range.name, "KeyType": "RANGE"})));
    list.into()
}

pub fn projection(projection: &Projection) -> Json {
    match projection {
        Projection::All => json!({"ProjectionType": "ALL"}),
        Projection::KeysOnly => json!({"ProjectionType": "KEYS_ONLY"}),
        Projection::Include(names) => json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": names}),
    }
}

pub fn throughput(throughput: &Throughput) -> Json {
    let mut members = Map::new();
    if let Some(ms) = throughput.increased_ms {
        members.insert("LastIncreaseDateTime".into(), seconds(ms));
    }
    if let Some(ms) = throughput.decreased_ms {
        members.insert("LastDecreaseDateTime".into(), seconds(ms));
    }
    members.insert("NumberOfDecreasesToday".into(), json!(throughput.decreases));
    members.insert("ReadCapacityUnits".into(), json!(throughput.read));
    members.insert("WriteCapacityUnits".into(), json!(throughput.write));
    members.into()
}

fn attribute_definitions(table: &Table) -> Json {
    let mut seen = std::collections::BTreeMap::new();
    let schemas = std::iter::once(&table.key).chain(table.indexes.iter().map(|index| &index.key));
    for attribute in schemas.flat_map(KeySchema::attributes) {
        seen.insert(&attribute.name, attribute.kind);
    }
    seen.iter().map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind.name()})).collect()
}

fn index(live: &Live, index: &Index) -> Json {
    let table = &live.table;
    let (items, bytes) = live.runtime.index_counts(index.id);
    let mut members = Map::new();
    members.insert("IndexName".into(), json!(index.name));
    members.insert("KeySchema".into(), key_schema(&index.key));
    members.insert("Projection".into(), projection(&index.projection));
    members.insert("IndexSizeBytes".into(), json!(bytes));
    members.insert("ItemCount".into(), json!(items));
    members.insert("IndexArn".into(), json!(format!("{}/index/{}", table.place.arn(), index.name)));
    if index.is_global {
        let is_creating = index.status == IndexStatus::Creating;
        let status = if is_creating || table.status == Status::Creating { "CREATING" } else { "ACTIVE" };
        members.insert("IndexStatus".into(), json!(status));
        if is_creating {
            members.insert("Backfilling".into(), json!(true));
        }
        members.insert("ProvisionedThroughput".into(), throughput(&index.throughput.unwrap_or_default()));
    }
    members.into()
}

fn status(table: &Table) -> &'static str {
    match table.status {
        Status::Creating => "CREATING",
        Status::Deleting => "DELETING",
        Status::Active if table.indexes.iter().any(|index| index.status == IndexStatus::Creating) => "UPDATING",
        Status::Active => "ACTIVE",
    }
}

/// `TableDescription`, with the status as it is; an answer to a change may say what is under way instead.
pub fn table(live: &Live, told_status: Option<&str>) -> Json {
    let table = &live.table;
    let counts = live.runtime.counts();
    let mut members = Map::new();
    let mut put = |name: &str, value: Json| {
        members.insert(name.to_owned(), value);
    };
    put("AttributeDefinitions", attribute_definitions(table));
    put("TableName", json!(table.place.name));
    put("KeySchema", key_schema(&table.key));
    put("TableStatus", json!(told_status.unwrap_or_else(|| status(table))));
    put("CreationDateTime", seconds(table.created_ms));
    put("ProvisionedThroughput", throughput(&table.throughput));
    put("TableSizeBytes", json!(counts.bytes));
    put("ItemCount", json!(counts.items));
    put("TableArn", json!(table.place.arn()));
    put("TableId", json!(table.id));
    if let Some(ms) = table.on_demand_since_ms {
        let mode = if table.is_provisioned { "PROVISIONED" } else { "PAY_PER_REQUEST" };
        put("BillingModeSummary", json!({"BillingMode": mode, "LastUpdateToPayPerRequestDateTime": seconds(ms)}));
    }
    for (member, is_global) in [("LocalSecondaryIndexes", false), ("GlobalSecondaryIndexes", true)] {
        let of_kind = table.indexes.iter().filter(|index| index.is_global == is_global);
        let list: Vec<Json> = of_kind.map(|one| index(live, one)).collect();
        if !list.is_empty() {
            put(member, list.into());
        }
    }
    if let Some(stream) = &table.stream {
        put("StreamSpecification", json!({"StreamEnabled": true, "StreamViewType": stream.view.name()}));
    }
    if let Some(label) = &table.last_stream {
        put("LatestStreamLabel", json!(label));
        put("LatestStreamArn", json!(format!("{}/stream/{label}", table.place.arn())));
    }
    if let Some(key) = &table.kms_key {
        put("SSEDescription", json!({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}));
    }
    if let Some(class) = &table.class {
        let mut summary = json!({"TableClass": class});
        if let Some(ms) = table.class_since_ms {
            summary["LastUpdateDateTime"] = seconds(ms);
        }
        put("TableClassSummary", summary);
    }
    if let Some(restore) = &table.restore {
        let mut summary = json!({
            "SourceTableArn": restore.source.arn(),
            "RestoreDateTime": seconds(restore.at_ms),
            "RestoreInProgress": restore.is_running,
        });
        if let Some(arn) = &restore.backup_arn {
            summary["SourceBackupArn"] = json!(arn);
        }
        put("RestoreSummary", summary);
    }
    put("DeletionProtectionEnabled", json!(table.is_protected));
    members.into()
}

fn backup_details(backup: &Backup) -> Json {
    json!({
        "BackupArn": backup.arn,
        "BackupName": backup.name,
        "BackupSizeBytes": backup.bytes,
        "BackupStatus": if backup.is_ready { "AVAILABLE" } else { "CREATING" },
        "BackupType": "USER",
        "BackupCreationDateTime": seconds(backup.created_ms),
    })
}

pub fn backup_creation(backup: &Backup) -> Json {
    backup_details(backup)
}

pub fn backup_summary(backup: &Backup) -> Json {
    let mut summary = backup_details(backup);
    summary["TableName"] = json!(backup.table.place.name);
    summary["TableId"] = json!(backup.table.id);
    summary["TableArn"] = json!(backup.table.place.arn());
    summary
}

pub fn backup(backup: &Backup) -> Json {
    let table = &backup.table;
    let indexes = |is_global: bool| -> Vec<Json> {
        let of_kind = table.indexes.iter().filter(|index| index.is_global == is_global);
        let one = |index: &Index| {
            let mut shown = json!({
                "IndexName": index.name,
                "KeySchema": key_schema(&index.key),
                "Projection": projection(&index.projection),
            });
            if let Some(of_index) = index.throughput.filter(|_| is_global) {
                shown["ProvisionedThroughput"] =
                    json!({"ReadCapacityUnits": of_index.read, "WriteCapacityUnits": of_index.write});
            }
            shown
        };
        of_kind.map(one).collect()
    };
    let mut features = Map::new();
    for (member, is_global) in [("LocalSecondaryIndexes", false), ("GlobalSecondaryIndexes", true)] {
        let list = indexes(is_global);
        if !list.is_empty() {
            features.insert(member.into(), list.into());
        }
    }
    if let Some(stream) = &table.stream {
        features
            .insert("StreamDescription".into(), json!({"StreamEnabled": true, "StreamViewType": stream.view.name()}));
    }
    if let Some(attribute) = &table.ttl {
        features
            .insert("TimeToLiveDescription".into(), json!({"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}));
    }
    json!({
        "BackupDetails": backup_details(backup),
        "SourceTableDetails": {
            "TableName": table.place.name,
            "TableId": table.id,
            "TableArn": table.place.arn(),
            "TableSizeBytes": backup.bytes,
            "ItemCount": backup.items,
            "KeySchema": key_schema(&table.key),
            "TableCreationDateTime": seconds(table.created_ms),
            "ProvisionedThroughput":
                {"ReadCapacityUnits": table.throughput.read, "WriteCapacityUnits": table.throughput.write},
            "BillingMode": if table.is_provisioned { "PROVISIONED" } else { "PAY_PER_REQUEST" },
        },
        "SourceTableFeatureDetails": features,
    })
}
