//! A request made ready to be carried out: template transformed and parsed, rules checked, plan made. Pure: what other
//! services know (values of looked-up parameters, exports) has been asked for before.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::attributes;
use crate::errors::Error;
use crate::intrinsics::{self, Pseudo, Scope};
use crate::plan::{self, Existing, Plan};
use crate::sam;
use crate::stack::{Texts, Wish};
use crate::template::macros::{self, Stop};
use crate::template::{self, Given, Parameter, Template, language, rules};

pub struct Prepared {
    pub wish: Wish,
    pub template: Template,
    pub values: BTreeMap<String, Value>,
    pub conditions: BTreeMap<String, bool>,
    pub pseudo: Pseudo,
    pub exports: Texts,
    pub plan: Plan,
}

pub const SAM: &str = "AWS::Serverless-2016-10-31";

/// A template as it was written, and the parameters it declares.
pub fn declared(text: &str) -> Result<(Value, BTreeMap<String, Parameter>), Error> {
    let value = template::parse(text)?;
    let mut declared = BTreeMap::new();
    for (name, parameter) in value.get("Parameters").and_then(Value::as_object).into_iter().flatten() {
        declared.insert(name.clone(), Parameter::from_value(name, parameter)?);
    }
    Ok((value, declared))
}

/// The values of parameters whose texts are known; of those that are looked up, `found` has the texts that are meant.
pub fn values(
    declared: &BTreeMap<String, Parameter>,
    texts: &Texts,
    found: &Texts,
) -> Result<BTreeMap<String, Value>, Error> {
    let mut values = BTreeMap::new();
    for (name, text) in texts {
        if let Some(parameter) = declared.get(name) {
            let text = if parameter.is_looked_up() { found.get(name).unwrap_or(text) } else { text };
            values.insert(name.clone(), parameter.value(name, text)?);
        }
    }
    Ok(values)
}

/// A template after its transforms. Without `answers` of macros it stays as it is where they would change it.
pub fn transformed(
    value: &Value,
    values: &BTreeMap<String, Value>,
    answers: Option<&Texts>,
) -> Result<(Value, Template), Error> {
    let value = match rewritten(value, values, answers) {
        Ok(value) => value,
        Err(Stop::Unanswered(question)) => return Err(Error::NotBuilt(format!("transform {}", question.name))),
        Err(Stop::Error(error)) => return Err(error),
    };
    let template = Template::from_value(&value)?;
    Ok((value, template))
}

fn rewritten(value: &Value, values: &BTreeMap<String, Value>, answers: Option<&Texts>) -> Result<Value, Stop> {
    let mut value = macros::parts(value, answers)?;
    for (name, parameters) in macros::declared(&value) {
        value = match name.as_str() {
            SAM => sam::transform(&macros::documents(&value, answers)?, values)?,
            language::NAME => language::expand(&value, values)?,
            other => macros::whole(other, &parameters, &value, answers)?,
        };
    }
    Ok(value)
}

