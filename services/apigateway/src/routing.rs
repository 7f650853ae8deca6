//! Which route a request takes, as AWS chooses: a literal segment before `{name}`, that before `{name+}`, all before `$default`;
//! of two routes with one path the one with the request's method before `ANY`
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>). Pure.

use std::collections::{BTreeMap, HashMap};

use cumulet_engine::catalog::Target;
use percent_encoding::percent_decode_str;

use crate::shapes::Texts;

const METHODS: [&str; 8] = ["ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// A route key, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKey {
    Default,
    Path { method: String, path: String },
}

impl RouteKey {
    /// `$default` or `METHOD /path`; a greedy `{name+}` only as the last segment.
    pub fn parse(text: &str) -> Option<RouteKey> {
        if text == "$default" {
            return Some(RouteKey::Default);
        }
        let (method, path) = text.split_once(' ')?;
        let rest = path.strip_prefix('/')?;
        if !METHODS.contains(&method) {
            return None;
        }
        let segments: Vec<&str> = rest.split('/').collect();
        let mut names = Vec::new();
        for (i, segment) in segments.iter().enumerate() {
            match Segment::parse(segment)? {
                Segment::Literal(_) => {}
                Segment::Greedy(_) if i + 1 < segments.len() => return None,
                Segment::Param(name) | Segment::Greedy(name) => {
                    if names.contains(&name) {
                        return None;
                    }
                    names.push(name);
                }
            }
        }
        Some(RouteKey::Path { method: method.to_owned(), path: path.to_owned() })
    }
}

enum Segment {
    Literal(String),
    Param(String),
    Greedy(String),
}

impl Segment {
    fn parse(text: &str) -> Option<Segment> {
        if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            let (name, is_greedy) = match inner.strip_suffix('+') {
                Some(name) => (name, true),
                None => (inner, false),
            };
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            return is_name.then(|| match is_greedy {
                true => Segment::Greedy(name.to_owned()),
                false => Segment::Param(name.to_owned()),
            });
        }
        (!text.contains(['{', '}'])).then(|| Segment::Literal(decoded(text)))
    }
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// Routes by path; `usize` is the index the caller gave them.
#[derive(Debug, Default)]
pub struct RouteTable {
    root: Node,
    default: Option<usize>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    param: Option<Box<Node>>,
    here: Methods,
    greedy: Methods,
}

/// Method to route and the names of the parameters on the way to it.
type Methods = HashMap<String, (usize, Vec<String>)>;

/// A route, and what its parameters stand for, percent-decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Match {
    pub route: usize,
    pub parameters: BTreeMap<String, String>,
}

impl RouteTable {
    /// Adds a route. Of two that cannot be told apart, the first stays.
    pub fn add(&mut self, key: &RouteKey, route: usize) {
        let (method, path) = match key {
            RouteKey::Default => {
                self.default.get_or_insert(route);
                return;
            }
            RouteKey::Path { method, path } => (method, path),
        };
        let mut node = &mut self.root;
        let mut names = Vec::new();
        for segment in path.trim_start_matches('/').split('/') {
            match Segment::parse(segment) {
                Some(Segment::Literal(text)) => node = node.literals.entry(text).or_default(),
                Some(Segment::Param(name)) => {
                    names.push(name);
                    node = node.param.get_or_insert_default();
                }
                Some(Segment::Greedy(name)) => {
                    names.push(name);
                    node.greedy.entry(method.clone()).or_insert((route, names));
                    return;
                }
                None => return,
            }
        }
        node.here.entry(method.clone()).or_insert((route, names));
    }

    /// The route of a request by its method and its encoded path without the stage.
    pub fn find(&self, method: &str, path: &str) -> Option<Match> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<&str> = path.split('/').collect();
        let mut values = Vec::new();
        if let Some((route, names)) = self.root.find(method, &segments, &mut values) {
            let parameters = names.iter().cloned().zip(values).collect();
            return Some(Match { route, parameters });
        }
        self.default.map(|route| Match { route, parameters: BTreeMap::new() })
    }
}

fn by_method<'a>(methods: &'a Methods, method: &str) -> Option<(usize, &'a [String])> {
    methods.get(method).or_else(|| methods.get("ANY")).map(|(route, names)| (*route, names.as_slice()))
}

