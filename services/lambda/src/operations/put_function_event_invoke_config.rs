//! PutFunctionEventInvokeConfig (<https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html>),
//! which replaces what was there, and UpdateFunctionEventInvokeConfig, which leaves what is not given.

use cumulet_delivery::target::is_target;
use cumulet_wire::call::{Answer, Call};
use cumulet_wire::error::ApiError;
use cumulet_wire::validate::Validation;
use serde::Deserialize;
use serde_json::{Value, json};

use super::input;
use crate::model::{EventInvoke, Row};
use crate::names::{LATEST, Named};
use crate::{Lambda, bucket, errors, names};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    function_name: String,
    qualifier: Option<String>,
    maximum_retry_attempts: Option<i64>,
    maximum_event_age_in_seconds: Option<i64>,
    destination_config: Option<Destinations>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destinations {
    on_success: Option<Destination>,
    on_failure: Option<Destination>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    destination: Option<String>,
}

impl Input {
    fn check(&self, named: &Named) -> Result<(), ApiError> {
        let mut checks = Validation::new();
        checks.between("maximumRetryAttempts", self.maximum_retry_attempts, 0, 2).between(
            "maximumEventAgeInSeconds",
            self.maximum_event_age_in_seconds,
            60,
            21_600,
        );
        checks.finish("ValidationException")?;
        let Some(config) = &self.destination_config else { return Ok(()) };
        let text = |one: &Option<Destination>| one.as_ref().and_then(|one| one.destination.clone());
        for (arn, is_failure) in [(text(&config.on_success), false), (text(&config.on_failure), true)] {
            let Some(arn) = arn.filter(|arn| !arn.is_empty()) else { continue };
            if !(is_target(&arn) || is_failure && bucket::of(&arn).is_some()) {
                return Err(errors::invalid_parameter(format!(
                    "The provided destination config DestinationConfig(onSuccess={}, onFailure={}) is invalid.",
                    text(&config.on_success).unwrap_or_default(),
                    text(&config.on_failure).unwrap_or_default()
                )));
            }
            if arn == named.arn() || arn == named.qualified_arn() {
                return Err(errors::invalid_parameter("You can't specify the function as a destination for itself."));
            }
        }
        Ok(())
    }

    /// Changes what is given; an empty destination is none.
    fn apply(&self, config: &mut EventInvoke, now_ms: u64) {
        let number = |value: i64| u32::try_from(value).ok();
        if let Some(retries) = self.maximum_retry_attempts {
            config.retries_max = number(retries);
        }
        if let Some(age) = self.maximum_event_age_in_seconds {
            config.age_s_max = number(age);
        }
        let given = self.destination_config.as_ref();
        for (kept, given) in [
            (&mut config.on_success, given.and_then(|given| given.on_success.as_ref())),
            (&mut config.on_failure, given.and_then(|given| given.on_failure.as_ref())),
        ] {
            if let Some(given) = given {
                *kept = given.destination.clone().filter(|arn| !arn.is_empty());
            }
        }
        config.modified_ms = now_ms;
    }
}

/// AWS's `FunctionEventInvokeConfig`; the ARN says which version or alias it is of.
pub fn shape(row: &Row, config: &EventInvoke) -> Value {
    let arn = match row {
        Row::Function(function) => format!("{}:{}", function.arn(), function.version),
        Row::Alias(alias) => alias.arn(),
    };
    let destination = |arn: &Option<String>| arn.as_ref().map_or_else(|| json!({}), |arn| json!({"Destination": arn}));
    let mut shape = json!({
        "FunctionArn": arn,
        "LastModified": config.modified_ms as f64 / 1000.0,
        "DestinationConfig": {"OnSuccess": destination(&config.on_success), "OnFailure": destination(&config.on_failure)},
    });
    if let Some(retries) = config.retries_max {
        shape["MaximumRetryAttempts"] = json!(retries);
    }
    if let Some(age) = config.age_s_max {
        shape["MaximumEventAgeInSeconds"] = json!(age);
    }
    shape
}

/// AWS's error for a function, version or alias that has none.
pub fn missing(named: &Named) -> ApiError {
    let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
    errors::not_found(format!("The function {}:{qualifier} doesn't have an EventInvokeConfig", named.arn()))
}

pub async fn run(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    change(lambda, call, false).await
}

pub async fn update(lambda: &Lambda, call: Call) -> Result<Answer, ApiError> {
    change(lambda, call, true).await
}

