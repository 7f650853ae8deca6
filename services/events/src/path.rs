//! The paths by which rules take parts out of events: `$`, `$.detail.state`, `$.resources[0]`, `$.detail['a b']`, `$.list[*].id`.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    Each,
}

/// A path that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

impl Path {
    /// `None`: the text is no path.
    pub fn parse(text: &str) -> Option<Path> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(tail) = rest.strip_prefix('.') {
                let end = tail.find(['.', '[']).unwrap_or(tail.len());
                let (name, tail) = tail.split_at(end);
                steps.push(match name {
                    "" => return None,
                    "*" => Step::Each,
                    name => Step::Field(name.to_owned()),
                });
                rest = tail;
                continue;
            }
            let tail = rest.strip_prefix('[')?;
            if let Some(quote) = tail.chars().next().filter(|c| matches!(c, '\'' | '"')) {
                let (name, tail) = tail[1..].split_once(quote)?;
                steps.push(Step::Field(name.to_owned()));
                rest = tail.strip_prefix(']')?;
                continue;
            }
            let (inner, tail) = tail.split_once(']')?;
            steps.push(match inner {
                "*" => Step::Each,
                number if number.bytes().all(|b| b.is_ascii_digit()) => Step::Index(number.parse().ok()?),
                _ => return None,
            });
            rest = tail;
        }
        Some(Path(steps))
    }

    /// What is there; several things, where the path has a star, as a list.
    pub fn find(&self, event: &Value) -> Option<Value> {
        let is_many = self.0.contains(&Step::Each);
        let mut found = vec![event];
        for step in &self.0 {
            found = found
                .into_iter()
                .flat_map(|value| match step {
                    Step::Field(name) => value.get(name).into_iter().collect::<Vec<_>>(),
                    Step::Index(at) => value.get(at).into_iter().collect(),
                    Step::Each => match value {
                        Value::Array(list) => list.iter().collect(),
                        Value::Object(map) => map.values().collect(),
                        _ => Vec::new(),
                    },
                })
                .collect();
        }
        if is_many {
            return (!found.is_empty()).then(|| found.into_iter().cloned().collect());
        }
        found.first().map(|value| (*value).clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn finds() {
        let event =
            json!({"detail": {"a b": 1, "list": [{"id": "x"}, {"id": "y"}]}, "detail-type": "t", "resources": ["r"]});
        for (path, expect) in [
            ("$", Some(event.clone())),
            ("$.detail-type", Some(json!("t"))),
            ("$.resources[0]", Some(json!("r"))),
            ("$.resources[1]", None),
            ("$.detail['a b']", Some(json!(1))),
            ("$.detail.list[1].id", Some(json!("y"))),
            ("$.detail.list[*].id", Some(json!(["x", "y"]))),
            ("$.detail.none", None),
            ("$.none[*]", None),
        ] {
            assert_eq!(Path::parse(path).unwrap().find(&event), expect, "{path}");
        }
        for bad in ["", "detail", "$.", "$..a", "$[", "$[a]", "$['a", "$.a[", "$.a[-1]", "$a"] {
            assert_eq!(Path::parse(bad), None, "{bad}");
        }
    }
}
