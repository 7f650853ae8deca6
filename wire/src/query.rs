//! The query protocol: forms in, XML out; and how a service that has moved on to JSON was called in it: lists and maps are
//! flat there, under names of their own, and errors have longer codes.

use std::collections::HashMap;

use bytes::Bytes;
use cumulet_base::clock;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::operation::{Operation, ServiceModel};

/// What a service of another protocol is in this one.
#[derive(Debug)]
pub struct Older {
    pub flat: &'static [Flat],
    /// Operations whose answers are only their metadata.
    pub silent: &'static [&'static str],
    /// `(code in JSON, code in a form's answer)`, where they differ.
    pub errors: &'static [(&'static str, &'static str)],
    /// The member that a path other than `/` stands for; empty where there is none.
    pub path_member: &'static str,
    /// Members that are times; the service's own form is seconds.
    pub times: &'static [&'static str],
}

/// A list or a map whose entries are numbered without a `member` or `entry` between.
#[derive(Debug)]
pub struct Flat {
    /// With a `*` for the operation's name.
    pub form: &'static str,
    pub member: &'static str,
    pub shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    List,
    Map {
        key: &'static str,
        value: &'static str,
    },
    /// A map in an answer that is not flat: entries of `key` and `value` within the member.
    Entries,
}

impl Flat {
    pub const fn list(form: &'static str, member: &'static str) -> Flat {
        Flat { form, member, shape: Shape::List }
    }

    pub const fn map(form: &'static str, member: &'static str, key: &'static str, value: &'static str) -> Flat {
        Flat { form, member, shape: Shape::Map { key, value } }
    }

    pub const fn entries(member: &'static str) -> Flat {
        Flat { form: member, member, shape: Shape::Entries }
    }

    fn is_form(&self, operation: &str, name: &str) -> bool {
        match self.form.strip_prefix('*') {
            Some(tail) => name.strip_prefix(operation) == Some(tail),
            None => name == self.form,
        }
    }
}

impl Older {
    /// Members of a form, as the service's model has them.
    pub fn input(&self, operation: &str, path: &str, members: Map<String, Value>) -> Map<String, Value> {
        let mut input = self.members(operation, members);
        if path.len() > 1 && !self.path_member.is_empty() && !input.contains_key(self.path_member) {
            input.insert(self.path_member.to_owned(), path.into());
        }
        input
    }

    pub fn code<'a>(&self, code: &'a str) -> &'a str {
        self.errors.iter().find(|(newer, _)| *newer == code).map_or(code, |(_, older)| *older)
    }

    fn members(&self, operation: &str, members: Map<String, Value>) -> Map<String, Value> {
        let known = |(name, value): (String, Value)| {
            let flat = self.flat.iter().find(|flat| flat.is_form(operation, &name));
            match (flat, value) {
                (Some(flat), Value::Object(numbered)) => {
                    (flat.member.to_owned(), self.gathered(operation, flat.shape, numbered))
                }
                (_, value) => (name, self.value(operation, value)),
            }
        };
        members.into_iter().map(known).collect()
    }

    fn value(&self, operation: &str, value: Value) -> Value {
        match value {
            Value::Object(members) => self.members(operation, members).into(),
            other => other,
        }
    }

    fn gathered(&self, operation: &str, shape: Shape, numbered: Map<String, Value>) -> Value {
        let entries = in_order(numbered.into_iter());
        match shape {
            Shape::List | Shape::Entries => entries.map(|entry| self.value(operation, entry)).collect(),
            Shape::Map { key, value } => {
                let pair = |mut entry: Value| {
                    let name = entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                    (name, self.value(operation, entry.get_mut(value).map(Value::take).unwrap_or_default()))
                };
                Value::Object(entries.map(pair).collect())
            }
        }
    }
}

/// What is numbered, by its numbers.
fn in_order(numbered: impl Iterator<Item = (String, Value)>) -> impl Iterator<Item = Value> {
    let mut entries: Vec<(u64, Value)> = numbered.map(|(at, value)| (at.parse().unwrap_or(u64::MAX), value)).collect();
    entries.sort_by_key(|(at, _)| *at);
    entries.into_iter().map(|(_, value)| value)
}

/// Action and members of a query call. `A.member.2.B=x` becomes a list of objects.
pub fn input(body: &[u8]) -> Result<(String, Map<String, Value>), ApiError> {
    let mut action = None;
    let mut root = Node::default();
    for (count, (name, value)) in form_urlencoded::parse(body).enumerate() {
        if count >= QUERY_MEMBERS_MAX {
            return Err(ApiError::new(400, "MalformedInput", "The request has too many members"));
        }
        match name.as_ref() {
            "Action" => action = Some(value.into_owned()),
            "Version" => {}
            name => root.insert(name, value.into_owned())?,
        }
    }
    let action =
        action.ok_or_else(|| ApiError::new(400, "MissingAction", "The request must contain the parameter Action"))?;
    match root.value() {
        Value::Object(members) => Ok((action, members)),
        _ => Ok((action, Map::new())),
    }
}

