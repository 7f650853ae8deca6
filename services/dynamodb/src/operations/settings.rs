//! Time to live, tags, limits and endpoints.

use std::sync::Arc;

use cumulet_base::limits as bounds;
use cumulet_wire::error::ApiError;
use serde_json::{Value as Json, json};

use super::Request;
use crate::errors;
use crate::input::{Input, missing, place_of, place_of_arn};
use crate::model::Place;
use crate::schema;
use crate::{Shared, jobs, keys};

pub async fn update_time_to_live(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let place = place_of(&request.call, input.required_text("TableName")?)?;
    let given = input.inner("TimeToLiveSpecification")?.ok_or_else(|| missing("TimeToLiveSpecification"))?;
    let attribute = given.required_text("AttributeName")?.to_owned();
    if attribute.is_empty() || attribute.len() > 255 {
        return Err(errors::invalid("The AttributeName of a TimeToLiveSpecification must be 1 to 255 characters long"));
    }
    let is_enabled = given.truth("Enabled")?.ok_or_else(|| missing("Enabled"))?;
    let _switching = shared.switching.lock().await;
    let live = shared.tables.load(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
    let rows = live.table.rows;
    if is_enabled {
        // Before the change, so that a stop between the two leaves only this behind.
        shared.storage().put_cursor(rows, jobs::EXPIRIES).await?;
    }
    shared
        .tables
        .update(&place, |table| {
            match (&table.ttl, is_enabled) {
                (Some(old), true) if *old == attribute => return Err(errors::invalid("TimeToLive is already enabled")),
                (Some(old), true) => {
                    return Err(errors::invalid(format!(
                        "TimeToLive is active on a different AttributeName: current AttributeName is {old}"
                    )));
                }
                (None, false) => return Err(errors::invalid("TimeToLive is already disabled")),
                (Some(old), false) if *old != attribute => {
                    return Err(errors::invalid(format!(
                        "TimeToLive is active on a different AttributeName: current AttributeName is {old}"
                    )));
                }
                _ => {}
            }
            table.ttl = is_enabled.then(|| attribute.clone());
            Ok(Vec::new())
        })
        .await?;
    if is_enabled {
        tokio::spawn(jobs::fill_expiries(shared.clone(), place, rows));
    } else {
        jobs::clear(shared.clone(), rows, keys::expiries(rows)).await;
    }
    Ok(json!({"TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": is_enabled}}))
}

pub async fn describe_time_to_live(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let place = place_of(&request.call, Input(&request.input).required_text("TableName")?)?;
    let live = shared.tables.find(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
    Ok(json!({"TimeToLiveDescription": match &live.table.ttl {
        Some(attribute) => json!({"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}),
        None => json!({"TimeToLiveStatus": "DISABLED"}),
    }}))
}

/// Tags are of tables; AWS answers for an ARN of another's as for one that is not there.
fn tagged(request: &Request) -> Result<Place, ApiError> {
    let arn = Input(&request.input).required_text("ResourceArn")?;
    let place = place_of_arn(arn)
        .ok_or_else(|| errors::invalid(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}")))?;
    let context = &request.call.context;
    let is_here = place.account == context.account() && place.region == context.region;
    if is_here { Ok(place) } else { Err(errors::no_resource(arn)) }
}

pub async fn tag(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let place = tagged(request)?;
    let tags = schema::tags(&Input(&request.input))?;
    shared
        .tables
        .update(&place, |table| {
            table.tags.extend(tags.clone());
            schema::check_tags(&table.tags)?;
            Ok(Vec::new())
        })
        .await?;
    Ok(Json::Null)
}

pub async fn untag(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let place = tagged(request)?;
    let keys = Input(&request.input).list("TagKeys")?.ok_or_else(|| missing("TagKeys"))?;
    shared
        .tables
        .update(&place, |table| {
            table.tags.retain(|key, _| !keys.iter().any(|gone| gone.as_str() == Some(key)));
            Ok(Vec::new())
        })
        .await?;
    Ok(Json::Null)
}

pub async fn list_tags(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let place = tagged(request)?;
    let live = shared.tables.find(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
    let tags: Vec<Json> = live.table.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Ok(json!({"Tags": tags}))
}

/// AWS's quotas of a new account. What is provisioned here is not held against them.
pub fn limits() -> Json {
    json!({
        "AccountMaxReadCapacityUnits": 80_000,
        "AccountMaxWriteCapacityUnits": 80_000,
        "TableMaxReadCapacityUnits": 40_000,
        "TableMaxWriteCapacityUnits": 40_000,
    })
}

pub fn endpoints(request: &Request) -> Json {
    // For a day: clients then ask again.
    json!({"Endpoints": [{"Address": request.call.context.host, "CachePeriodInMinutes": bounds::TABLE_ENDPOINT_MINUTES}]})
}
