//! PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy: what a table itself says of who may use it. Policies of
//! streams are absent.

use std::sync::Arc;

use cumulet_base::id;
use cumulet_wire::error::ApiError;
use cumulet_wire::policy::Document;
use serde_json::{Value as Json, json};

use super::Request;
use crate::Shared;
use crate::errors;
use crate::input::{Input, place_of_arn};
use crate::model::{Place, Policy};

const DOCUMENT_BYTES_MAX: usize = 20 * 1024;

/// A document that can be read, of a size that is allowed.
pub fn checked(document: &str) -> Result<String, ApiError> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(errors::limit("Policy document exceeds the maximum size of 20 KB"));
    }
    let parsed = Document::parse(document).ok_or_else(|| errors::invalid("Invalid policy document: syntax error"))?;
    let is_sound = parsed.statements().iter().all(|statement| {
        (statement.effect == "Allow" || statement.effect == "Deny")
            && statement.action.is_some() != statement.not_action.is_some()
            && (statement.principal.is_some() || statement.not_principal.is_some())
    });
    if !is_sound {
        return Err(errors::invalid("Invalid policy document: a statement lacks its effect, action or principal"));
    }
    Ok(document.to_owned())
}

fn place_of(request: &Request) -> Result<Place, ApiError> {
    let arn = Input(&request.input).required_text("ResourceArn")?;
    if arn.contains("/stream/") {
        return Err(errors::not_built("resource policies of streams"));
    }
    let place = place_of_arn(arn).ok_or_else(|| errors::invalid(format!("Invalid resource ARN: {arn}")))?;
    let context = &request.call.context;
    let is_here = place.account == context.account() && place.region == context.region;
    if is_here { Ok(place) } else { Err(errors::no_resource(arn)) }
}

fn check_revision(old: Option<&Policy>, expected: Option<&str>) -> Result<(), ApiError> {
    let is_as_expected = match (expected, old) {
        (None, _) => true,
        (Some("NO_POLICY"), old) => old.is_none(),
        (Some(expected), Some(old)) => old.revision == expected,
        (Some(_), None) => false,
    };
    if is_as_expected { Ok(()) } else { Err(errors::no_policy()) }
}

pub async fn put(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let input = Input(&request.input);
    let place = place_of(request)?;
    let document = checked(input.required_text("Policy")?)?;
    let expected = input.text("ExpectedRevisionId")?;
    let revision = u64::from_be_bytes(id::random()).to_string();
    let live = shared.tables.update(&place, |table| {
        check_revision(table.policy.as_ref(), expected)?;
        let is_same = table.policy.as_ref().is_some_and(|old| old.document == document);
        if !is_same {
            table.policy = Some(Policy { document: document.clone(), revision: revision.clone() });
        }
        Ok(Vec::new())
    });
    let policy = live.await?.table.policy.clone().ok_or_else(errors::no_policy)?;
    Ok(json!({"RevisionId": policy.revision}))
}

pub async fn get(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let place = place_of(request)?;
    let live = shared.tables.find(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
    let policy = live.table.policy.as_ref().ok_or_else(errors::no_policy)?;
    Ok(json!({"Policy": policy.document, "RevisionId": policy.revision}))
}

pub async fn delete(shared: &Arc<Shared>, request: &Request) -> Result<Json, ApiError> {
    let place = place_of(request)?;
    let expected = Input(&request.input).text("ExpectedRevisionId")?;
    let before = shared.tables.load(&place).await?.ok_or_else(|| errors::no_table_named(&place.name))?;
    shared
        .tables
        .update(&place, |table| {
            check_revision(table.policy.as_ref(), expected)?;
            table.policy = None;
            Ok(Vec::new())
        })
        .await?;
    Ok(match &before.table.policy {
        Some(policy) => json!({"RevisionId": policy.revision}),
        None => json!({}),
    })
}
