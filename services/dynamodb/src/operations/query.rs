//! Query and Scan.

use std::sync::Arc;

use cumulet_base::limits;
use cumulet_wire::error::ApiError;

use super::{Output, Request};
use crate::Shared;
use crate::capacity::Wanted;
use crate::errors;
use crate::expression::{self, Condition, KeyCondition};
use crate::input::{Input, place_of};
use crate::keys;
use crate::model::{Index, KeySchema, Table};
use crate::pages::{self, Page, Select};
use crate::request::Language;
use crate::storage::Span;

pub async fn query(shared: &Arc<Shared>, request: &Request) -> Result<Output, ApiError> {
    let input = Input(&request.input);
    let name = input.required_text("TableName")?;
    let place = place_of(&request.call, name)?;
    let mut language = Language::new(
        &request.input,
        &["KeyConditionExpression", "FilterExpression", "ProjectionExpression"],
        &["KeyConditions", "QueryFilter", "ConditionalOperator", "AttributesToGet"],
    )?;
    let filter = language.filter("QueryFilter")?;
    let projection = language.projection()?;
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let limit = pages::limit_of(&input)?;
    let live = shared.tables.active(&place).await?;
    let table = &live.table;
    let index = pages::index_of(table, &input)?;
    let schema = index.map_or(&table.key, |index| &index.key);
    let names = schema.names();
    let condition = match language.text("KeyConditionExpression")? {
        Some(text) => expression::key_condition(text, language.placeholders(), names)?,
        None => crate::legacy::key_conditions(&request.input, names)?.ok_or_else(|| {
            errors::invalid(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
            )
        })?,
    };
    language.finish()?;
    check_types(schema, &condition)?;
    if let Some(filter) = &filter {
        check_filter(schema, filter, input.has("FilterExpression"))?;
    }
    let select = pages::select_of(&input, index, projection.is_some())?;
    let is_consistent = input.is("ConsistentRead")?;
    pages::check_consistency(index, is_consistent)?;
    let (lo, hi) = keys::condition(table.rows, index.map(|index| index.id), &condition);
    let mut span = Span { lo, hi, is_reverse: !input.truth("ScanIndexForward")?.unwrap_or(true) };
    if let Some(start) = pages::start_of(table, index, &input)? {
        if start < span.lo || start >= span.hi {
            return Err(errors::invalid(
                "The provided starting key is outside query boundaries based on provided conditions",
            ));
        }
        span.skip(&start);
    }
    let index = index.map(|index| index.id);
    let table_name = name.to_owned();
    shared
        .page(Page {
            live: live.clone(),
            index,
            span,
            limit,
            select,
            filter,
            projection,
            is_consistent,
            wanted,
            table_name,
        })
        .await
}

/// Values of the condition are of the types of the keys.
pub(super) fn check_types(schema: &KeySchema, condition: &KeyCondition) -> Result<(), ApiError> {
    let range = schema.range.as_ref().map_or(schema.hash.kind, |range| range.kind);
    let of_range = condition.range.iter().flat_map(|range| range.values()).map(|value| (value, range));
    for (value, kind) in std::iter::once((&condition.hash, schema.hash.kind)).chain(of_range) {
        if value.type_name() != kind.name() {
            return Err(errors::parameter("Condition parameter type does not match schema type"));
        }
        let is_empty = match value {
            crate::value::Value::S(text) => text.is_empty(),
            crate::value::Value::B(bytes) => bytes.is_empty(),
            _ => false,
        };
        if is_empty {
            let what = if value.type_name() == "S" { "string" } else { "binary" };
            let name = if std::ptr::eq(value, &condition.hash) {
                &schema.hash.name
            } else {
                schema.range.as_ref().map_or(&schema.hash.name, |range| &range.name)
            };
            return Err(errors::invalid(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty \
                 {what} value. Key: {name}"
            )));
        }
    }
    Ok(())
}

fn check_filter(schema: &KeySchema, filter: &Condition, is_expression: bool) -> Result<(), ApiError> {
    for path in filter.paths() {
        if schema.has(path.head()) {
            let what = if is_expression { "Filter Expression" } else { "QueryFilter" };
            return Err(errors::invalid(format!(
                "{what} can only contain non-primary key attributes: Primary key attribute: {}",
                path.head()
            )));
        }
    }
    Ok(())
}

pub async fn scan(shared: &Arc<Shared>, request: &Request) -> Result<Output, ApiError> {
    let input = Input(&request.input);
    let name = input.required_text("TableName")?;
    let place = place_of(&request.call, name)?;
    let mut language = Language::new(
        &request.input,
        &["FilterExpression", "ProjectionExpression"],
        &["ScanFilter", "ConditionalOperator", "AttributesToGet"],
    )?;
    let filter = language.filter("ScanFilter")?;
    let projection = language.projection()?;
    language.finish()?;
    let wanted = Wanted::parse(input.text("ReturnConsumedCapacity")?)?;
    let limit = pages::limit_of(&input)?;
    let segment = segment_of(&input)?;
    let live = shared.tables.active(&place).await?;
    let table = &live.table;
    let index = pages::index_of(table, &input)?;
    let select = pages::select_of(&input, index, projection.is_some())?;
    let is_consistent = input.is("ConsistentRead")?;
    pages::check_consistency(index, is_consistent)?;
    let mut span = span_of(table, index, segment);
    if let Some(start) = pages::start_of(table, index, &input)? {
        if start < span.lo || start >= span.hi {
            let (segment, total) = segment.unwrap_or((0, 1));
            return Err(errors::invalid(format!(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct \
                 Segment. TotalSegments: {total} Segment: {segment}"
            )));
        }
        span.skip(&start);
    }
    let index = index.map(|index| index.id);
    let table_name = name.to_owned();
    let select =
        if select == Select::All && index.is_some() && !input.has("Select") { Select::Projected } else { select };
    shared
        .page(Page {
            live: live.clone(),
            index,
            span,
            limit,
            select,
            filter,
            projection,
            is_consistent,
            wanted,
            table_name,
        })
        .await
}

pub(super) fn span_of(table: &Table, index: Option<&Index>, segment: Option<(u32, u32)>) -> Span {
    let (segment, total) = segment.unwrap_or((0, 1));
    let (lo, hi) = match index {
        None => keys::segment(table.rows, segment, total),
        Some(index) => keys::entries_segment(table.rows, index.id, segment, total),
    };
    Span { lo, hi, is_reverse: false }
}

/// `Segment` of `TotalSegments`; both or neither.
fn segment_of(input: &Input<'_>) -> Result<Option<(u32, u32)>, ApiError> {
    let total = input.between("TotalSegments", 1, i64::from(limits::TABLE_SEGMENTS_MAX))?;
    let segment = input.between("Segment", 0, i64::from(limits::TABLE_SEGMENTS_MAX) - 1)?;
    match (segment, total) {
        (None, None) => Ok(None),
        (Some(segment), Some(total)) if segment < total => Ok(Some((segment as u32, total as u32))),
        (Some(segment), Some(total)) => Err(errors::invalid(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is not \
             less than TotalSegments: {total}"
        ))),
        (None, Some(_)) => Err(errors::invalid(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        )),
        (Some(_), None) => Err(errors::invalid(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        )),
    }
}
