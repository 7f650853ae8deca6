//! What CreateTable, UpdateTable and the restores say of keys, indexes, capacity and streams, read and held against AWS's
//! rules (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html>).

use std::collections::{BTreeMap, BTreeSet};

use cumulet_base::{clock, id, limits};
use cumulet_wire::error::ApiError;
use serde_json::Value as Json;

use crate::errors;
use crate::input::{Input, check_name, missing};
use crate::model::{Index, IndexStatus, KeyAttribute, KeySchema, Place, Projection, Stream, Table, Throughput, View};
use crate::value::key::KeyType;

/// Parameters that would be without effect are refused, so that nobody relies on them.
pub fn check_built(input: &Input<'_>) -> Result<(), ApiError> {
    let absent = [
        ("GlobalTableSourceArn", "global tables"),
        ("GlobalTableSettingsReplicationMode", "global tables"),
        ("ReplicaUpdates", "global tables"),
        ("MultiRegionConsistency", "global tables"),
        ("GlobalTableWitnessUpdates", "global tables"),
        ("OnDemandThroughput", "OnDemandThroughput"),
        ("OnDemandThroughputOverride", "OnDemandThroughput"),
        ("WarmThroughput", "WarmThroughput"),
    ];
    match absent.iter().find(|(member, _)| input.has(member)) {
        Some((_, feature)) => Err(errors::not_built(feature)),
        None => Ok(()),
    }
}

pub type Attributes = BTreeMap<String, KeyType>;

const ATTRIBUTE_NAME_MAX: usize = 255;

pub fn attributes(input: &Input<'_>) -> Result<Attributes, ApiError> {
    let mut attributes = Attributes::new();
    for one in input.list("AttributeDefinitions")?.into_iter().flatten() {
        let one = Input(one);
        let name = one.required_text("AttributeName")?;
        let kind = one.one_of("AttributeType", &["B", "N", "S"])?.ok_or_else(|| missing("AttributeType"))?;
        if name.is_empty() || name.len() > ATTRIBUTE_NAME_MAX {
            return Err(errors::invalid("Attribute names must be between 1 and 255 characters long"));
        }
        let kind = KeyType::parse(kind).ok_or_else(|| missing("AttributeType"))?;
        if attributes.insert(name.to_owned(), kind).is_some() {
            return Err(errors::parameter(format!("Duplicate AttributeName in AttributeDefinitions: {name}")));
        }
    }
    Ok(attributes)
}

