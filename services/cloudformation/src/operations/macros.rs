//! What macros answer: texts in buckets for `AWS::Include`, and the functions of `AWS::CloudFormation::Macro`, asked with the
//! deployer's permissions.

use std::collections::BTreeMap;

use bytes::Bytes;
use cumulet_base::limits;
use cumulet_wire::error::ApiError;
use serde_json::{Value, json};

use crate::CloudFormation;
use crate::client::Client;
use crate::errors::Error;
use crate::intrinsics::Pseudo;
use crate::prepared;
use crate::resources;
use crate::stack::{Texts, Wish};
use crate::storage::Owner;
use crate::template::macros::{INCLUDE, Question, failed};

impl CloudFormation {
    /// The answers to all that a template asks macros, by the keys of the questions.
    pub(super) async fn macros(
        &self,
        client: &Client,
        owner: &Owner,
        wish: &Wish,
        pseudo: &Pseudo,
    ) -> Result<Texts, ApiError> {
        let mut answers = Texts::new();
        let declared = prepared::declared(&wish.template)?.1;
        let given = prepared::values(&declared, &wish.parameters, &wish.found)?;
        let mut values = given.clone();
        for (name, value) in [
            ("AWS::AccountId", &pseudo.account),
            ("AWS::Region", &pseudo.region),
            ("AWS::StackName", &pseudo.stack_name),
        ] {
            values.insert(name.into(), value.clone().into());
        }
        values.insert("AWS::Partition".into(), "aws".into());
        while let Some(question) = prepared::unanswered(&wish.template, &given, &answers)? {
            if answers.len() >= limits::TEMPLATE_MACROS_MAX {
                return Err(Error::Limit("uses of macros", limits::TEMPLATE_MACROS_MAX).into());
            }
            let answer = match question.name.as_str() {
                INCLUDE => included(client, &question, &values).await?,
                _ => self.rewritten(client, owner, &question, &given, &values).await?,
            };
            if answer.len() > limits::TEMPLATE_BYTES_MAX {
                return Err(failed(&question.name, "it makes the template too large").into());
            }
            answers.insert(question.key(), answer);
        }
        Ok(answers)
    }

    /// The function of a macro: that of the stack's resource of the name.
    pub(crate) async fn macro_of(&self, owner: &Owner, name: &str) -> Result<Option<String>, Error> {
        let stacks = self.storage.stacks(owner).await?;
        let mut all = stacks.iter().flat_map(|stack| stack.resources.values());
        let found = all.find(|resource| {
            resource.existing.kind == resources::MACRO
                && resource.made.physical_id == name
                && resource.status.ends_with("_COMPLETE")
                && resource.status != "DELETE_COMPLETE"
        });
        Ok(found.and_then(|resource| resource.properties.get("FunctionName")).map(resources::text))
    }

    async fn rewritten(
        &self,
        client: &Client,
        owner: &Owner,
        question: &Question,
        given: &BTreeMap<String, Value>,
        values: &BTreeMap<String, Value>,
    ) -> Result<String, ApiError> {
        let id = format!("{}::{}", owner.account, question.name);
        let Some(function) = self.macro_of(owner, &question.name).await? else {
            return Err(Error::Validation(format!("No transform named {id} found.")).into());
        };
        let request_id = cumulet_base::id::uuid();
        let event = json!({
            "region": owner.region,
            "accountId": owner.account,
            "transformId": id,
            "requestId": request_id,
            "fragment": question.fragment,
            "params": question.resolved(values),
            "templateParameterValues": given,
        });
        let input = json!({ "FunctionName": function, "InvocationType": "RequestResponse" });
        let payload = Bytes::from(event.to_string());
        let answer = client.wire.call_in(client.context.clone(), "lambda", "Invoke", input, payload).await?;
        let is_failed = answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-amz-function-error"));
        let payload = answer.payload.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&payload).unwrap_or_default();
        match answer["status"].as_str() {
            Some("success") if !is_failed && answer["requestId"] == request_id && answer.get("fragment").is_some() => {
                Ok(answer["fragment"].to_string())
            }
            Some(_) if !is_failed && answer["errorMessage"].is_string() => {
                Err(failed(&id, resources::text(&answer["errorMessage"])).into())
            }
            Some(status) if !is_failed && !status.eq_ignore_ascii_case("success") => {
                Err(Error::Validation(format!("Transform {id} failed without an error message.")).into())
            }
            _ => Err(Error::Validation(format!("Received malformed response from transform {id}")).into()),
        }
    }
}

async fn included(client: &Client, question: &Question, values: &BTreeMap<String, Value>) -> Result<String, ApiError> {
    let parameters = question.resolved(values);
    let location = parameters.get("Location").and_then(Value::as_str).unwrap_or_default();
    let object = location.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let (bucket, key) = match (object, super::url::parse(location)) {
        (Some((bucket, key)), _) => (bucket.to_owned(), key.to_owned()),
        (None, Some(place)) => (place.bucket, place.key),
        (None, None) => return Err(failed(INCLUDE, "The location parameter is not a valid S3 uri.").into()),
    };
    let bytes =
        client.bytes("s3", "GetObject", json!({ "Bucket": bucket, "Key": key })).await.map_err(|error| match error
            .status
        {
            501 => error,
            _ => failed(INCLUDE, format!("{location}: {} ({})", error.message, error.code)).into(),
        })?;
    String::from_utf8(bytes.to_vec()).map_err(|_| failed(INCLUDE, format!("{location} is not text")).into())
}
