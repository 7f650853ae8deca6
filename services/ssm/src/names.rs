//! Names of parameters: what they may be, and how a version or a label is asked for. Pure.

use cumulet_wire::error::ApiError;

use crate::errors;

const LENGTH_MAX: usize = 1011;
const LEVELS_MAX: usize = 15;

/// A name as requests give it, and what it picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected<'a> {
    pub name: &'a str,
    /// What followed the colon: a version's number or a label.
    pub selector: Option<&'a str>,
}

/// `NAME`, `NAME:VERSION`, `NAME:LABEL`, or an ARN with either. `None`: that is none of them.
pub fn selected(given: &str) -> Option<Selected<'_>> {
    // `arn:aws:ssm:REGION:ACCOUNT:parameter/NAME`; a name without a stroke at its beginning has an ARN like one with.
    let rest = match given.strip_prefix("arn:") {
        Some(rest) => {
            let resource = rest.splitn(5, ':').nth(4)?;
            let name = resource.strip_prefix("parameter")?;
            if name[1..].contains('/') { name } else { &name[1..] }
        }
        None => given,
    };
    let (name, selector) = match rest.split_once(':') {
        Some((name, selector)) => (name, Some(selector)),
        None => (rest, None),
    };
    (!name.is_empty()).then_some(Selected { name, selector })
}

/// # Errors
/// AWS's, for what is no name of a new parameter.
pub fn check(name: &str) -> Result<(), ApiError> {
    let is_letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b));
    if name.is_empty() || name.len() > LENGTH_MAX || !is_letters {
        return Err(errors::invalid(
            "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of \
             sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the \
             following 3 symbols .-_",
        ));
    }
    let levels: Vec<&str> = name.trim_start_matches('/').split('/').collect();
    if name.contains('/') && (!name.starts_with('/') || levels.iter().any(|level| level.is_empty())) {
        return Err(errors::invalid("Parameter name must be a fully qualified name."));
    }
    if levels.len() > LEVELS_MAX {
        return Err(errors::hierarchy_too_deep());
    }
    let first = levels[0].to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err(errors::invalid("Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive)."));
    }
    Ok(())
}

/// Whether a name lies under a path: right under it, or at any depth.
pub fn is_under(name: &str, path: &str, is_recursive: bool) -> bool {
    let path = path.trim_end_matches('/');
    match name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => is_recursive || !rest.contains('/'),
        // A name without a stroke lies right under the root.
        None => path.is_empty() && !name.contains('/'),
    }
}

/// # Errors
/// AWS's sentence for what is no label.
pub fn is_label(label: &str) -> bool {
    let is_letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let lower = label.to_ascii_lowercase();
    (1..=100).contains(&label.len())
        && is_letters
        && !label.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_selectors() {
        let of = |name, selector| Some(Selected { name, selector });
        assert_eq!(selected("/a/b"), of("/a/b", None));
        assert_eq!(selected("a:3"), of("a", Some("3")));
        assert_eq!(selected("arn:aws:ssm:r:0:parameter/a/b:live"), of("/a/b", Some("live")));
        assert_eq!(selected("arn:aws:ssm:r:0:parameter/a"), of("a", None));
        assert_eq!(selected("arn:aws:s3:::b"), None);
        for good in ["a", "/a", "/a/b.c-d_e", "Cdk-bootstrap"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "/a//b", "/aws/x", "ssmx", "a b", &format!("/{}", ["x"; 16].join("/"))] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(is_label("live") && !is_label("1st") && !is_label("aws-x") && !is_label(""));
    }

    #[test]
    fn paths() {
        for (name, path, is_recursive, expect) in [
            ("/a/b", "/a", false, true),
            ("/a/b/c", "/a", false, false),
            ("/a/b/c", "/a/", true, true),
            ("/ab", "/a", true, false),
            ("/a", "/", false, true),
            ("a", "/", false, true),
            ("/a", "/a", true, false),
        ] {
            assert_eq!(is_under(name, path, is_recursive), expect, "{name} {path}");
        }
    }
}
