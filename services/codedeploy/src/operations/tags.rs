//! TagResource, UntagResource, ListTagsForResource: of applications and deployment groups.

use cumulet_base::arn::Arn;
use cumulet_store::Rev;
use cumulet_wire::call::Call;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{needed, tags};
use crate::model::{Application, Group, Place, Tags};
use crate::storage::{self, Named};
use crate::{Core, errors};

/// What an ARN names, as it is now.
enum Tagged {
    Application(String, Application, Rev),
    Group(String, String, Group, Rev),
}

async fn tagged(core: &Core, call: &Call) -> Result<(Place, Tagged), ApiError> {
    let text = needed(call, "ResourceArn")?;
    let arn: Arn = text.parse().map_err(|_| errors::arn(text))?;
    let place = Place { account: arn.account.clone(), region: arn.region.clone() };
    match arn.resource.split_once(':').filter(|_| arn.service == "codedeploy") {
        Some(("application", name)) => {
            let found = core.storage.application(&place, name).await?;
            let (application, rev) = found.ok_or_else(|| errors::no_application(name))?;
            Ok((place, Tagged::Application(name.to_owned(), application, rev)))
        }
        Some(("deploymentgroup", names)) => {
            let (application, name) = names.split_once('/').ok_or_else(|| errors::arn(text))?;
            let found = core.storage.group(&place, application, name).await?;
            let (group, rev) = found.ok_or_else(|| errors::no_group(name))?;
            Ok((place, Tagged::Group(application.to_owned(), name.to_owned(), group, rev)))
        }
        Some(("deploymentconfig" | "instance", _)) => Err(errors::arn_not_supported(text)),
        _ => Err(errors::arn(text)),
    }
}

async fn change(core: &Core, call: &Call, change: impl FnOnce(&mut Tags)) -> Result<Value, ApiError> {
    let (place, mut tagged) = tagged(core, call).await?;
    let txn = storage::begin(&place);
    let txn = match &mut tagged {
        Tagged::Application(name, application, rev) => {
            change(&mut application.tags);
            storage::put(txn, &place, &Named::Application(name), application, Some(*rev))?
        }
        Tagged::Group(application, name, group, rev) => {
            change(&mut group.tags);
            storage::put(txn, &place, &Named::Group(application, name), group, Some(*rev))?
        }
    };
    match core.storage.commit(txn).await? {
        true => Ok(json!({})),
        false => Err(errors::conflict()),
    }
}

pub async fn tag(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let new = tags(&call.input, "Tags")?;
    if new.is_empty() {
        return Err(errors::required("Tags"));
    }
    change(core, call, |tags| tags.extend(new)).await
}

pub async fn untag(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let keys = call.input.get("TagKeys").and_then(Value::as_array).cloned().unwrap_or_default();
    if keys.is_empty() {
        return Err(errors::required("Tags"));
    }
    change(core, call, |tags| tags.retain(|key, _| keys.iter().all(|gone| gone != key.as_str()))).await
}

pub async fn list(core: &Core, call: &Call) -> Result<Value, ApiError> {
    let tags = match tagged(core, call).await?.1 {
        Tagged::Application(_, application, _) => application.tags,
        Tagged::Group(_, _, group, _) => group.tags,
    };
    let list: Vec<Value> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Ok(json!({"Tags": list}))
}
