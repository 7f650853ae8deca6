//! Existing resources taken into a stack. Nothing is made: they are looked at, get the stack's tags, and belong to it from
//! then on; on the way back the stack lets go of them again.

use serde_json::{Map, Value};

use super::{Failed, Run};
use crate::dynamic;
use crate::errors::Error;
use crate::plan::{self, Action, Existing};
use crate::prepared::Prepared;
use crate::resources::{self, taken};
use crate::stack::StackResource;

const TAGGING: &str = "Apply stack-level tags to imported resource if applicable.";

impl Run {
    pub(super) async fn import(&mut self) -> Result<(), Error> {
        let failed = match self.prepared().await {
            Ok(prepared) => match self.take(&prepared).await? {
                Ok(()) => match self.outputs(&prepared) {
                    Ok(outputs) => match self.finish(&prepared, outputs, "IMPORT_COMPLETE").await? {
                        Ok(()) => return Ok(()),
                        Err(failed) => failed,
                    },
                    Err(failed) => failed,
                },
                Err(failed) => failed,
            },
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => Failed(error.to_string()),
        };
        self.enter("IMPORT_ROLLBACK_IN_PROGRESS", Some(&failed.0)).await
    }

    /// All of them, dependencies first, and then their tags.
    async fn take(&mut self, prepared: &Prepared) -> Result<Result<(), Failed>, Error> {
        let actions: Vec<&Action> =
            prepared.plan.actions.iter().filter(|action| self.job.imports.contains_key(&action.logical_id)).collect();
        for action in &actions {
            if let Err(failed) = self.take_one(prepared, action).await? {
                return Ok(Err(failed));
            }
        }
        for action in actions {
            if let Err(failed) = self.tag_one(prepared, action).await? {
                return Ok(Err(failed));
            }
        }
        Ok(Ok(()))
    }

    async fn take_one(&mut self, prepared: &Prepared, action: &Action) -> Result<Result<(), Failed>, Error> {
        let name = &action.logical_id;
        let (Some(resource), Some((kind, identifier))) = (&action.resource, self.job.imports.get(name).cloned()) else {
            return Ok(Ok(()));
        };
        let is_begun = self.stack.resources.get(name).is_some_and(|row| !row.made.physical_id.is_empty());
        if is_begun {
            return Ok(Ok(()));
        }
        let row = StackResource {
            existing: Existing {
                kind: kind.clone(),
                planned: action.planned.clone(),
                depends_on: action.depends_on.clone(),
            },
            on_deletion: resource.on_deletion,
            on_replacement: resource.on_replacement,
            ..StackResource::default()
        };
        self.stack.resources.insert(name.clone(), row);
        let event = self.note(name, "IMPORT_IN_PROGRESS", Some("Resource import started."));
        self.save(event.as_slice()).await?;
        let at = self.at(name, "", false)?;
        let taken = taken::take(&at, &kind, &identifier).await.map_err(|error| super::forward::reason(&error));
        let taken = match (taken, self.resolved(prepared, &resource.properties)) {
            (Ok(made), Ok(properties)) => Ok((made, properties)),
            (Err(why), _) => Err(why),
            (_, Err(error)) => Err(error.to_string()),
        };
        let (event, taken) = match taken {
            Ok((made, properties)) => {
                if let Some(row) = self.stack.resources.get_mut(name) {
                    row.made = made;
                    row.properties = properties.and_then(|value| value.as_object().cloned()).unwrap_or_default();
                }
                (self.note(name, "IMPORT_COMPLETE", Some("Resource import completed.")), Ok(()))
            }
            Err(why) => {
                let failed = Failed(format!("The following resource(s) failed to import: [{name}]. {why}"));
                (self.note(name, "IMPORT_FAILED", Some(&why)), Err(failed))
            }
        };
        self.save(event.as_slice()).await?;
        Ok(taken)
    }

    async fn tag_one(&mut self, prepared: &Prepared, action: &Action) -> Result<Result<(), Failed>, Error> {
        let name = &action.logical_id;
        let Some(row) = self.stack.resources.get(name).cloned() else { return Ok(Ok(())) };
        let kind = &action.resource_type;
        let tagged = plan::with_tags(kind, row.properties.clone(), &prepared.wish.tags);
        if tagged == row.properties {
            return Ok(Ok(()));
        }
        let event = self.note(name, "UPDATE_IN_PROGRESS", Some(TAGGING));
        self.save(event.as_slice()).await?;
        let result = self.change(name, &row, &row.properties, &tagged).await?;
        let (event, result) = match result {
            Ok(()) => {
                if let Some(row) = self.stack.resources.get_mut(name) {
                    row.properties = tagged;
                }
                (self.note(name, "UPDATE_COMPLETE", None), Ok(()))
            }
            Err(Failed(why)) => (self.note(name, "UPDATE_FAILED", Some(&why)), Err(Failed(why))),
        };
        self.save(event.as_slice()).await?;
        Ok(result)
    }

    async fn change(
        &self,
        name: &str,
        row: &StackResource,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Result<Result<(), Failed>, Error> {
        let at = self.at(name, "", false)?;
        let changed = async {
            let old = dynamic::resolved(&at.client, old).await?;
            let new = dynamic::resolved(&at.client, new).await?;
            resources::update(&at, &row.existing.kind, &row.made, &old, &new).await
        };
        Ok(changed.await.map(drop).map_err(|error| Failed(super::forward::reason(&error))))
    }

    /// The stack lets go of what it took.
    pub(super) async fn let_go(&mut self) -> Result<(), Error> {
        let prepared = self.prepared().await.ok();
        let names: Vec<String> = self.job.imports.keys().cloned().collect();
        for name in names {
            let Some(row) = self.stack.resources.get(&name).cloned() else { continue };
            let event = self.note(&name, "IMPORT_ROLLBACK_IN_PROGRESS", None);
            self.save(event.as_slice()).await?;
            let plain = prepared.as_ref().and_then(|prepared| {
                let resource = prepared.template.resource(&name)?;
                self.resolved(prepared, &resource.properties).ok()??.as_object().cloned()
            });
            if let Some(plain) = plain.filter(|plain| *plain != row.properties && !row.made.physical_id.is_empty())
                && let Err(Failed(why)) = self.change(&name, &row, &row.properties, &plain).await?
            {
                let event = self.note(&name, "IMPORT_ROLLBACK_FAILED", Some(&why));
                self.save(event.as_slice()).await?;
                return self.enter("IMPORT_ROLLBACK_FAILED", Some(&why)).await;
            }
            let event = self.note(&name, "IMPORT_ROLLBACK_COMPLETE", None);
            self.stack.resources.remove(&name);
            self.save(event.as_slice()).await?;
        }
        self.enter("IMPORT_ROLLBACK_COMPLETE", None).await
    }
}
