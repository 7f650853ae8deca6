//! ListFunctions (<https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html>), by name.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::list_versions_by_function::qualified;
use super::{input, page_size, read_marker, write_marker};
use crate::Lambda;
use crate::names::Named;

/// Most functions AWS puts on a page, whatever `MaxItems` says.
const PAGE_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    marker: Option<String>,
    max_items: Option<Value>,
    function_version: Option<String>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let limit = page_size(input.max_items.as_ref(), 10_000, PAGE_MAX)?;
    let after = input.marker.as_deref().map(read_marker).transpose()?;
    let mut found = lambda.functions.list(context.account(), &context.region, after.as_deref(), limit + 1).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let mut checks = Validation::new();
    checks.one_of("functionVersion", input.function_version.as_deref(), &["ALL"]);
    checks.finish("ValidationException")?;
    // A page is of functions, and may have more entries with their versions.
    let is_all = input.function_version.as_deref() == Some("ALL");
    let mut list: Vec<Value> = Vec::new();
    for function in &found {
        if !is_all {
            list.push(function.configuration(None));
            continue;
        }
        list.push(qualified(function));
        let named = Named {
            account: function.account.clone(),
            region: function.region.clone(),
            name: function.name.clone(),
            qualifier: None,
        };
        list.extend(lambda.functions.versions(&named, None, usize::MAX).await?.iter().map(qualified));
    }
    let mut shape = json!({"Functions": list});
    if let Some(last) = found.last().filter(|_| is_more) {
        shape["NextMarker"] = json!(write_marker(&last.name));
    }
    Answer::json(shape)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn pages_by_name() {
        let fixture = Fixture::new();
        for name in ["c", "a", "b"] {
            fixture.create(name).await.unwrap();
        }
        let first = fixture.call("ListFunctions", json!({"MaxItems": "2"})).await.unwrap();
        let names: Vec<_> = first["Functions"].as_array().unwrap().iter().map(|f| f["FunctionName"].clone()).collect();
        assert_eq!(names, ["a", "b"]);
        let next = json!({"MaxItems": 2, "Marker": first["NextMarker"]});
        let second = fixture.call("ListFunctions", next).await.unwrap();
        assert_eq!(second["Functions"][0]["FunctionName"], "c");
        assert!(second.get("NextMarker").is_none());
        for bad in [json!({"FunctionVersion": "1"}), json!({"MaxItems": 0}), json!({"MaxItems": "x"})] {
            assert!(fixture.call("ListFunctions", bad).await.is_err());
        }
        assert_eq!(
            fixture.call("ListFunctions", json!({"Marker": "%"})).await.unwrap_err().code,
            "InvalidParameterValueException"
        );
    }
}