impl Node {
    /// Visits every node at most once, because a node has one depth only.
    fn find(&self, method: &str, segments: &[&str], values: &mut Vec<String>) -> Option<(usize, &[String])> {
        let Some((first, rest)) = segments.split_first() else {
            return by_method(&self.here, method);
        };
        let text = decoded(first);
        if let Some(found) = self.literals.get(&text).and_then(|node| node.find(method, rest, values)) {
            return Some(found);
        }
        if let Some(node) = self.param.as_ref().filter(|_| !text.is_empty()) {
            let depth = values.len();
            values.push(text);
            if let Some(found) = node.find(method, rest, values) {
                return Some(found);
            }
            values.truncate(depth);
        }
        if first.is_empty() && rest.is_empty() {
            return None;
        }
        let found = by_method(&self.greedy, method)?;
        values.push(decoded(&segments.join("/")));
        Some(found)
    }
}

/// The function an integration URI names: a plain ARN, or the one in
/// `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations`.
pub fn function_of(uri: &str, stage_variables: &Texts) -> Option<Target> {
    let mut uri = uri.to_owned();
    for (name, value) in stage_variables {
        uri = uri.replace(&format!("${{stageVariables.{name}}}"), value);
    }
    let arn = match uri.split_once(":lambda:path/2015-03-31/functions/") {
        Some((head, tail)) if head.starts_with("arn:aws:apigateway:") => tail.strip_suffix("/invocations")?,
        _ => &uri,
    };
    Target::from_arn(arn)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn precedence() {
        let keys = [
            "GET /pets/dog/1",
            "GET /pets/dog/{id}",
            "GET /pets/{proxy+}",
            "ANY /{proxy+}",
            "$default",
            "ANY /pets/{kind}/toys",
            "POST /pets/{kind}/toys",
            "GET /",
        ];
        let mut table = RouteTable::default();
        for (i, key) in keys.iter().enumerate() {
            table.add(&RouteKey::parse(key).unwrap(), i);
        }
        let check = |method: &str, path: &str, key: &str, parameters: &[(&str, &str)]| {
            let found = table.find(method, path).unwrap();
            let parameters: BTreeMap<String, String> =
                parameters.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!((keys[found.route], &found.parameters), (key, &parameters), "{method} {path}");
        };
        check("GET", "/pets/dog/1", "GET /pets/dog/1", &[]);
        check("GET", "/pets/dog/2", "GET /pets/dog/{id}", &[("id", "2")]);
        check("GET", "/pets/dog/a%20b%2Fc", "GET /pets/dog/{id}", &[("id", "a b/c")]);
        check("GET", "/pets/cat/1/2", "GET /pets/{proxy+}", &[("proxy", "cat/1/2")]);
        check("POST", "/pets/cat/1", "ANY /{proxy+}", &[("proxy", "pets/cat/1")]);
        check("GET", "/pets/cat/toys", "ANY /pets/{kind}/toys", &[("kind", "cat")]);
        check("POST", "/pets/cat/toys", "POST /pets/{kind}/toys", &[("kind", "cat")]);
        check("GET", "/", "GET /", &[]);
        check("POST", "/", "$default", &[]);
    }

    #[test]
    fn without_a_default_there_may_be_no_route() {
        let mut table = RouteTable::default();
        table.add(&RouteKey::parse("GET /a/{x}").unwrap(), 0);
        assert!(table.find("POST", "/a/b").is_none());
        assert!(table.find("GET", "/a/").is_none());
        assert!(table.find("GET", "/a").is_none());
        assert!(table.find("GET", "/a/b/").is_none());
    }

    #[test]
    fn malformed_keys() {
        for bad in
            ["", "GET", "GET a", "get /a", "FOO /a", "GET /{a", "GET /{a+}/b", "GET /{a}/{a}", "GET /x{a}", "GET /{}"]
        {
            assert!(RouteKey::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn functions_of_uris() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
        let variables = Texts::from([("v".to_owned(), "PROD".to_owned())]);
        let path = format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations");
        assert_eq!(function_of(arn, &variables).unwrap().arn(), arn);
        assert_eq!(function_of(&path, &variables).unwrap().arn(), arn);
        let with = format!("{arn}:${{stageVariables.v}}");
        assert_eq!(function_of(&with, &variables).unwrap().qualifier.as_deref(), Some("PROD"));
        assert!(function_of("https://example.com", &variables).is_none());
    }
}