fn bracketed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    format!("[{}]", names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// `what` says whose keys they are, for the error.
pub fn key_schema(list: &[Json], attributes: &Attributes) -> Result<KeySchema, ApiError> {
    let mut elements = Vec::new();
    for one in list {
        let one = Input(one);
        let kind = one.one_of("KeyType", &["HASH", "RANGE"])?.ok_or_else(|| missing("KeyType"))?;
        elements.push((one.required_text("AttributeName")?.to_owned(), kind));
    }
    if elements.is_empty() || elements.len() > 2 {
        return Err(errors::invalid("Invalid KeySchema: Some index key attribute have no definition"));
    }
    if elements[0].1 != "HASH" {
        return Err(errors::invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"));
    }
    if elements.get(1).is_some_and(|(_, kind)| *kind != "RANGE") {
        return Err(errors::invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"));
    }
    if elements.len() == 2 && elements[0].0 == elements[1].0 {
        return Err(errors::invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name"));
    }
    let names: Vec<String> = elements.iter().map(|(name, _)| name.clone()).collect();
    let mut keys = elements.into_iter().map(|(name, _)| match attributes.get(&name) {
        Some(kind) => Ok(KeyAttribute { name, kind: *kind }),
        None => Err(errors::parameter(format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, AttributeDefinitions: {}",
            bracketed(&names),
            bracketed(attributes.keys())
        ))),
    });
    let hash = keys.next().ok_or_else(|| missing("KeySchema"))??;
    Ok(KeySchema { hash, range: keys.next().transpose()? })
}

/// Every definition is the key of something.
pub fn check_all_used(attributes: &Attributes, key: &KeySchema, indexes: &[Index]) -> Result<(), ApiError> {
    let schemas = std::iter::once(key).chain(indexes.iter().map(|index| &index.key));
    let used: BTreeSet<&String> = schemas.flat_map(KeySchema::attributes).map(|attribute| &attribute.name).collect();
    if attributes.keys().all(|name| used.contains(name)) {
        return Ok(());
    }
    if indexes.is_empty() {
        return Err(errors::parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    Err(errors::parameter(format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
        bracketed(attributes.keys()),
        bracketed(used)
    )))
}

pub fn projection(input: &Input<'_>) -> Result<Projection, ApiError> {
    let given = input.inner("Projection")?.ok_or_else(|| missing("Projection"))?;
    let names = given.list("NonKeyAttributes")?;
    let kind = given.text("ProjectionType")?;
    match (kind, names) {
        (Some(kind @ ("ALL" | "KEYS_ONLY")), Some(_)) => {
            Err(errors::parameter(format!("ProjectionType is {kind}, but NonKeyAttributes is specified")))
        }
        (Some("ALL"), None) => Ok(Projection::All),
        (Some("KEYS_ONLY"), None) => Ok(Projection::KeysOnly),
        (Some("INCLUDE"), Some(names)) if !names.is_empty() => {
            let name = |name: &Json| name.as_str().map(str::to_owned);
            let names: Option<Vec<String>> = names.iter().map(name).collect();
            names.map(Projection::Include).ok_or_else(|| ApiError::serialization("Unexpected field type"))
        }
        (Some("INCLUDE"), _) => {
            Err(errors::parameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"))
        }
        (kind, _) => Err(errors::parameter(format!("Unknown ProjectionType: {}", kind.unwrap_or("null")))),
    }
}

pub fn throughput(input: &Input<'_>) -> Result<Option<Throughput>, ApiError> {
    let Some(given) = input.inner("ProvisionedThroughput")? else { return Ok(None) };
    let units = |member: &str| -> Result<u64, ApiError> {
        let value = given.between(member, 1, i64::MAX)?.ok_or_else(|| missing(member))?;
        Ok(value as u64)
    };
    Ok(Some(Throughput {
        read: units("ReadCapacityUnits")?,
        write: units("WriteCapacityUnits")?,
        ..Throughput::default()
    }))
}

/// One index as CreateTable and UpdateTable describe it.
pub fn index(
    given: &Json,
    is_global: bool,
    attributes: &Attributes,
    table_key: &KeySchema,
    is_provisioned: bool,
) -> Result<Index, ApiError> {
    let input = Input(given);
    check_built(&input)?;
    let name = input.required_text("IndexName")?.to_owned();
    check_name("indexName", &name)?;
    let schema = input.list("KeySchema")?.ok_or_else(|| missing("KeySchema"))?;
    let key = key_schema(schema, attributes)?;
    if !is_global {
        if key.range.is_none() {
            return Err(errors::parameter(format!("Index KeySchema does not have a range key for index: {name}")));
        }
        if key.hash.name != table_key.hash.name {
            return Err(errors::parameter(format!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. index hash \
                 key: {}, table hash key: {}",
                key.hash.name, table_key.hash.name
            )));
        }
    }
    let throughput = throughput(&input)?;
    if is_global {
        match (is_provisioned, throughput.is_some()) {
            (true, false) => {
                return Err(errors::parameter(format!("ProvisionedThroughput is not specified for index: {name}")));
            }
            (false, true) => {
                return Err(errors::parameter(
                    "ProvisionedThroughput should not be specified for index when BillingMode is PAY_PER_REQUEST",
                ));
            }
            _ => {}
        }
    }
    let projection = projection(&input)?;
    Ok(Index { id: 0, name, is_global, key, projection, status: IndexStatus::Active, throughput })
}

/// Both kinds of indexes of a request, each with a number of its own.
pub fn indexes(
    input: &Input<'_>,
    members: (&str, &str),
    attributes: &Attributes,
    table_key: &KeySchema,
    is_provisioned: bool,
) -> Result<Vec<Index>, ApiError> {
    let mut found = Vec::new();
    for (member, is_global) in [(members.0, false), (members.1, true)] {
        let Some(list) = input.list(member)? else { continue };
        if list.is_empty() {
            return Err(errors::parameter(format!("List of {member} is empty")));
        }
        for one in list {
            if !is_global && table_key.range.is_none() {
                return Err(errors::parameter(
                    "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
                ));
            }
            found.push(index(one, is_global, attributes, table_key, is_provisioned)?);
        }
    }
    for (n, index) in found.iter_mut().enumerate() {
        index.id = n as u16;
    }
    check_indexes(&found)?;
    Ok(found)
}

/// Names and limits of the indexes of one table.
pub fn check_indexes(indexes: &[Index]) -> Result<(), ApiError> {
    let mut names = BTreeSet::new();
    for index in indexes {
        if !names.insert(&index.name) {
            return Err(errors::parameter(format!("Duplicate index name: {}", index.name)));
        }
    }
    let count = |is_global: bool| indexes.iter().filter(|index| index.is_global == is_global).count();
    if count(false) > limits::TABLE_LOCAL_INDEXES_MAX {
        return Err(errors::parameter("Number of LocalSecondaryIndexes exceeds per-table limit of 5"));
    }
    if count(true) > limits::TABLE_GLOBAL_INDEXES_MAX {
        return Err(errors::parameter("GlobalSecondaryIndex count exceeds the per-table limit of 20"));
    }
    let projected = indexes.iter().map(|index| match &index.projection {
        Projection::Include(names) => names.len(),
        _ => 0,
    });
    if projected.sum::<usize>() > limits::TABLE_PROJECTED_ATTRIBUTES_MAX {
        return Err(errors::parameter("Number of NonKeyAttributes exceeds per-table limit of 100"));
    }
    Ok(())
}

/// Billing mode and throughput, which go together. `None` for the mode is that of the past: provisioned.
pub fn billing(input: &Input<'_>) -> Result<(bool, Throughput), ApiError> {
    let mode = input.one_of("BillingMode", &["PROVISIONED", "PAY_PER_REQUEST"])?;
    match (mode, throughput(input)?) {
        (Some("PAY_PER_REQUEST"), Some(_)) => Err(errors::parameter(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (Some("PAY_PER_REQUEST"), None) => Ok((false, Throughput::default())),
        (_, Some(throughput)) => Ok((true, throughput)),
        (_, None) => Err(errors::parameter(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
    }
}

/// What `StreamSpecification` asks for: a view, or the end of the stream.
pub fn stream_view(input: &Input<'_>) -> Result<Option<Option<View>>, ApiError> {
    let Some(given) = input.inner("StreamSpecification")? else { return Ok(None) };
    let names = ["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"];
    let view = given.one_of("StreamViewType", &names)?.and_then(View::parse);
    match (given.truth("StreamEnabled")?.ok_or_else(|| missing("StreamEnabled"))?, view) {
        (true, Some(view)) => Ok(Some(Some(view))),
        (true, None) => Err(errors::parameter("StreamViewType is required when StreamEnabled is true")),
        (false, Some(_)) => Err(errors::parameter("StreamViewType may not be specified when StreamEnabled is false")),
        (false, None) => Ok(Some(None)),
    }
}

pub fn new_stream(table: &Table, view: View, now_ms: u64) -> Stream {
    let mut label = clock::iso_ms(now_ms);
    // AWS's labels have no zone.
    label.pop();
    Stream {
        v: 1,
        place: table.place.clone(),
        label,
        view,
        key: table.key.clone(),
        rows: new_rows(),
        table_rows: table.rows,
        created_ms: now_ms,
        ended_ms: None,
        trimmed: 0,
    }
}

/// A number for the rows of a table, stream or backup that no other has.
pub fn new_rows() -> u64 {
    u64::from_be_bytes(id::random())
}

/// The key that `SSESpecification` names, if it asks for one that is not AWS's own.
pub fn kms_key(input: &Input<'_>, place: &Place) -> Result<Option<Option<String>>, ApiError> {
    let Some(given) = input.inner("SSESpecification")? else { return Ok(None) };
    let kind = given.one_of("SSEType", &["AES256", "KMS"])?;
    if kind == Some("AES256") {
        return Err(errors::parameter("SSEType AES256 is not supported"));
    }
    let key = given.text("KMSMasterKeyId")?;
    if !given.is("Enabled")? {
        if key.is_some() {
            return Err(errors::parameter("KMSMasterKeyId may not be specified when SSE is disabled"));
        }
        return Ok(Some(None));
    }
    let default = format!("arn:aws:kms:{}:{}:alias/aws/dynamodb", place.region, place.account);
    Ok(Some(Some(key.map_or(default, str::to_owned))))
}

pub fn table_class(input: &Input<'_>) -> Result<Option<&'static str>, ApiError> {
    input.one_of("TableClass", &["STANDARD", "STANDARD_INFREQUENT_ACCESS"])
}

const TAGS_MAX: usize = 50;

/// `Tags`, a list of pairs.
pub fn tags(input: &Input<'_>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for tag in input.list("Tags")?.into_iter().flatten() {
        let tag = Input(tag);
        let (key, value) = (tag.required_text("Key")?, tag.required_text("Value")?);
        if key.is_empty() || key.chars().count() > 128 {
            return Err(errors::parameter("A tag key must be between 1 and 128 characters long"));
        }
        if key.starts_with("aws:") {
            return Err(errors::parameter("aws: is not allowed as the prefix of a tag key"));
        }
        if value.chars().count() > 256 {
            return Err(errors::parameter("A tag value must be at most 256 characters long"));
        }
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(errors::parameter(format!("Duplicate tag key: {key}")));
        }
    }
    check_tags(&tags)?;
    Ok(tags)
}

pub fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(errors::invalid("Too many tags: at most 50 are allowed on a resource"));
    }
    Ok(())
}
