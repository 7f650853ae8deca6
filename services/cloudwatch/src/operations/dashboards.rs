//! Dashboards (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html>).

use cumulet_wire::call::{Answer, Call, seconds};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{offset, required, text, texts};
use crate::metrics::Place;
use crate::model::{Dashboard, FORMAT, dashboard_arn};
use crate::storage::DASHBOARD;
use crate::{CloudWatch, errors};

const NAME_CHARS_MAX: usize = 255;
/// Less than on AWS: one row holds it.
const BODY_BYTES_MAX: usize = 60 * 1024;
const PAGE: usize = 1000;

pub async fn put(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let (name, body) = (required(call, "DashboardName")?, required(call, "DashboardBody")?);
    let is_good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !is_good || name.len() > NAME_CHARS_MAX {
        return Err(errors::dashboard("The DashboardName has other characters than A-Z, a-z, 0-9, - and _"));
    }
    if body.len() > BODY_BYTES_MAX {
        return Err(errors::dashboard(format!("A dashboard has at most {BODY_BYTES_MAX} bytes here")));
    }
    if !serde_json::from_str::<Value>(body).is_ok_and(|body| body["widgets"].is_array()) {
        return Err(errors::dashboard("The field DashboardBody must be a valid JSON object with widgets"));
    }
    let dashboard =
        Dashboard { v: FORMAT, name: name.to_owned(), body: body.to_owned(), updated_ms: call.context.now_ms };
    watch
        .storage
        .update(&Place::of(&call.context), (DASHBOARD, name), |_: Option<Dashboard>| Ok(Some(dashboard.clone())))
        .await?;
    Answer::json(json!({ "DashboardValidationMessages": [] }))
}

pub async fn get(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let name = required(call, "DashboardName")?;
    let found: Option<Dashboard> = watch.storage.get(&Place::of(&call.context), DASHBOARD, name).await?;
    let found = found.ok_or_else(|| errors::no_dashboard(name))?;
    let arn = dashboard_arn(call.context.account(), name);
    Answer::json(json!({ "DashboardArn": arn, "DashboardBody": found.body, "DashboardName": name }))
}

pub async fn list(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let prefix = text(call, "DashboardNamePrefix").unwrap_or_default();
    let all: Vec<Dashboard> = watch.storage.list(&Place::of(&call.context), DASHBOARD).await?;
    let offset = offset(call)?;
    let mut rest = all.iter().filter(|dashboard| dashboard.name.starts_with(prefix)).skip(offset);
    let shown: Vec<Value> = rest
        .by_ref()
        .take(PAGE)
        .map(|dashboard| {
            json!({
                "DashboardName": dashboard.name,
                "DashboardArn": dashboard_arn(call.context.account(), &dashboard.name),
                "LastModified": seconds(dashboard.updated_ms),
                "Size": dashboard.body.len(),
            })
        })
        .collect();
    let mut answer = json!({ "DashboardEntries": shown });
    if rest.next().is_some() {
        answer["NextToken"] = (offset + PAGE).to_string().into();
    }
    Answer::json(answer)
}

/// All of them, or none.
pub async fn delete(watch: &CloudWatch, call: &Call) -> Result<Answer, ApiError> {
    let names = texts(call, "DashboardNames");
    for name in &names {
        if watch.storage.get::<Dashboard>(&Place::of(&call.context), DASHBOARD, name).await?.is_none() {
            return Err(errors::no_dashboard(name));
        }
    }
    watch.storage.delete(&Place::of(&call.context), DASHBOARD, &names).await?;
    Ok(Answer::empty())
}
