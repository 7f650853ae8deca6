//! Parameters of requests to back ends, as integrations say where they come from
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/request-response-data-mappings.html>). Pure.

use std::collections::BTreeMap;

use crate::errors::Error;

const FROM: [&str; 3] = ["method.request.header.", "method.request.querystring.", "method.request.path."];
const CONTEXT: [&str; 5] =
    ["context.httpMethod", "context.path", "context.requestId", "context.stage", "context.identity.sourceIp"];

/// # Errors
/// What is refused, by name.
pub fn check(parameters: &BTreeMap<String, String>) -> Result<(), Error> {
    for (to, from) in parameters {
        let is_place = ["path.", "querystring.", "header."]
            .iter()
            .any(|kind| to.strip_prefix("integration.request.").is_some_and(|rest| rest.starts_with(kind)));
        if !is_place {
            return Err(Error::Invalid(format!("Invalid mapping expression parameter specified: {to}")));
        }
        let is_known = fixed(from).is_some()
            || FROM.iter().any(|start| from.starts_with(start))
            || from.starts_with("stageVariables.")
            || from.starts_with("context.authorizer.")
            || CONTEXT.contains(&from.as_str());
        if !is_known {
            return Err(Error::NotBuilt(format!("request parameter {to}: {from}")));
        }
    }
    Ok(())
}

/// A value that is written down.
pub fn fixed(from: &str) -> Option<&str> {
    from.strip_prefix('\'')?.strip_suffix('\'')
}

/// What goes where.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    pub path: BTreeMap<String, String>,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
}

/// What `value` finds nothing for is left out.
pub fn map(parameters: &BTreeMap<String, String>, value: impl Fn(&str) -> Option<String>) -> Mapped {
    let mut mapped = Mapped::default();
    for (to, from) in parameters {
        let found = fixed(from).map(str::to_owned).or_else(|| value(from));
        let place = to.strip_prefix("integration.request.").and_then(|rest| rest.split_once('.'));
        match (place, found) {
            (Some(("path", name)), Some(found)) => drop(mapped.path.insert(name.to_owned(), found)),
            (Some(("querystring", name)), Some(found)) => mapped.query.push((name.to_owned(), found)),
            (Some(("header", name)), Some(found)) => mapped.headers.push((name.to_owned(), found)),
            _ => {}
        }
    }
    mapped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn parameters() {
        let of = |to: &str, from: &str| BTreeMap::from([(to.to_owned(), from.to_owned())]);
        for (to, from, is_good) in [
            ("integration.request.path.proxy", "method.request.path.proxy", true),
            ("integration.request.header.X", "'fixed'", true),
            ("integration.request.querystring.x", "stageVariables.x", true),
            ("integration.request.header.X", "context.authorizer.principalId", true),
            ("integration.request.header.X", "method.request.body", false),
            ("integration.request.body", "'x'", false),
        ] {
            assert_eq!(check(&of(to, from)).is_ok(), is_good, "{to}: {from}");
        }
        let mut all = of("integration.request.path.a", "method.request.path.b");
        all.extend(of("integration.request.header.X", "'y z'"));
        all.extend(of("integration.request.querystring.q", "method.request.header.none"));
        let mapped = map(&all, |from| (from == "method.request.path.b").then(|| "found".to_owned()));
        let path = BTreeMap::from([("a".to_owned(), "found".to_owned())]);
        assert_eq!(mapped, Mapped { path, query: Vec::new(), headers: vec![("X".into(), "y z".into())] });
    }
}