async fn change(lambda: &Lambda, call: Call, is_update: bool) -> Result<Answer, ApiError> {
    let context = call.context.clone();
    let input: Input = input(call)?;
    let named = names::read(&context, &input.function_name, input.qualifier.as_deref())?;
    input.check(&named)?;
    let (_, row) = lambda
        .functions
        .update_row(&named, |row| {
            let kept = &mut row.attached_mut().event_invoke;
            let mut config = match (is_update, kept.take()) {
                (true, None) => return Err(missing(&named)),
                (true, Some(config)) => config,
                (false, _) => EventInvoke::default(),
            };
            input.apply(&mut config, context.now_ms);
            *kept = Some(config);
            Ok(())
        })
        .await?;
    let config = row.attached().event_invoke.as_ref().ok_or_else(|| missing(&named))?;
    Answer::json(shape(&row, config))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::tests::Fixture;

    #[tokio::test]
    async fn a_configuration_comes_changes_and_goes() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let name = json!({"FunctionName": "f"});
        for operation in
            ["GetFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig", "DeleteFunctionEventInvokeConfig"]
        {
            assert_eq!(fixture.call(operation, name.clone()).await.unwrap_err().status, 404, "{operation}");
        }
        let queue = "arn:aws:sqs:us-east-1:000000000000:q";
        let put = json!({"FunctionName": "f", "MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60,
            "DestinationConfig": {"OnFailure": {"Destination": queue}}});
        let made = fixture.call("PutFunctionEventInvokeConfig", put).await.unwrap();
        assert_eq!(made["FunctionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST");
        assert_eq!(made["DestinationConfig"], json!({"OnSuccess": {}, "OnFailure": {"Destination": queue}}));
        let update = json!({"FunctionName": "f", "MaximumRetryAttempts": 1});
        let changed = fixture.call("UpdateFunctionEventInvokeConfig", update).await.unwrap();
        assert_eq!((&changed["MaximumRetryAttempts"], &changed["MaximumEventAgeInSeconds"]), (&json!(1), &json!(60)));
        assert_eq!(fixture.call("GetFunctionEventInvokeConfig", name.clone()).await.unwrap(), changed);
        fixture.call("PublishVersion", name.clone()).await.unwrap();
        let of_version = json!({"FunctionName": "f", "Qualifier": "1", "MaximumRetryAttempts": 2});
        fixture.call("PutFunctionEventInvokeConfig", of_version).await.unwrap();
        let list = fixture.call("ListFunctionEventInvokeConfigs", name.clone()).await.unwrap();
        assert_eq!(list["FunctionEventInvokeConfigs"].as_array().unwrap().len(), 2);
        let put = json!({"FunctionName": "f", "MaximumRetryAttempts": 1});
        let replaced = fixture.call("PutFunctionEventInvokeConfig", put).await.unwrap();
        assert!(replaced.get("MaximumEventAgeInSeconds").is_none());
        fixture.call("DeleteFunctionEventInvokeConfig", name.clone()).await.unwrap();
        assert_eq!(fixture.call("GetFunctionEventInvokeConfig", name).await.unwrap_err().status, 404);
    }

    #[tokio::test]
    async fn refusals() {
        let fixture = Fixture::new();
        fixture.create("f").await.unwrap();
        let to = |end: &str, arn: &str| json!({end: {"Destination": arn}});
        let itself = "arn:aws:lambda:us-east-1:000000000000:function:f";
        for (member, value, code) in [
            ("FunctionName", json!("g"), "ResourceNotFoundException"),
            ("Qualifier", json!("live"), "ResourceNotFoundException"),
            ("MaximumRetryAttempts", json!(3), "ValidationException"),
            ("MaximumEventAgeInSeconds", json!(59), "ValidationException"),
            ("MaximumEventAgeInSeconds", json!(21_601), "ValidationException"),
            ("DestinationConfig", to("OnSuccess", "queue"), "InvalidParameterValueException"),
            ("DestinationConfig", to("OnSuccess", "arn:aws:s3:::b"), "InvalidParameterValueException"),
            ("DestinationConfig", to("OnFailure", itself), "InvalidParameterValueException"),
        ] {
            let mut input = json!({"FunctionName": "f"});
            input[member] = value.clone();
            let error = fixture.call("PutFunctionEventInvokeConfig", input).await.unwrap_err();
            assert_eq!(error.code, code, "{member} {value}");
        }
        let bucket = json!({"FunctionName": "f", "DestinationConfig": to("OnFailure", "arn:aws:s3:::b")});
        assert!(fixture.call("PutFunctionEventInvokeConfig", bucket).await.is_ok());
    }
}
