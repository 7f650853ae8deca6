//! Projections: the parts of an item that are asked for. Lists keep the chosen elements only, moved together.
//! Source: "Projection expressions" of the DynamoDB Developer Guide.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::{self, Findings};
use super::parse;
use super::path::{Path, Step};
use super::placeholders::Placeholders;
use crate::value::{Item, Value};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Projection {
    attributes: BTreeMap<Arc<str>, Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Whole,
    Within(BTreeMap<Step, Part>),
}

impl Projection {
    /// Of paths that do not clash; where one is within another the shorter counts.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Projection {
        let mut projection = Projection::default();
        for path in paths {
            let part = projection.attributes.entry(path.shared_head());
            part.or_insert_with(|| Part::Within(BTreeMap::new())).add(path.steps());
        }
        projection
    }

    /// Of whole attributes.
    pub fn of_attributes(names: impl IntoIterator<Item = String>) -> Projection {
        Projection { attributes: names.into_iter().map(|name| (name.into(), Part::Whole)).collect() }
    }

    pub fn project(&self, item: &Item) -> Item {
        let parts = self.attributes.iter().filter_map(|(name, part)| {
            let value = part.of(item.get(&**name)?)?;
            Some((name.as_ref().to_owned(), value))
        });
        parts.collect()
    }

    /// The attributes of which anything is asked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attributes.keys().map(|name| &**name)
    }
}

impl Part {
    fn add(&mut self, steps: &[Step]) {
        match (&mut *self, steps.split_first()) {
            (Part::Whole, _) => {}
            (_, None) => *self = Part::Whole,
            (Part::Within(parts), Some((first, rest))) => {
                parts.entry(first.clone()).or_insert_with(|| Part::Within(BTreeMap::new())).add(rest);
            }
        }
    }

    /// `None` where the value has nothing of what is asked for.
    fn of(&self, value: &Value) -> Option<Value> {
        let Part::Within(parts) = self else { return Some(value.clone()) };
        match value {
            Value::M(map) => {
                let chosen = parts.iter().filter_map(|(step, part)| match step {
                    Step::Name(name) => Some((name.as_ref().to_owned(), part.of(map.get(&**name)?)?)),
                    Step::Index(_) => None,
                });
                Some(chosen.collect::<Item>()).filter(|map| !map.is_empty()).map(Value::M)
            }
            Value::L(list) => {
                let chosen = parts.iter().filter_map(|(step, part)| match step {
                    Step::Index(index) => part.of(list.get(*index as usize)?),
                    Step::Name(_) => None,
                });
                Some(chosen.collect::<Vec<_>>()).filter(|list| !list.is_empty()).map(Value::L)
            }
            _ => None,
        }
    }
}

pub(super) fn read(text: &str, placeholders: &mut Placeholders) -> Result<Projection, String> {
    let raw = parse::projection(text)?;
    let mut findings = Findings::default();
    let mut paths = Vec::new();
    for path in &raw {
        check::reserved(path, &mut findings);
        paths.push(check::path(path, placeholders, &mut findings));
    }
    check::clashes(&paths.iter().collect::<Vec<_>>(), &mut findings);
    findings.result()?;
    Ok(Projection::new(&paths))
}
