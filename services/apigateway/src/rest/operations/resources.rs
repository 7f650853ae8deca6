//! Resources: the tree of an API's paths.

use cumulet_base::{id, limits};
use cumulet_wire::call::{Answer, Context};
use serde_json::{Value, json};

use super::{Decision, Input, page};
use crate::errors::Error;
use crate::operations::{answer, text};
use crate::rest::patch::patched;
use crate::rest::shapes::Resource;
use crate::storage::rest::{RestChange, RestRows};

pub(super) fn find<'a>(rows: &'a RestRows, input: &Input) -> Result<&'a Resource, Error> {
    let id = text(input, "resource_id")?;
    rows.now.resources.get(id).ok_or_else(|| Error::NotFound("Resource", id.to_owned()))
}

/// As clients see it: of its methods just the names, unless they ask for more.
fn shown(resource: &Resource, input: &Input) -> Result<Value, Error> {
    let mut shown = serde_json::to_value(resource).map_err(Error::Row)?;
    let embedded = input.get("embed").map(Value::to_string).unwrap_or_default();
    if resource.resource_methods.is_empty() {
        shown.as_object_mut().map(|shown| shown.remove("resourceMethods"));
    } else if !embedded.contains("methods") {
        let names = resource.resource_methods.keys().map(|name| (name.clone(), json!({})));
        shown["resourceMethods"] = Value::Object(names.collect());
    }
    Ok(shown)
}

/// A path below another, if its last part is one that paths have.
pub fn below(parent: &Resource, part: &str) -> Result<String, Error> {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:$%~!'()*,;=@".contains(&b))
    };
    let name = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let is_good = name.map_or_else(|| plain(part), |name| plain(name.strip_suffix('+').unwrap_or(name)));
    if !is_good {
        return Err(Error::Invalid(
            "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end.".into(),
        ));
    }
    if parent.path_part.as_deref().is_some_and(|part| part.ends_with("+}")) {
        return Err(Error::Invalid("Cannot create a child of a resource with a greedy path variable.".into()));
    }
    Ok(format!("{}/{part}", parent.path.trim_end_matches('/')))
}

pub(super) fn create(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    if rows.now.resources.len() >= limits::REST_API_RESOURCES_MAX {
        return Err(Error::Quota("resources", limits::REST_API_RESOURCES_MAX));
    }
    let (parent_id, part) = (text(input, "parent_id")?, text(input, "pathPart")?);
    let parent = rows.now.resources.get(parent_id).ok_or_else(|| Error::NotFound("Resource", parent_id.to_owned()))?;
    let path = below(parent, part)?;
    let siblings = || rows.now.resources.values().filter(|r| r.parent_id.as_deref() == Some(parent_id));
    if siblings().any(|sibling| sibling.path_part.as_deref() == Some(part)) {
        return Err(Error::Conflict(format!("Another resource with the same parent already has this name: {part}")));
    }
    let is_variable = |part: &str| part.starts_with('{') && !part.ends_with("+}");
    if is_variable(part) {
        let other = siblings().filter_map(|s| s.path_part.as_deref()).find(|other| is_variable(other));
        if let Some(other) = other {
            return Err(Error::Invalid(format!(
                "A sibling ({other}) of this resource already has a variable path part -- only one is allowed"
            )));
        }
    }
    let resource = Resource {
        id: id::short(6),
        parent_id: Some(parent_id.to_owned()),
        path_part: Some(part.to_owned()),
        path,
        ..Resource::default()
    };
    Ok((vec![RestChange::put(&resource)?], answer(&shown(&resource, input)?)?))
}

pub(super) fn get(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    answer(&shown(find(rows, input)?, input)?)
}

pub(super) fn list(rows: &RestRows, input: &Input) -> Result<Answer, Error> {
    let mut all: Vec<&Resource> = rows.now.resources.values().collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    let shown: Vec<Value> = all.into_iter().map(|resource| shown(resource, input)).collect::<Result<_, _>>()?;
    page(shown.into_iter(), input)
}

/// Another name, or another place.
pub(super) fn update(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let old = find(rows, input)?.clone();
    let mut new = patched(&old, input, &["pathPart", "parentId"])?;
    let (Some(parent_id), Some(part)) = (&new.parent_id, &new.path_part) else {
        return Err(Error::Invalid("The root resource cannot be changed".into()));
    };
    let parent = rows.now.resources.get(parent_id).ok_or_else(|| Error::NotFound("Resource", parent_id.clone()))?;
    if parent.path == old.path || parent.path.starts_with(&format!("{}/", old.path)) {
        return Err(Error::Invalid("A resource cannot be put below itself".into()));
    }
    new.path = below(parent, part)?;
    if rows.now.resources.values().any(|other| other.id != new.id && other.path == new.path) {
        return Err(Error::Conflict(format!("Another resource with the same parent already has this name: {part}")));
    }
    let mut changes = vec![RestChange::put(&new)?];
    for below in rows.now.resources.values() {
        if let Some(rest) = below.path.strip_prefix(&format!("{}/", old.path)) {
            changes.push(RestChange::put(&Resource { path: format!("{}/{rest}", new.path), ..below.clone() })?);
        }
    }
    Ok((changes, answer(&shown(&new, input)?)?))
}

/// With everything below it.
pub(super) fn delete(rows: &mut RestRows, input: &Input, _ctx: &Context) -> Decision {
    let gone = find(rows, input)?;
    if gone.parent_id.is_none() {
        return Err(Error::Invalid("Cannot delete root resource".into()));
    }
    let below = format!("{}/", gone.path);
    let all = rows.now.resources.values().filter(|r| r.id == gone.id || r.path.starts_with(&below));
    Ok((all.map(|r| RestChange::delete::<Resource>(&r.id)).collect(), Answer::empty()))
}
