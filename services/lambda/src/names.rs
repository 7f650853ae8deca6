//! How callers name functions: a name, a partial ARN or an ARN, with or without a qualifier
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>, `FunctionName`).

use cumulet_base::arn::Arn;
use cumulet_wire::call::Context;
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;

use crate::errors;

pub const LATEST: &str = "$LATEST";
/// What was published last of a function, without a number (`PublishTo`).
pub const PUBLISHED: &str = "$LATEST.PUBLISHED";
const NAME_MAX: usize = 64;
const PATTERN: &str = "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const QUALIFIER_PATTERN: &str = "\\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";
const QUALIFIER_MAX: usize = 128;

/// A function in this account and region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub account: String,
    pub region: String,
    pub name: String,
    /// As the caller gave it.
    pub qualifier: Option<String>,
}

/// What a qualifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At<'a> {
    Latest,
    /// A published version; 0 is `$LATEST.PUBLISHED`.
    Version(u64),
    Alias(&'a str),
}

impl At<'_> {
    pub fn of(qualifier: Option<&str>) -> At<'_> {
        match qualifier {
            None | Some(LATEST) => At::Latest,
            Some(PUBLISHED) => At::Version(0),
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                // No version has a number beyond it, nor 0.
                At::Version(text.parse().ok().filter(|n| *n > 0).unwrap_or(u64::MAX))
            }
            Some(alias) => At::Alias(alias),
        }
    }
}

impl Named {
    pub fn at(&self) -> At<'_> {
        At::of(self.qualifier.as_deref())
    }

    /// The same function without a qualifier.
    pub fn unqualified(&self) -> Named {
        Named { qualifier: None, ..self.clone() }
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }

    /// The ARN with the qualifier the caller used.
    pub fn qualified_arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.arn()),
            None => self.arn(),
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

struct Parts<'a> {
    region: Option<&'a str>,
    account: Option<&'a str>,
    name: &'a str,
    qualifier: Option<&'a str>,
}

fn parse(text: &str) -> Option<Parts<'_>> {
    let mut rest = text;
    if let Some(tail) = rest.strip_prefix("arn:") {
        let (partition, tail) = tail.split_once(':')?;
        if !partition.starts_with("aws") {
            return None;
        }
        rest = tail.strip_prefix("lambda:")?;
    }
    let mut fields: Vec<&str> = rest.split(':').collect();
    let mut region = None;
    let mut account = None;
    let is_region = |f: &str| {
        let parts: Vec<_> = f.split('-').collect();
        parts.len() >= 3 && parts.last().is_some_and(|p| p.len() == 1 && p.bytes().all(|b| b.is_ascii_digit()))
    };
    if fields.len() > 1 && is_region(fields[0]) {
        region = Some(fields.remove(0));
    }
    if fields.len() > 1 && fields[0].len() == 12 && fields[0].bytes().all(|b| b.is_ascii_digit()) {
        account = Some(fields.remove(0));
    }
    if fields.len() > 1 && fields[0] == "function" {
        fields.remove(0);
    }
    let (name, qualifier) = match fields.as_slice() {
        [name] => (*name, None),
        [name, qualifier] => (*name, Some(*qualifier)),
        _ => return None,
    };
    let is_good =
        is_word(name) && qualifier.is_none_or(|q| q == LATEST || q == PUBLISHED || q.is_empty() || is_word(q));
    is_good.then_some(Parts { region, account, name, qualifier: qualifier.filter(|q| !q.is_empty()) })
}

/// Reads the `FunctionName` and `Qualifier` of a request.
///
/// # Errors
/// A broken name, a function of another region or account, or two qualifiers that differ.
pub fn read(context: &Context, function_name: &str, qualifier: Option<&str>) -> Result<Named, ApiError> {
    let mut checks = Validation::new();
    checks.pattern("functionName", Some(function_name), PATTERN, |text| parse(text).is_some());
    checks.finish("ValidationException")?;
    let Some(parts) = parse(function_name) else {
        return Err(errors::function_not_found(function_name));
    };
    let mut checks = Validation::new();
    checks.length("functionName", Some(parts.name), 1, NAME_MAX);
    checks.finish("ValidationException")?;
    if let Some(region) = parts.region.filter(|region| *region != context.region) {
        return Err(errors::not_found(format!(
            "Functions from '{region}' are not reachable in this region ('{}')",
            context.region
        )));
    }
    if parts.account.is_some_and(|account| account != context.account()) {
        return Err(errors::function_not_found(function_name));
    }
    let qualifier = qualifier.filter(|q| !q.is_empty());
    let mut checks = Validation::new();
    checks
        .length("qualifier", qualifier, 1, QUALIFIER_MAX)
        .pattern("qualifier", qualifier, QUALIFIER_PATTERN, |q| q == LATEST || q == PUBLISHED || is_word(q));
    checks.finish("ValidationException")?;
    if let (Some(a), Some(b)) = (parts.qualifier, qualifier)
        && a != b
    {
        return Err(errors::invalid_parameter(
            "The derived qualifier from the function name does not match the specified qualifier.",
        ));
    }
    Ok(Named {
        account: context.account().to_owned(),
        region: context.region.clone(),
        name: parts.name.to_owned(),
        qualifier: parts.qualifier.or(qualifier).map(str::to_owned),
    })
}

