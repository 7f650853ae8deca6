//! Access logs: one event per request in the stage's format, with `$context` variables filled in
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html>).

use cumulet_base::arn::Arn;

/// Variables by name, without `$context.`.
pub type Variables = Vec<(&'static str, String)>;

/// Account, region and name of the log group an ARN names.
pub fn group(arn: &str) -> Option<(String, String, String)> {
    let arn: Arn = arn.parse().ok()?;
    let name = arn.resource.strip_prefix("log-group:")?;
    let name = name.strip_suffix(":*").unwrap_or(name);
    (arn.service == "logs" && !name.is_empty()).then(|| (arn.account, arn.region, name.to_owned()))
}

/// The line; variables that have no value are `-`.
pub fn line(format: &str, variables: &Variables) -> String {
    const START: &str = "$context.";
    let mut out = String::with_capacity(format.len() * 2);
    let mut rest = format;
    while let Some(at) = rest.find(START) {
        out.push_str(&rest[..at]);
        rest = &rest[at + START.len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == '-')).unwrap_or(rest.len());
        // A full stop that ends a sentence is no part of the name.
        let name = rest[..end].trim_end_matches('.');
        match variables.iter().find(|(known, _)| *known == name) {
            Some((_, value)) if !value.is_empty() => {
                // Formats are mostly JSON: what would end a string in it is escaped, as AWS does.
                let quoted = serde_json::Value::from(value.as_str()).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
            _ => out.push('-'),
        }
        rest = &rest[name.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_groups() {
        let variables = vec![("requestId", "r".to_owned()), ("identity.userAgent", "a\"b".to_owned())];
        assert_eq!(
            line(
                r#"{"id":"$context.requestId","ua":"$context.identity.userAgent","x":"$context.nope"} $context.requestId."#,
                &variables
            ),
            r#"{"id":"r","ua":"a\"b","x":"-"} r."#
        );
        let found = group("arn:aws:logs:r:000000000000:log-group:/a/b:*");
        assert_eq!(found, Some(("000000000000".into(), "r".into(), "/a/b".into())));
        assert!(group("arn:aws:s3:::x").is_none());
    }
}