/// What a template asks macros next, after the questions that have answers.
pub fn unanswered(
    text: &str,
    values: &BTreeMap<String, Value>,
    answers: &Texts,
) -> Result<Option<macros::Question>, Error> {
    match rewritten(&template::parse(text)?, values, Some(answers)) {
        Ok(_) => Ok(None),
        Err(Stop::Unanswered(question)) => Ok(Some(*question)),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// The template of a wish after its transforms.
pub fn processed(wish: &Wish) -> Result<(Value, Template), Error> {
    let (value, declared) = declared(&wish.template)?;
    transformed(&value, &values(&declared, &wish.parameters, &wish.found)?, Some(&wish.macros))
}

/// The template of a text after its transforms, as far as they can be done with the defaults of its parameters.
pub fn processed_by_defaults(text: &str) -> Result<(Value, Template), Error> {
    let (value, declared) = declared(text)?;
    let defaults = declared.iter().filter(|(_, p)| !p.is_looked_up());
    let texts: Texts = defaults.filter_map(|(name, p)| Some((name.clone(), p.default.clone()?))).collect();
    transformed(&value, &values(&declared, &texts, &Texts::new())?, None)
}

/// The capabilities a template needs, and the types of the resources for whose sake.
pub fn capabilities(template: &Template) -> (Vec<&'static str>, Vec<&str>) {
    const NAMES: [(&str, &str); 5] = [
        ("AWS::IAM::Role", "RoleName"),
        ("AWS::IAM::User", "UserName"),
        ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
        ("AWS::IAM::Group", "GroupName"),
        ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
    ];
    let identities = || template.resources.iter().filter(|r| r.kind.starts_with("AWS::IAM::"));
    let is_named =
        identities().any(|r| NAMES.iter().any(|(kind, name)| r.kind == *kind && r.properties.get(name).is_some()));
    let mut kinds: Vec<&str> = identities().map(|r| r.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let is_nested = template.resources.iter().any(|r| r.kind == "AWS::CloudFormation::Stack");
    let needed = match (is_named, kinds.is_empty()) {
        (true, _) => vec!["CAPABILITY_NAMED_IAM"],
        (false, false) => vec!["CAPABILITY_IAM"],
        (false, true) => Vec::new(),
    };
    if is_nested {
        kinds.push("AWS::CloudFormation::Stack");
    }
    (needed, kinds)
}

/// `expands`: whether transforms need a capability, which they do where no change set shows what becomes of them.
pub fn check_capabilities(prepared: &Prepared, expands: bool) -> Result<(), Error> {
    let Prepared { template, wish, .. } = prepared;
    let has = |name: &str| wish.capabilities.iter().any(|g| g == name);
    for needed in capabilities(template).0 {
        let is_enough = has("CAPABILITY_NAMED_IAM") || (needed == "CAPABILITY_IAM" && has(needed));
        if !is_enough {
            return Err(Error::Capabilities(needed));
        }
    }
    // Macros in the middle of a template are not among its transforms.
    let is_rewritten = !template.transforms.is_empty() || !wish.macros.is_empty();
    if expands && is_rewritten && !has("CAPABILITY_AUTO_EXPAND") {
        return Err(Error::Capabilities("CAPABILITY_AUTO_EXPAND"));
    }
    Ok(())
}

/// Whether the types of a template are among those that a request allows: whole names, or what they begin with and a `*`.
/// An empty list allows all.
pub fn check_types(template: &Template, allowed: &[String]) -> Result<(), Error> {
    let is_allowed = |kind: &str| {
        allowed.iter().any(|one| one.strip_suffix('*').map_or(one == kind, |beginning| kind.starts_with(beginning)))
    };
    match template.resources.iter().find(|resource| !allowed.is_empty() && !is_allowed(&resource.kind)) {
        None => Ok(()),
        Some(resource) => Err(Error::Validation(format!(
            "Resource type {} is not allowed by parameter ResourceTypes [{}]",
            resource.kind,
            allowed.join(", ")
        ))),
    }
}

/// Makes a wish ready whose parameters have their texts. `exports` are what other stacks export.
pub fn prepare(
    wish: Wish,
    pseudo: Pseudo,
    exports: Texts,
    existing: &BTreeMap<String, Existing>,
) -> Result<Prepared, Error> {
    let (value, declared) = declared(&wish.template)?;
    let values = values(&declared, &wish.parameters, &wish.found)?;
    let (_, template) = transformed(&value, &values, Some(&wish.macros))?;
    attributes::check(&template)?;
    let conditions = intrinsics::conditions(&template, &values, &pseudo)?;
    let no_resources = |name: &str, _: Option<&str>| -> Result<Value, Error> {
        Err(Error::Template(format!("a rule refers to the resource {name}")))
    };
    let scope = Scope {
        template: &template,
        parameters: &values,
        pseudo: &pseudo,
        conditions: &conditions,
        exports: &exports,
        resources: &no_resources,
    };
    rules::check(&scope)?;
    let plan = plan::plan(&template, &values, &conditions, &pseudo, &exports, &wish.tags, existing)?;
    Ok(Prepared { wish, template, values, conditions, pseudo, exports, plan })
}

/// The same from parameters as a request gives them, for templates that need nothing from elsewhere.
pub fn prepare_given(
    mut wish: Wish,
    given: &[Given],
    pseudo: Pseudo,
    existing: &BTreeMap<String, Existing>,
) -> Result<Prepared, Error> {
    wish.parameters = template::texts(&declared(&wish.template)?.1, given, &Texts::new())?;
    prepare(wish, pseudo, Texts::new(), existing)
}
