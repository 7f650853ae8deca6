//! ListFunctionUrlConfigs (<https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionUrlConfigs.html>): that of the
//! function, then those of its aliases. Tested with CreateFunctionUrlConfig and CreateAlias.

use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{input, page_size, read_marker, write_marker};
use crate::model::Row;
use crate::{Lambda, names};

const PAGE_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    marker: Option<String>,
    max_items: Option<Value>,
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read_latest(&context, &input.function_name)?;
    let limit = page_size(input.max_items.as_ref(), 50, PAGE_MAX)?;
    let after = input.marker.as_deref().map(read_marker).transpose()?;
    let function = lambda.functions.function(&named).await?;
    let aliases = lambda.functions.aliases(&named, after.as_deref(), usize::MAX).await?;
    let own = after.is_none().then(|| (String::new(), Row::Function(Box::new(function))));
    let rows = own.into_iter().chain(aliases.into_iter().map(|a| (a.alias.clone(), Row::Alias(Box::new(a)))));
    let mut rows = rows.filter_map(|(name, row)| {
        let url = row.attached().url.as_ref()?;
        Some((name, row.url_config(url, &context.host)))
    });
    let page: Vec<(String, Value)> = rows.by_ref().take(limit).collect();
    let mut shape = json!({});
    if let Some((last, _)) = page.last().filter(|_| rows.next().is_some()) {
        shape["NextMarker"] = json!(write_marker(last));
    }
    shape["FunctionUrlConfigs"] = page.into_iter().map(|(_, url)| url).collect();
    Answer::json(shape)
}
