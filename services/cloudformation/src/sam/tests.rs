//! The transform of whole templates, and what it refuses.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::prepared;
use crate::stack::Wish;

pub(crate) const EXAMPLE: &str = "
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Timeout: 5
    Environment:
      Variables: {A: '1'}
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: s3://cumulet-artifacts/0123
      Handler: index.handler
      Runtime: nodejs22.x
      Environment:
        Variables: {B: !Ref AWS::Region}
      Policies:
        - Statement: [{Effect: Allow, Action: 'logs:*', Resource: '*'}]
      FunctionUrlConfig: {AuthType: NONE}
      Events:
        Get:
          Type: HttpApi
          Properties: {Path: '/hello/{name}', Method: get}
Outputs:
  Url:
    Value: !Sub 'https://${ServerlessHttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/hello'
";

#[test]
fn the_function_behind_an_http_api() {
    let (value, template) = prepared::processed_by_defaults(EXAMPLE).unwrap();
    let resources = value["Resources"].as_object().unwrap();
    let mut names: Vec<_> =
        resources.iter().map(|(name, resource)| format!("{name} {}", resource["Type"].as_str().unwrap())).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "Hello AWS::Lambda::Function",
            "HelloGetIntegration AWS::ApiGatewayV2::Integration",
            "HelloGetPermission AWS::Lambda::Permission",
            "HelloGetRoute AWS::ApiGatewayV2::Route",
            "HelloRole AWS::IAM::Role",
            "HelloURLInvokeAllowPublicAccess AWS::Lambda::Permission",
            "HelloUrl AWS::Lambda::Url",
            "HelloUrlPublicPermissions AWS::Lambda::Permission",
            "ServerlessHttpApi AWS::ApiGatewayV2::Api",
            "ServerlessHttpApiApiGatewayDefaultStage AWS::ApiGatewayV2::Stage",
        ]
    );
    let function = &value["Resources"]["Hello"]["Properties"];
    assert_eq!(function["Timeout"], 5);
    assert_eq!(function["Environment"]["Variables"], json!({"A": "1", "B": {"Ref": "AWS::Region"}}));
    assert_eq!(function["Code"], json!({"S3Bucket": "cumulet-artifacts", "S3Key": "0123"}));
    let arn = &value["Resources"]["HelloGetPermission"]["Properties"]["SourceArn"]["Fn::Sub"][0];
    assert!(arn.as_str().unwrap().ends_with("${__ApiId__}/${__Stage__}/GET/hello/*"), "{arn}");
    assert_eq!(prepared::capabilities(&template).0, ["CAPABILITY_IAM"]);
    let wish = Wish { template: EXAMPLE.to_owned(), ..Wish::default() };
    let prepared = prepared::prepare_given(wish, &[], Default::default(), &BTreeMap::new()).unwrap();
    assert_eq!(prepared.plan.actions.len(), 10);
}

#[test]
fn settings_of_routes_are_the_stages() {
    let text = EXAMPLE.replace("Method: get}", "Method: get, RouteSettings: {ThrottlingBurstLimit: 5}}");
    let (value, _) = prepared::processed_by_defaults(&text).unwrap();
    let stage = &value["Resources"]["ServerlessHttpApiApiGatewayDefaultStage"]["Properties"];
    assert_eq!(stage["RouteSettings"], json!({ "GET /hello/{name}": { "ThrottlingBurstLimit": 5 } }));
}

#[test]
fn functions_of_images() {
    let text = "
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {PackageType: Image, ImageUri: 'reg/app:1', ImageConfig: {Command: [a.b]}, Timeout: 9}
";
    let (value, _) = prepared::processed_by_defaults(text).unwrap();
    let function = &value["Resources"]["F"]["Properties"];
    assert_eq!(function["Code"], json!({ "ImageUri": "reg/app:1" }));
    assert_eq!(function["ImageConfig"], json!({ "Command": ["a.b"] }));
    let without = prepared::processed_by_defaults(&text.replace("ImageUri: 'reg/app:1', ", ""));
    assert!(without.unwrap_err().to_string().contains("'ImageUri' must be set"));
}

#[test]
fn what_is_refused_is_named() {
    for (resource, name) in [
        ("{Type: AWS::Serverless::Api}", "StageName"),
        ("{Type: AWS::Serverless::Api, Properties: {StageName: s, Domain: {DomainName: d}}}", "CertificateArn"),
        (
            "{Type: AWS::Serverless::Api, Properties: {StageName: s, Domain: {DomainName: d, CertificateArn: c, Route53: {}}}}",
            "Domain.Route53",
        ),
        (
            "{Type: AWS::Serverless::Api, Properties: {StageName: s, Auth: {Authorizers: {P: {UserPoolArn: a}}}}}",
            "authorizer P",
        ),
        ("{Type: AWS::Serverless::StateMachine}", "AWS::Serverless::StateMachine"),
        ("{Type: AWS::Serverless::Connector, Properties: {Source: {Id: X}}}", "'Destination'"),
        (
            "{Type: AWS::Serverless::Connector, Properties: {Source: {Id: Y}, Destination: {Id: Y}, Permissions: [Read]}}",
            "Unable to find resource with logical ID 'Y'",
        ),
        (
            "{Type: AWS::Serverless::Connector, Properties: {Source: {Type: AWS::SQS::Queue, Arn: a}, Destination: {Type: AWS::SQS::Queue, Arn: a}, Permissions: [Read]}}",
            "Unable to create connector from AWS::SQS::Queue to AWS::SQS::Queue",
        ),
        (
            "{Type: AWS::Serverless::Connector, Properties: {Source: {Type: AWS::SQS::Queue, Arn: a}, Destination: {Type: AWS::Lambda::Function, RoleName: r}, Permissions: [Read]}}",
            "valid combinations are: Read + Write",
        ),
        (
            "{Type: AWS::Serverless::Connector, Properties: {Source: {Type: AWS::SNS::Topic, Arn: a}, Destination: {Type: AWS::SQS::Queue, Arn: a}, Permissions: [Write]}}",
            "Unable to get SQS queue URL",
        ),
        (
            "{Type: AWS::Serverless::Function, Properties: {InlineCode: x}, Connectors: {C: {Properties: {SourceReference: {Id: Z}}}}}",
            "SourceReference",
        ),
        ("{Type: AWS::Serverless::Function, Properties: {InlineCode: x, Events: {E: {Type: Kafka}}}}", "Kafka"),
        (
            "{Type: AWS::Serverless::Function, Properties: {InlineCode: x, Policies: [{NoSuchPolicy: {}}]}}",
            "NoSuchPolicy",
        ),
        (
            "{Type: AWS::Serverless::Function, Properties: {InlineCode: x, DeploymentPreference: {Type: AllAtOnce}}}",
            "requires AutoPublishAlias",
        ),
        ("{Type: AWS::Serverless::Function, Properties: {CodeUri: ./src}}", "CodeUri"),
        ("{Type: AWS::Serverless::HttpApi, Properties: {Domain: {}}}", "CertificateArn"),
        (
            "{Type: AWS::Serverless::HttpApi, Properties: {Auth: {Authorizers: {A: {OpenIdConnectUrl: x}}}}}",
            "OpenIdConnectUrl",
        ),
    ] {
        let text = format!("Transform: AWS::Serverless-2016-10-31\nResources:\n  X: {resource}\n");
        let error = prepared::processed_by_defaults(&text).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
