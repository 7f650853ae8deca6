//! Document paths: `a.b[3]`.

use std::fmt;
use std::sync::Arc;

use crate::value::{Item, Value};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    Index(u32),
    Name(Arc<str>),
}

/// Begins with a name, that of an attribute of the item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    head: Arc<str>,
    steps: Vec<Step>,
}

/// How two paths that may not stand together clash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// One is within the other, or they are the same.
    Overlap,
    /// One takes for a list what the other takes for a map.
    Conflict,
}

impl Path {
    pub fn new(head: impl Into<Arc<str>>, steps: Vec<Step>) -> Path {
        Path { head: head.into(), steps }
    }

    /// An attribute of the item.
    pub fn attribute(name: impl Into<Arc<str>>) -> Path {
        Path::new(name, Vec::new())
    }

    /// The name of the attribute of the item.
    pub fn head(&self) -> &str {
        &self.head
    }

    pub(super) fn shared_head(&self) -> Arc<str> {
        self.head.clone()
    }

    /// What is below the attribute.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn is_nested(&self) -> bool {
        !self.steps.is_empty()
    }

    pub fn get<'a>(&self, item: &'a Item) -> Option<&'a Value> {
        let head = item.get(&*self.head)?;
        self.steps.iter().try_fold(head, |value, step| match (step, value) {
            (Step::Name(name), Value::M(map)) => map.get(&**name),
            (Step::Index(index), Value::L(list)) => list.get(*index as usize),
            _ => None,
        })
    }

    pub fn clash(&self, other: &Path) -> Option<Clash> {
        if self.head != other.head {
            return None;
        }
        for (own, others) in self.steps.iter().zip(&other.steps) {
            match (own, others) {
                _ if own == others => {}
                (Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_)) => return Some(Clash::Conflict),
                _ => return None,
            }
        }
        Some(Clash::Overlap)
    }
}

/// As AWS's messages name paths: `[a, b, [3]]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.head)?;
        for step in &self.steps {
            match step {
                Step::Name(name) => write!(f, ", {name}")?,
                Step::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}
