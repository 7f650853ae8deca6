//! The section `Rules`: assertions on parameters, checked before anything else is done
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html>). Pure.
//! `Fn::RefAll`, `Fn::ValueOf` and `Fn::ValueOfAll` ask about networks and are refused by name.

use serde_json::Value;

use crate::errors::Error;
use crate::intrinsics::Scope;

/// # Errors
/// The assertions that do not hold, with their descriptions.
pub fn check(scope: &Scope<'_>) -> Result<(), Error> {
    let mut broken = Vec::new();
    for (name, rule) in &scope.template.rules {
        if let Some(condition) = rule.get("RuleCondition")
            && !holds(scope, condition)?
        {
            continue;
        }
        for assertion in rule.get("Assertions").and_then(Value::as_array).into_iter().flatten() {
            let Some(condition) = assertion.get("Assert") else {
                return Err(Error::Template(format!("[/Rules/{name}] every assertion must contain an Assert")));
            };
            if !holds(scope, condition)? {
                let why = assertion.get("AssertDescription").and_then(Value::as_str).unwrap_or("Assertion failed");
                broken.push(why.to_owned());
            }
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(Error::Validation(format!("Template constraint violated: [{}]", broken.join(", ")))),
    }
}

fn holds(scope: &Scope<'_>, condition: &Value) -> Result<bool, Error> {
    match scope.resolve(condition)? {
        Some(Value::Bool(is)) => Ok(is),
        _ => Err(Error::Template(format!("{condition} is not a condition"))),
    }
}
