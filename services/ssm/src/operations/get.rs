//! GetParameter, GetParameters, GetParametersByPath and GetParameterHistory
//! (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html> and its neighbours).

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{flag, names_of, page_size, place, required, text};
use crate::{Ssm, errors, names};

const PAGE: usize = 10;
const HISTORY_PAGE: u64 = 50;

pub async fn one(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let (place, _, version, selected) = ssm.selected(call, required(call, "Name")?).await?;
    let value = ssm.seen(&place, &version, flag(call, "WithDecryption"))?;
    Answer::json(json!({ "Parameter": version.shape(&place, &value, selected.selector) }))
}

pub async fn several(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names_of(call)? {
        match ssm.selected(call, name).await {
            Ok((place, _, version, selected)) => {
                let value = ssm.seen(&place, &version, flag(call, "WithDecryption"))?;
                found.push(version.shape(&place, &value, selected.selector));
            }
            Err(error) if error.status < 500 => invalid.push(name),
            Err(error) => return Err(error),
        }
    }
    Answer::json(json!({ "Parameters": found, "InvalidParameters": invalid }))
}

pub async fn by_path(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let path = required(call, "Path")?;
    if !path.starts_with('/') {
        return Err(errors::invalid("The parameter path must begin with a slash /."));
    }
    let limit = page_size(call, PAGE, PAGE)?;
    let is_recursive = flag(call, "Recursive");
    let filters = super::describe::filters(call, &["Type", "KeyId", "Label"])?;
    let context = &call.context;
    let mut after = text(call, "NextToken").map(str::to_owned);
    let (mut found, mut next) = (Vec::new(), None);
    'pages: loop {
        let page = ssm.storage.list(context.account(), &context.region, after.as_deref(), 200).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for parameter in &page {
            let is_meant = names::is_under(&parameter.name, path, is_recursive)
                && filters.iter().all(|filter| filter.holds(parameter));
            if !is_meant {
                continue;
            }
            if found.len() == limit {
                break 'pages;
            }
            next = Some(parameter.name.clone());
            let place = place(call, &parameter.name);
            // A filter for labels answers with the version that has one.
            let labelled = filters.iter().find_map(|filter| filter.labelled(parameter));
            let (number, label) = labelled.map_or((parameter.last.number, None), |(n, label)| (n, Some(label)));
            if let Some(version) = ssm.storage.version(&place, parameter, number).await? {
                let value = ssm.seen(&place, &version, flag(call, "WithDecryption"))?;
                found.push(version.shape(&place, &value, label));
            }
        }
        if page.len() < 200 {
            next = None;
            break;
        }
        if found.len() < limit {
            next = None;
        }
    }
    let is_full = found.len() == limit;
    let mut shape = json!({ "Parameters": found });
    if let Some(next) = next.filter(|_| is_full) {
        shape["NextToken"] = next.into();
    }
    Answer::json(shape)
}

/// Oldest first; the token is the number of the next version.
pub async fn history(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let (place, parameter, ..) = ssm.selected(call, required(call, "Name")?).await?;
    let limit = page_size(call, HISTORY_PAGE as usize, HISTORY_PAGE as usize)? as u64;
    let first = match text(call, "NextToken") {
        None => parameter.oldest,
        Some(token) => token.parse::<u64>().map_err(|_| errors::invalid_token())?,
    };
    let end = (first + limit).min(parameter.last.number + 1);
    let mut versions: Vec<Value> = Vec::new();
    for number in first..end {
        let Some(version) = ssm.storage.version(&place, &parameter, number).await? else { continue };
        let mut shape = version.metadata(&place);
        shape["Value"] = ssm.seen(&place, &version, flag(call, "WithDecryption"))?.into();
        shape["Labels"] = json!(parameter.labels_of(number));
        versions.push(shape);
    }
    let mut shape = json!({ "Parameters": versions });
    if end <= parameter.last.number {
        shape["NextToken"] = end.to_string().into();
    }
    Answer::json(shape)
}
