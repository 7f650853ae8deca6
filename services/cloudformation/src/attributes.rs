//! Attributes that a template asks resources for which their types do not have, found before anything runs. Pure. Of types
//! that are not in the table the attribute is looked for when it is needed: of custom resources and embedded stacks nobody
//! knows it before.

use serde_json::Value;

use crate::errors::Error;
use crate::intrinsics::{Piece, sub_pieces};
use crate::template::{Template, get_att};

/// What `Fn::GetAtt` says of resources of a type.
fn of(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "AWS::ApiGateway::RestApi" => &["RestApiId", "RootResourceId"],
        "AWS::ApiGatewayV2::Api" => &["ApiId", "ApiEndpoint"],
        "AWS::CloudFormation::WaitCondition" => &["Data"],
        "AWS::DynamoDB::Table" | "AWS::DynamoDB::GlobalTable" => &["Arn", "TableId", "StreamArn"],
        "AWS::Events::EventBus" => &["Arn", "Name"],
        "AWS::Events::Rule" | "AWS::Logs::LogGroup" | "AWS::Scheduler::Schedule" => &["Arn"],
        "AWS::IAM::Role" => &["Arn", "RoleId"],
        "AWS::IAM::User" | "AWS::IAM::Group" | "AWS::IAM::InstanceProfile" => &["Arn"],
        "AWS::KMS::Key" => &["Arn", "KeyId"],
        "AWS::Lambda::Function" => {
            &["Arn", "SnapStartResponse", "SnapStartResponse.ApplyOn", "SnapStartResponse.OptimizationStatus"]
        }
        "AWS::Lambda::Version" => &["Version", "FunctionArn"],
        "AWS::Lambda::Alias" => &["AliasArn"],
        "AWS::Lambda::LayerVersion" => &["LayerVersionArn"],
        "AWS::Lambda::Url" => &["FunctionArn", "FunctionUrl"],
        "AWS::S3::Bucket" => &["Arn", "DomainName", "DualStackDomainName", "RegionalDomainName", "WebsiteURL"],
        "AWS::SNS::Topic" => &["TopicArn", "TopicName"],
        "AWS::SQS::Queue" => &["Arn", "QueueName", "QueueUrl"],
        "AWS::SSM::Parameter" => &["Type", "Value"],
        "AWS::SecretsManager::Secret" => &["Id"],
        _ => return None,
    })
}

/// # Errors
/// The first attribute that the type of its resource does not have.
pub fn check(template: &Template) -> Result<(), Error> {
    let mut asked = Vec::new();
    for resource in &template.resources {
        collect(&resource.properties, &mut asked);
    }
    for output in &template.outputs {
        collect(&output.value, &mut asked);
    }
    for (name, attribute) in asked {
        let known = template.resource(&name).and_then(|resource| of(&resource.kind));
        if known.is_some_and(|known| !known.contains(&attribute.as_str())) {
            return Err(Error::Validation(format!(
                "Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
            )));
        }
    }
    Ok(())
}

fn collect(value: &Value, asked: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, asked)),
        Value::Object(map) => {
            match map.iter().next().filter(|_| map.len() == 1) {
                Some((function, argument)) if function == "Fn::GetAtt" => asked.extend(get_att(argument)),
                Some((function, argument)) if function == "Fn::Sub" => {
                    let own = argument.get(1);
                    let text = argument.as_str().or_else(|| argument.get(0).and_then(Value::as_str));
                    for piece in sub_pieces(text.unwrap_or_default()) {
                        if let Piece::Variable(name) = piece
                            && own.is_none_or(|own| own.get(&name).is_none())
                            && let Some((resource, attribute)) = name.split_once('.')
                        {
                            asked.push((resource.to_owned(), attribute.to_owned()));
                        }
                    }
                }
                _ => {}
            }
            map.values().for_each(|value| collect(value, asked));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_types_do_not_have() {
        let of = |value: Value| {
            let template = json!({
                "Resources": {
                    "F": {"Type": "AWS::Lambda::Function"},
                    "C": {"Type": "Custom::Thing", "Properties": {"ServiceToken": value}},
                },
            });
            check(&Template::from_value(&template).unwrap()).map_err(|error| error.to_string())
        };
        for good in [
            json!({"Fn::GetAtt": ["F", "Arn"]}),
            json!({"Fn::GetAtt": "F.Arn"}),
            json!({"Fn::Sub": "${F.Arn}/${F}"}),
            json!({"Fn::Sub": ["${x.y}", {"x.y": 1}]}),
            json!({"Fn::If": ["C", {"Fn::GetAtt": ["C", "Anything"]}, 1]}),
        ] {
            assert_eq!(of(good.clone()), Ok(()), "{good}");
        }
        for bad in [json!({"Fn::GetAtt": ["F", "Name"]}), json!({"a": [{"Fn::Sub": "${F.Name}"}]})] {
            let why = "Template error: resource F does not support attribute type Name in Fn::GetAtt";
            assert_eq!(of(bad.clone()), Err(why.to_owned()), "{bad}");
        }
    }
}
