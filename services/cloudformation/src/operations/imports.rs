//! Change sets that take existing resources into a stack, and what has to hold for them
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import.html>).

use std::collections::BTreeMap;

use cumulet_wire::auth::Caller;
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use serde_json::{Map, Value};

use super::{Input, text};
use crate::CloudFormation;
use crate::errors::Error;
use crate::plan::Kind;
use crate::prepared::Prepared;
use crate::resources::{Whereabouts, taken};
use crate::stack::{Imports, Stack};
use crate::template::Fate;

/// The resources that a request names.
pub fn wanted(input: &Input) -> Result<Imports, Error> {
    let list = input.get("ResourcesToImport").and_then(Value::as_array);
    let mut imports = Imports::new();
    for one in list.into_iter().flatten() {
        let member = |name: &str| {
            let value = one.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            value.ok_or_else(|| Error::Validation(format!("{name} of a resource to import must not be null")))
        };
        let (kind, name) = (member("ResourceType")?, member("LogicalResourceId")?);
        let Some(identifier) = taken::identifier(kind) else {
            return Err(Error::NotBuilt(format!("ResourceTypes [{kind}] in imports")));
        };
        match one.get("ResourceIdentifier").and_then(pairs) {
            Some(given) if given.len() == 1 && given.get(identifier).is_some_and(Value::is_string) => {
                imports.insert(name.to_owned(), (kind.to_owned(), given));
            }
            _ => {
                return Err(Error::Validation(format!(
                    "The resource {name} of the type {kind} is to be identified by [{identifier}]"
                )));
            }
        }
    }
    Ok(imports)
}

/// A map, which the query protocol writes as numbered entries.
fn pairs(value: &Value) -> Option<Map<String, Value>> {
    let numbered = match value.get("entry") {
        None => return value.as_object().cloned(),
        Some(numbered) => numbered.as_object()?.values(),
    };
    numbered.map(|entry| Some((entry["key"].as_str()?.to_owned(), entry["value"].clone()))).collect()
}

/// That the template adds what is imported, with policies of deletion, and changes nothing else. Pure.
pub fn check(stack: &Stack, prepared: &Prepared, imports: &Imports) -> Result<(), Error> {
    let refused = |why: String| Err(Error::Validation(why));
    if imports.is_empty() {
        return refused("ResourcesToImport must name at least one resource".into());
    }
    for (name, (kind, identifier)) in imports {
        let Some(resource) = prepared.template.resource(name) else {
            return refused(format!("The resource to import [{name}] is not in the template"));
        };
        if resource.kind != *kind {
            return refused(format!(
                "The resource to import [{name}] is of the type {} in the template",
                resource.kind
            ));
        }
        if stack.resources.contains_key(name) {
            return refused(format!("The resource [{name}] is in the stack already"));
        }
        let action = prepared.plan.actions.iter().find(|action| action.logical_id == *name);
        let Some(action) = action else { return refused(format!("The condition of [{name}] does not hold")) };
        for (member, value) in identifier {
            let planned = action.planned.get(member).and_then(Value::as_str).filter(|text| !text.contains('\u{1}'));
            if planned.is_some_and(|planned| value != planned) {
                return refused(format!("{member} of [{name}] is another in the template than in its identifier"));
            }
        }
    }
    let bare = imports.keys().filter(|name| prepared.template.resource(name).is_some_and(|r| !r.has_deletion_policy));
    let bare: Vec<&str> = bare.map(String::as_str).collect();
    if !bare.is_empty() {
        return refused(format!(
            "The following resources to import [{}] must have DeletionPolicy attribute specified in the template.",
            bare.join(", ")
        ));
    }
    let others = prepared.plan.actions.iter().filter(|action| !imports.contains_key(&action.logical_id));
    let (added, changed): (Vec<_>, Vec<_>) = others.partition(|action| action.kind == Kind::Create);
    if let Some(action) = added.first() {
        return refused(format!("Resource [{}] is missing from ResourcesToImport list", action.logical_id));
    }
    if let Some(action) = changed.first() {
        return refused(format!(
            "You have modified resources [{}] in your template that are not being imported. Update, create or delete operations cannot be executed during import operations.",
            action.logical_id
        ));
    }
    let outputs = match stack.resources.is_empty() {
        true => Vec::new(),
        false => crate::prepared::processed(&stack.wish)?.1.outputs,
    };
    match outputs == prepared.template.outputs {
        true => Ok(()),
        false => refused("As part of the import operation, you cannot modify or add [Outputs]".into()),
    }
}

impl CloudFormation {
    /// What a template names that is there already and is to stay where its stack goes: that is imported and not made.
    pub(super) async fn found_imports(
        &self,
        ctx: &Context,
        stack: &Stack,
        caller: &Caller,
        prepared: &Prepared,
    ) -> Result<Imports, ApiError> {
        let client = self.client_of(caller, &ctx.region, &ctx.host)?;
        let mut imports = Imports::new();
        for action in prepared.plan.actions.iter().filter(|action| action.kind == Kind::Create) {
            let is_kept = action.resource.as_ref().is_some_and(|resource| resource.on_deletion != Fate::Delete);
            let at = Whereabouts::of(client.clone(), self, stack, &action.logical_id, ctx.now_ms);
            if is_kept && let Some(named) = taken::existing(&at, &action.resource_type, &action.planned).await? {
                imports.insert(action.logical_id.clone(), (action.resource_type.clone(), named));
            }
        }
        Ok(imports)
    }

    /// The physical ids of what is to be imported: it is there, and no stack has it.
    pub(super) async fn look_at_imports(
        &self,
        ctx: &Context,
        stack: &Stack,
        caller: &Caller,
        imports: &Imports,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let client = self.client_of(caller, &ctx.region, &ctx.host)?;
        let mut found = BTreeMap::new();
        for (name, (kind, identifier)) in imports {
            let at = Whereabouts::of(client.clone(), self, stack, name, ctx.now_ms);
            found.insert(name.clone(), taken::take(&at, kind, identifier).await?.physical_id);
        }
        Ok(found)
    }
}

/// What a change set shows of its imports.
pub fn shown(mut changes: Vec<Value>, ids: &BTreeMap<String, String>) -> Vec<Value> {
    for change in changes.iter_mut().map(|change| &mut change["ResourceChange"]) {
        if let Some(id) = change["LogicalResourceId"].as_str().and_then(|name| ids.get(name)) {
            change["Action"] = "Import".into();
            change["PhysicalResourceId"] = id.as_str().into();
        }
    }
    changes
}

/// Members of change sets that would need what is not built.
pub fn check_absent(input: &Input) -> Result<(), Error> {
    match text(input, "DeploymentMode") {
        Some(mode) => Err(Error::NotBuilt(format!("DeploymentMode {mode}"))),
        None => Ok(()),
    }
}
