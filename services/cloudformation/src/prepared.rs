//! A request made ready to be carried out: template transformed and parsed, parameters given their values, plan made. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::errors::Error;
use crate::intrinsics::{self, Pseudo};
use crate::plan::{self, Existing, Plan};
use crate::sam;
use crate::stack::{Texts, Wish};
use crate::template::{self, Given, Template};

pub struct Prepared {
    pub wish: Wish,
    pub template: Template,
    pub values: BTreeMap<String, Value>,
    pub conditions: BTreeMap<String, bool>,
    pub pseudo: Pseudo,
    pub plan: Plan,
}

pub const SAM: &str = "AWS::Serverless-2016-10-31";

/// The template of a text, after its transforms.
pub fn processed(text: &str) -> Result<(Value, Template), Error> {
    let mut value = template::parse(text)?;
    for name in template::transforms(&value) {
        match name.as_str() {
            SAM => value = sam::transform(&value)?,
            "AWS::LanguageExtensions" => {}
            other => return Err(Error::NotBuilt(format!("transform {other}"))),
        }
    }
    let template = Template::from_value(&value)?;
    Ok((value, template))
}

/// The capabilities a template needs.
pub fn capabilities(template: &Template) -> Vec<&'static str> {
    let roles = || template.resources.iter().filter(|r| r.kind.starts_with("AWS::IAM::"));
    let is_named = roles().any(|r| r.properties.get("RoleName").is_some());
    match (is_named, roles().next()) {
        (true, _) => vec!["CAPABILITY_NAMED_IAM"],
        (false, Some(_)) => vec!["CAPABILITY_IAM"],
        (false, None) => Vec::new(),
    }
}

/// `expands`: whether transforms need a capability, which they do where no change set shows what becomes of them.
pub fn check_capabilities(template: &Template, given: &[String], expands: bool) -> Result<(), Error> {
    let has = |name: &str| given.iter().any(|g| g == name);
    for needed in capabilities(template) {
        let is_enough = has("CAPABILITY_NAMED_IAM") || (needed == "CAPABILITY_IAM" && has(needed));
        if !is_enough {
            return Err(Error::Capabilities(needed));
        }
    }
    if expands && !template.transforms.is_empty() && !has("CAPABILITY_AUTO_EXPAND") {
        return Err(Error::Capabilities("CAPABILITY_AUTO_EXPAND"));
    }
    Ok(())
}

/// Makes a request ready. `previous` are the parameters the stack had.
pub fn prepare(
    mut wish: Wish,
    given: &[Given],
    previous: &Texts,
    pseudo: Pseudo,
    existing: &BTreeMap<String, Existing>,
) -> Result<Prepared, Error> {
    let (_, template) = processed(&wish.template)?;
    wish.parameters = template::texts(&template.parameters, given, previous)?;
    let mut values = BTreeMap::new();
    for (name, text) in &wish.parameters {
        if let Some(parameter) = template.parameters.get(name) {
            values.insert(name.clone(), parameter.value(name, text)?);
        }
    }
    let conditions = intrinsics::conditions(&template, &values, &pseudo)?;
    let plan = plan::plan(&template, &values, &conditions, &pseudo, existing)?;
    Ok(Prepared { wish, template, values, conditions, pseudo, plan })
}

/// The parameters of a wish that has them all, as a request would give them.
pub fn given_of(wish: &Wish) -> Vec<Given> {
    wish.parameters
        .iter()
        .map(|(key, value)| Given {
            parameter_key: key.clone(),
            parameter_value: Some(value.clone()),
            use_previous_value: None,
        })
        .collect()
}