/// As [`read`], for operations on the function itself: of qualifiers only `$LATEST` is taken.
pub fn read_latest(context: &Context, function_name: &str) -> Result<Named, ApiError> {
    let named = read(context, function_name, None)?;
    match named.at() {
        At::Latest => Ok(named.unqualified()),
        _ => Err(errors::invalid_parameter(format!(
            "This operation is performed on $LATEST, and does not take the qualifier of {}.",
            named.qualified_arn()
        ))),
    }
}

/// As [`read`], for function URLs: they are of functions and aliases.
pub fn read_url(context: &Context, function_name: &str, qualifier: Option<&str>) -> Result<Named, ApiError> {
    let named = read(context, function_name, qualifier)?;
    match (named.at(), &named.qualifier) {
        (At::Latest, None) | (At::Alias(_), _) => Ok(named),
        _ => Err(errors::invalid_parameter(
            "The qualifier of a function URL is an alias: $LATEST and versions have none.",
        )),
    }
}

const RESOURCE_PATTERN: &str = "arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)";

/// What tags are of.
#[derive(Debug)]
pub enum Tagged {
    Function(Named),
    /// An event source mapping by its id.
    Mapping(String),
}

/// A function or an event source mapping by the ARN that the tag operations take.
pub fn read_resource(context: &Context, resource: &str) -> Result<Tagged, ApiError> {
    let arn = resource.parse::<Arn>().ok().filter(|arn| arn.service == "lambda");
    let mut checks = Validation::new();
    checks.pattern("resource", Some(resource), RESOURCE_PATTERN, |_| arn.is_some());
    checks.finish("ValidationException")?;
    let (kind, id) = arn.as_ref().and_then(|arn| arn.resource.split_once(':')).unwrap_or_default();
    match kind {
        "function" => {}
        "event-source-mapping" => return Ok(Tagged::Mapping(id.to_owned())),
        _ => {
            return Err(errors::invalid_parameter(format!(
                "The resource `{resource}` is neither a function nor an event source mapping; others have no tags here"
            )));
        }
    }
    let named = read(context, resource, None)?;
    match named.qualifier {
        None => Ok(Tagged::Function(named)),
        Some(_) => Err(errors::invalid_parameter(
            "Tags on function aliases and versions are not supported. Please specify either a function ARN.",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::context;

    #[test]
    fn every_form_names_the_same_function() {
        let c = context();
        for (text, qualifier) in [
            ("hello", None),
            ("function:hello", None),
            ("000000000000:function:hello", None),
            ("us-east-1:000000000000:function:hello", None),
            ("arn:aws:lambda:us-east-1:000000000000:function:hello", None),
            ("hello:$LATEST", Some(LATEST)),
            ("arn:aws:lambda:us-east-1:000000000000:function:hello:$LATEST", Some(LATEST)),
        ] {
            let named = read(&c, text, None).unwrap();
            assert_eq!((named.name.as_str(), named.qualifier.as_deref()), ("hello", qualifier), "{text}");
        }
    }

    #[test]
    fn what_qualifiers_name() {
        for (qualifier, at) in [
            (None, At::Latest),
            (Some(LATEST), At::Latest),
            (Some(PUBLISHED), At::Version(0)),
            (Some("12"), At::Version(12)),
            (Some("0"), At::Version(u64::MAX)),
            (Some("live"), At::Alias("live")),
            (Some("1a"), At::Alias("1a")),
        ] {
            assert_eq!(At::of(qualifier), at);
        }
    }

    #[test]
    fn broken_and_foreign_names() {
        let c = context();
        for (text, code) in [
            ("a b", "ValidationException"),
            ("", "ValidationException"),
            ("a:b:c:d", "ValidationException"),
            ("a/b", "ValidationException"),
            ("hello:a.b", "ValidationException"),
            ("arn:aws:lambda:eu-west-1:000000000000:function:hello", "ResourceNotFoundException"),
            ("arn:aws:lambda:us-east-1:111111111111:function:hello", "ResourceNotFoundException"),
        ] {
            assert_eq!(read(&c, text, None).unwrap_err().code, code, "{text}");
        }
        assert_eq!(read(&c, &"x".repeat(65), None).unwrap_err().code, "ValidationException");
        assert_eq!(read(&c, "hello", Some("$OTHER")).unwrap_err().code, "ValidationException");
        assert_eq!(read_latest(&c, "hello:1").unwrap_err().code, "InvalidParameterValueException");
        assert_eq!(read(&c, "hello:1", Some("2")).unwrap_err().code, "InvalidParameterValueException");
    }
}
