//! DescribeParameters
//! (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html>), and the filters that
//! it shares with GetParametersByPath.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use super::{page_size, place, text};
use crate::model::{KEY, Parameter, SECURE};
use crate::{Ssm, errors, names};

const PAGE: usize = 50;

pub struct Filter {
    key: String,
    option: String,
    values: Vec<String>,
}

/// `ParameterFilters`, and the older `Filters` of which all values are compared whole.
pub fn filters(call: &Call, known: &[&str]) -> Result<Vec<Filter>, ApiError> {
    let mut filters = Vec::new();
    for (member, name, default) in [("ParameterFilters", "Key", ""), ("Filters", "Key", "Equals")] {
        for given in call.input.get(member).and_then(Value::as_array).into_iter().flatten() {
            let key = given[name].as_str().unwrap_or_default().to_owned();
            if !(known.contains(&key.as_str()) || key.starts_with("tag:") && known.contains(&"tag:")) {
                return Err(errors::invalid_filter(&key));
            }
            let option = match (given["Option"].as_str(), key.as_str()) {
                (Some(option), _) => option.to_owned(),
                (None, "Path") => "OneLevel".to_owned(),
                (None, _) => if default.is_empty() { "Equals" } else { default }.to_owned(),
            };
            if !["Equals", "BeginsWith", "Contains", "OneLevel", "Recursive"].contains(&option.as_str()) {
                return Err(ApiError::new(
                    400,
                    "InvalidFilterOption",
                    format!("The filter option {option} is not valid."),
                ));
            }
            let values = given["Values"].as_array().into_iter().flatten();
            let values = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
            filters.push(Filter { key, option, values });
        }
    }
    Ok(filters)
}

impl Filter {
    pub fn holds(&self, parameter: &Parameter) -> bool {
        let last = &parameter.last;
        match self.key.as_str() {
            "Name" => self.any(&parameter.name),
            "Path" => self.values.iter().any(|path| names::is_under(&parameter.name, path, self.option == "Recursive")),
            "Type" => self.any(&last.kind),
            "Tier" => self.any(&last.tier),
            "DataType" => self.any(&last.data_type),
            "KeyId" => last.kind == SECURE && self.any(KEY),
            "Label" => self.labelled(parameter).is_some(),
            key => match key.strip_prefix("tag:").and_then(|key| parameter.tags.get(key)) {
                Some(value) => self.values.is_empty() || self.any(value),
                None => false,
            },
        }
    }

    /// The version that has the label asked for.
    pub fn labelled<'a>(&'a self, parameter: &Parameter) -> Option<(u64, &'a str)> {
        let mut labels = self.values.iter().filter(|_| self.key == "Label");
        labels.find_map(|label| Some((*parameter.labels.get(label)?, label.as_str())))
    }

    fn any(&self, text: &str) -> bool {
        // A name may be asked for without the stroke at its beginning.
        self.values.iter().any(|value| match self.option.as_str() {
            "BeginsWith" => {
                text.starts_with(value) || (self.key == "Name" && text[..].trim_start_matches('/').starts_with(value))
            }
            "Contains" => text.contains(value.as_str()),
            _ => text == value || (self.key == "Name" && text.trim_start_matches('/') == value),
        })
    }
}

pub async fn run(ssm: &Ssm, call: &Call) -> Result<Answer, ApiError> {
    let limit = page_size(call, PAGE, PAGE)?;
    let known = ["Name", "Path", "Type", "Tier", "DataType", "KeyId", "Label", "tag:"];
    let filters = filters(call, &known)?;
    let context = &call.context;
    let all = ssm.storage.list(context.account(), &context.region, text(call, "NextToken"), usize::MAX).await?;
    let mut meant = all.iter().filter(|parameter| filters.iter().all(|filter| filter.holds(parameter)));
    let page: Vec<&Parameter> = meant.by_ref().take(limit).collect();
    let shapes: Vec<Value> = page
        .iter()
        .map(|parameter| {
            let place = place(call, &parameter.name);
            let mut shape = parameter.last.metadata(&place);
            shape["ARN"] = place.arn().into();
            shape
        })
        .collect();
    let mut shape = json!({ "Parameters": shapes });
    if let (Some(last), Some(_)) = (page.last(), meant.next()) {
        shape["NextToken"] = last.name.clone().into();
    }
    Answer::json(shape)
}