const QUERY_MEMBERS_MAX: usize = 10_000;
const QUERY_DEPTH_MAX: usize = 16;

#[derive(Default)]
struct Node {
    text: Option<String>,
    children: Map<String, Value>,
    nested: Vec<(String, Node)>,
    /// Where in `nested` a name is.
    index: HashMap<String, usize>,
}

impl Node {
    fn insert(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        let malformed = || ApiError::new(400, "MalformedInput", format!("The member {name} is malformed"));
        if name.split('.').count() > QUERY_DEPTH_MAX || name.split('.').any(str::is_empty) {
            return Err(malformed());
        }
        let mut node = self;
        for part in name.split('.') {
            let at = match node.index.get(part) {
                Some(at) => *at,
                None => {
                    node.nested.push((part.to_owned(), Node::default()));
                    node.index.insert(part.to_owned(), node.nested.len() - 1);
                    node.nested.len() - 1
                }
            };
            node = &mut node.nested[at].1;
        }
        node.text = Some(value);
        Ok(())
    }

    fn value(self) -> Value {
        let Node { text, mut children, mut nested, .. } = self;
        if nested.is_empty() {
            return text.map_or(Value::Object(children), Value::String);
        }
        // `member.1`, `member.2` …: a list. Empty lists come as `Name=` alone.
        if nested.len() == 1 && nested[0].0 == "member" {
            let items = nested.remove(0).1.nested.into_iter().map(|(index, node)| (index, node.value()));
            return in_order(items).collect();
        }
        for (name, node) in nested {
            children.insert(name, node.value());
        }
        Value::Object(children)
    }
}

/// The body of an answer.
pub fn answer(
    model: &ServiceModel,
    older: Option<&Older>,
    operation: &Operation,
    output: &Value,
    request_id: &str,
) -> Bytes {
    let name = operation.name;
    let writer = Writer { older, operation: name };
    let mut body = format!("<{name}Response xmlns=\"{}\">", model.xmlns);
    if !older.is_some_and(|older| older.silent.contains(&name)) {
        writer.element(&mut body, &format!("{name}Result"), if output.is_null() { &EMPTY } else { output });
    }
    body.push_str("<ResponseMetadata>");
    writer.element(&mut body, "RequestId", &request_id.into());
    body.push_str("</ResponseMetadata></");
    body.push_str(name);
    body.push_str("Response>");
    body.into()
}

/// The body of a failure.
pub fn failure(error: &ApiError, older: Option<&Older>, request_id: &str) -> Bytes {
    let side = if error.is_senders() { "Sender" } else { "Receiver" };
    let code = older.map_or(error.code.as_str(), |older| older.code(&error.code));
    let writer = Writer { older: None, operation: "" };
    let mut body = String::from("<ErrorResponse><Error>");
    for (name, text) in [("Type", side), ("Code", code), ("Message", &error.message)] {
        writer.element(&mut body, name, &text.into());
    }
    body.push_str("</Error>");
    writer.element(&mut body, "RequestId", &request_id.into());
    body.push_str("</ErrorResponse>");
    body.into()
}

static EMPTY: Value = Value::Array(Vec::new());

struct Writer<'a> {
    older: Option<&'a Older>,
    operation: &'a str,
}

impl Writer<'_> {
    /// A member of a structure: flat ones are as many elements as they have entries.
    fn member(&self, out: &mut String, name: &str, value: &Value) {
        let flat = self.older.and_then(|older| older.flat.iter().find(|flat| flat.member == name));
        let form = flat.map(|flat| flat.form.replacen('*', self.operation, 1)).unwrap_or_default();
        match (flat.map(|flat| flat.shape), value) {
            (Some(Shape::List), Value::Array(items)) => items.iter().for_each(|item| self.element(out, &form, item)),
            (Some(Shape::Map { key, value: inner }), Value::Object(pairs)) => {
                for (name, value) in pairs {
                    out.push_str(&format!("<{form}>"));
                    self.element(out, key, &name.as_str().into());
                    self.element(out, inner, value);
                    out.push_str(&format!("</{form}>"));
                }
            }
            (Some(Shape::Entries), Value::Object(pairs)) => {
                out.push_str(&format!("<{name}>"));
                for (key, value) in pairs {
                    out.push_str("<entry>");
                    self.element(out, "key", &key.as_str().into());
                    self.element(out, "value", value);
                    out.push_str("</entry>");
                }
                out.push_str(&format!("</{name}>"));
            }
            _ if self.is_time(name) => self.element(out, name, &in_words(value)),
            _ => self.element(out, name, value),
        }
    }

    fn is_time(&self, name: &str) -> bool {
        self.older.is_some_and(|older| older.times.contains(&name))
    }

    fn element(&self, out: &mut String, name: &str, value: &Value) {
        if value.is_null() {
            return;
        }
        out.push_str(&format!("<{name}>"));
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| self.member(out, name, value)),
            Value::Array(items) => items.iter().for_each(|item| self.element(out, "member", item)),
            Value::String(text) => push_escaped(out, text),
            other => out.push_str(&other.to_string()),
        }
        out.push_str(&format!("</{name}>"));
    }
}

