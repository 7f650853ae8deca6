//! PartiQL, in DynamoDB's dialect: SELECT, INSERT, UPDATE, DELETE of one table, and EXISTS in transactions. Statements
//! become the conditions, updates and projections that expressions become.
//! Source: "PartiQL - a SQL-compatible query language for Amazon DynamoDB" of the DynamoDB Developer Guide.
//! Deliberately absent, as at AWS: joins, subqueries, aliases, aggregates, anything of more than one table.

mod parse;
mod plan;
mod token;

pub use parse::statement;
pub use plan::{Access, one_item, several_items};

use crate::expression::{Path, Test, Update};
use crate::value::{Item, Value};

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Select(Select),
    Insert(Insert),
    Update(Change),
    Delete(Removal),
    /// In transactions only: the item that it selects has to be there.
    Exists(Select),
}

/// What a statement reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub table: String,
    pub index: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub columns: Columns,
    pub source: Source,
    pub filter: Option<Test>,
    pub order: Vec<OrderKey>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Columns {
    All,
    /// In the order in which they were named.
    Some(Vec<Column>),
}

/// A part of an item, and the name that it has in the result: that of its last step.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub path: Path,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderKey {
    pub name: String,
    pub is_descending: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    pub table: String,
    pub item: Item,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub table: String,
    pub update: Update,
    pub filter: Option<Test>,
    pub returning: Option<Returning>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Removal {
    pub table: String,
    pub filter: Option<Test>,
    /// `RETURNING ALL OLD *`; no other is allowed.
    pub returns_old: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returning {
    AllOld,
    ModifiedOld,
    AllNew,
    ModifiedNew,
}

impl Statement {
    pub fn table(&self) -> &str {
        match self {
            Statement::Select(select) | Statement::Exists(select) => &select.source.table,
            Statement::Insert(insert) => &insert.table,
            Statement::Update(change) => &change.table,
            Statement::Delete(removal) => &removal.table,
        }
    }

    pub fn has_returning(&self) -> bool {
        match self {
            Statement::Update(change) => change.returning.is_some(),
            Statement::Delete(removal) => removal.returns_old,
            Statement::Select(_) | Statement::Insert(_) | Statement::Exists(_) => false,
        }
    }
}

impl Columns {
    /// What the statement returns of an item.
    pub fn of(&self, item: &Item) -> Item {
        match self {
            Columns::All => item.clone(),
            Columns::Some(columns) => {
                let found = columns.iter().filter_map(|column| {
                    let value: &Value = column.path.get(item)?;
                    Some((column.name.clone(), value.clone()))
                });
                found.collect()
            }
        }
    }

    /// The attributes that have to be read for it; `None` for all of them.
    pub fn attributes(&self) -> Option<Vec<&str>> {
        match self {
            Columns::All => None,
            Columns::Some(columns) => Some(columns.iter().map(|column| column.path.head()).collect()),
        }
    }
}

#[cfg(test)]
mod tests;