/// Seconds as this protocol writes times.
fn in_words(time: &Value) -> Value {
    match time {
        Value::Number(seconds) => clock::iso_ms((seconds.as_f64().unwrap_or_default() * 1000.0).round() as u64).into(),
        Value::Array(times) => times.iter().map(in_words).collect(),
        other => other.clone(),
    }
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            // XML 1.0 has no way to write the other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::operation::Protocol;

    static MODEL: ServiceModel =
        ServiceModel { name: "x", protocol: Protocol::Query, target: "", xmlns: "urn:x", operations: &[], absent: &[] };
    static LIST: Operation = Operation::rpc("List");
    static OLDER: Older = Older {
        flat: &[
            Flat::list("Url", "Urls"),
            Flat::list("*Entry", "Entries"),
            Flat::map("Attribute", "Attributes", "Name", "Value"),
            Flat::entries("Pairs"),
        ],
        silent: &["Silent"],
        errors: &[("NoUrl", "Older.NoUrl")],
        path_member: "Url",
        times: &["At", "Times"],
    };

    #[test]
    fn query_members() {
        let (action, members) = input(
            b"Action=CreateStack&Version=1&Tags.member.2.Key=b&Tags.member.1.Key=a&N.X=1&Capabilities.member.1=C",
        )
        .unwrap();
        assert_eq!(action, "CreateStack");
        assert_eq!(
            Value::Object(members),
            json!({"Tags": [{"Key": "a"}, {"Key": "b"}], "N": {"X": "1"}, "Capabilities": ["C"]})
        );
        assert_eq!(input(b"X=1").unwrap_err().code, "MissingAction");
        assert_eq!(input(b"Action=A&a..b=1").unwrap_err().code, "MalformedInput");
    }

    #[test]
    fn query_answers_are_escaped() {
        let output = json!({"Stacks": [{"Name": "<a&b>", "Gone": null, "N": 1, "Ok": true}]});
        let body = super::answer(&MODEL, None, &LIST, &output, "r");
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "<ListResponse xmlns=\"urn:x\"><ListResult><Stacks><member><Name>&lt;a&amp;b&gt;</Name><N>1</N><Ok>true</Ok></member></Stacks></ListResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></ListResponse>"
        );
    }

    #[test]
    fn flat_forms() {
        let form = b"Action=List&Url.2=b&Url.1=a&ListEntry.1.Id=i&ListEntry.1.Attribute.1.Name=n&ListEntry.1.Attribute.1.Value.Type=t&OtherEntry.1=x";
        let (action, members) = input(form).unwrap();
        assert_eq!(
            Value::Object(OLDER.input(&action, "/", members)),
            json!({
                "Urls": ["a", "b"],
                "Entries": [{"Id": "i", "Attributes": {"n": {"Type": "t"}}}],
                "OtherEntry": {"1": "x"},
            })
        );
        let (action, members) = input(b"Action=List").unwrap();
        assert_eq!(Value::Object(OLDER.input(&action, "/0/q", members)), json!({"Url": "/0/q"}));
    }

    #[test]
    fn flat_answers() {
        let output = json!({"Urls": ["a", "b"], "Entries": [{"Attributes": {"n": {"Type": "t"}, "m": "v"}}]});
        let body = answer(&MODEL, Some(&OLDER), &LIST, &output, "r");
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "<ListResponse xmlns=\"urn:x\"><ListResult><Url>a</Url><Url>b</Url><ListEntry><Attribute><Name>n</Name><Value><Type>t</Type></Value></Attribute><Attribute><Name>m</Name><Value>v</Value></Attribute></ListEntry></ListResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></ListResponse>"
        );
        let output = json!({"At": 1.5, "Times": [0], "Pairs": {"a": 1}});
        let body = answer(&MODEL, Some(&OLDER), &LIST, &output, "r");
        let body = std::str::from_utf8(&body).unwrap();
        assert!(body.contains("<At>1970-01-01T00:00:01.500Z</At>"), "{body}");
        assert!(body.contains("<Times><member>1970-01-01T00:00:00.000Z</member></Times>"), "{body}");
        assert!(body.contains("<Pairs><entry><key>a</key><value>1</value></entry></Pairs>"), "{body}");
        let silent = answer(&MODEL, Some(&OLDER), &Operation::rpc("Silent"), &Value::Null, "r");
        assert!(!std::str::from_utf8(&silent).unwrap().contains("Result"));
        let failed = failure(&ApiError::new(400, "NoUrl", "no"), Some(&OLDER), "r");
        assert!(std::str::from_utf8(&failed).unwrap().contains("<Code>Older.NoUrl</Code>"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok((action, members)) = input(&body) {
                let _either = OLDER.input(&action, "/", members);
            }
        }
    }
}
