"""The transform of SAM templates beside AWS's own translator: the same resources under the same logical ids. HTTP APIs are
left out, which become other resources here (docs/decisions/sam-http-apis.md)."""

import json
import re
import sys

import boto3
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    def load(self):
        return {}


HEAD = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: live}
  Key: {Type: String, Default: code.zip}
"""

CASES = {
    "plain": """
Globals:
  Function: {Timeout: 5, Runtime: python3.12, Handler: a.b, Tags: {team: x}, Environment: {Variables: {A: '1'}}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: 's3://b/k?versionId=7', Environment: {Variables: {B: '2'}}, Tracing: Active, MemorySize: 256}
  G:
    Type: AWS::Serverless::Function
    Condition: IsOn
    DependsOn: F
    Properties: {InlineCode: 'x', FunctionUrlConfig: {AuthType: NONE, Cors: {AllowOrigins: ['*']}, InvokeMode: BUFFERED}}
  H:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: {Bucket: b, Key: {Ref: Key}}, Role: 'arn:aws:iam::000000000000:role/r', FunctionUrlConfig: {AuthType: AWS_IAM}}
Conditions: {IsOn: {'Fn::Equals': [a, a]}}
""",
    "versions": """
Globals: {Function: {Runtime: nodejs22.x, Handler: a.b, AutoPublishAlias: {Ref: Stage}}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: {Bucket: b, Key: {Ref: Key}}
      VersionDescription: v
      MemorySize: 512
      Environment: {Variables: {A: 'ü'}}
      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 1}
      FunctionUrlConfig: {AuthType: NONE}
  G:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: s3://b/k, AutoPublishAlias: my-alias_1, AutoPublishCodeSha256: 6b86b273ff34fce19d6b804eff5a3f57}
  H:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: s3://b/k, AutoPublishAlias: a, AutoPublishAliasAllProperties: true}
  L:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: s3://b/layer.zip, RetentionPolicy: Delete, CompatibleRuntimes: [python3.12], LayerName: {Ref: Stage}}
  M:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: {Bucket: b, Key: {Ref: Key}}, Description: d}
  I:
    Type: AWS::Serverless::Function
    Properties: {InlineCode: x, Layers: [{Ref: L}, {Ref: M}], AutoPublishAlias: b}
Outputs:
  Version: {Value: {Ref: F.Version}}
  Alias: {Value: {'Fn::GetAtt': [F.Alias, AliasArn]}}
""",
    "events": """
Globals: {Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k}}
Resources:
  Q: {Type: AWS::SQS::Queue}
  T: {Type: AWS::SNS::Topic}
  Fifo: {Type: AWS::SNS::Topic, Properties: {FifoTopic: true}}
  B: {Type: AWS::S3::Bucket}
  Tb: {Type: AWS::Serverless::SimpleTable, Properties: {PrimaryKey: {Name: k, Type: Number}, Tags: {a: b}}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        S: {Type: SQS, Properties: {Queue: {'Fn::GetAtt': [Q, Arn]}, BatchSize: 5, FilterCriteria: {Filters: [{Pattern: '{}'}]}, ScalingConfig: {MaximumConcurrency: 2}}}
        N: {Type: SNS, Properties: {Topic: {Ref: T}, FilterPolicy: {a: [b]}, RedrivePolicy: {deadLetterTargetArn: {'Fn::GetAtt': [Q, Arn]}}}}
        N2: {Type: SNS, Properties: {Topic: {Ref: T}, SqsSubscription: true}}
        N3: {Type: SNS, Properties: {Topic: {Ref: T}, SqsSubscription: {QueueArn: {'Fn::GetAtt': [Q, Arn]}, QueueUrl: {Ref: Q}, BatchSize: 3, Enabled: false}}}
        U: {Type: S3, Properties: {Bucket: {Ref: B}, Events: 's3:ObjectCreated:*', Filter: {S3Key: {Rules: [{Name: suffix, Value: .jpg}]}}}}
        V: {Type: S3, Properties: {Bucket: {Ref: B}, Events: ['s3:ObjectRemoved:*', 's3:ObjectRestore:*']}}
        D: {Type: DynamoDB, Properties: {Stream: 'arn:aws:dynamodb:r:0:table/t/stream/x', StartingPosition: LATEST, BatchSize: 10, BisectBatchOnFunctionError: true, DestinationConfig: {OnFailure: {Type: SQS, Destination: {'Fn::GetAtt': [Q, Arn]}}}}}
  G:
    Type: AWS::Serverless::Function
    Condition: IsOn
    Properties:
      AutoPublishAlias: live
      Events:
        S: {Type: SQS, Properties: {Queue: {'Fn::GetAtt': [Q, Arn]}}}
        K: {Type: Kinesis, Properties: {Stream: 'arn:aws:kinesis:r:0:stream/s', StartingPosition: TRIM_HORIZON}}
Conditions: {IsOn: {'Fn::Equals': [a, a]}}
""",
    "deployments": """
Globals: {Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k, AutoPublishAlias: live, DeploymentPreference: {Type: Canary10Percent5Minutes}}}
Conditions: {IsOn: {'Fn::Equals': [a, a]}, IsOff: {'Fn::Equals': [a, b]}}
Resources:
  Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {ComparisonOperator: GreaterThanThreshold, EvaluationPeriods: 1}}
  Pre: {Type: AWS::Serverless::Function, Properties: {DeploymentPreference: {Enabled: false}}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      DeploymentPreference:
        Type: Linear10PercentEvery1Minute
        Hooks: {PreTraffic: {Ref: Pre}, PostTraffic: {Ref: Pre}}
        Alarms: [{Ref: Alarm}, other]
        Role: arn:aws:iam::000000000000:role/own
  G:
    Type: AWS::Serverless::Function
    Condition: IsOn
    Properties:
      Tags: {a: b}
      DeploymentPreference: {Type: {'Fn::If': [IsOn, AllAtOnce, mine]}, Alarms: {'Fn::If': [IsOn, [x], []]}}
  H:
    Type: AWS::Serverless::Function
    Properties: {DeploymentPreference: {Type: mine, Alarms: []}}
""",
    "connectors": """
Globals: {Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Connectors:
      Db: {Properties: {Destination: {Id: Tb}, Permissions: [Read, Write]}}
      Many: {Properties: {Destination: [{Id: Q}, {Id: T}], Permissions: [Write]}, DependsOn: [B]}
    Properties: {Events: {S: {Type: SQS, Properties: {Queue: {'Fn::GetAtt': [Q, Arn]}}}}}
  G: {Type: AWS::Serverless::Function, Properties: {Role: {'Fn::GetAtt': [Own, Arn]}}}
  Own: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  Q: {Type: AWS::SQS::Queue, Connectors: {In: {Properties: {Destination: {Id: F}, Permissions: [Read, Write]}}}}
  T: {Type: AWS::SNS::Topic, Connectors: {Out: {Properties: {Destination: [{Id: Q}], Permissions: [Write]}}, Calls: {Properties: {Destination: {Id: F}, Permissions: [Write]}}}}
  Tb: {Type: AWS::Serverless::SimpleTable}
  Streamed: {Type: AWS::DynamoDB::Table, Properties: {}}
  B: {Type: AWS::S3::Bucket, Connectors: {Calls: {Properties: {Destination: {Id: F}, Permissions: [Write]}}}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: b}}
  R:
    Type: AWS::Events::Rule
    DependsOn: FToBus
    Properties: {EventPattern: {}, Targets: [{Id: a, Arn: {'Fn::GetAtt': [Bus, Arn]}, RoleArn: {'Fn::GetAtt': [Own, Arn]}}, {Id: b, Arn: {Ref: T}}]}
  Api: {Type: AWS::Serverless::Api, Properties: {StageName: s, DefinitionUri: s3://b/k}}
  Http: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: h, ProtocolType: HTTP}}
  FToG: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: F}, Destination: {Id: G}, Permissions: [Write]}}
  FToB: {Type: AWS::Serverless::Connector, Condition: IsOn, Properties: {Source: {Id: F}, Destination: {Id: B}, Permissions: [Write, Read]}}
  FToBus: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: F}, Destination: {Id: Bus}, Permissions: [Write]}}
  Streams: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: Streamed}, Destination: {Id: G}, Permissions: [Read]}}
  RToBus: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: R}, Destination: {Id: Bus}, Permissions: [Write]}}
  RToT: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: R}, Destination: {Id: T}, Permissions: [Write]}}
  RToQ: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: R}, Destination: {Id: Q}, Permissions: [Write]}}
  RToF: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: R}, Destination: [{Id: F}, {Id: G}], Permissions: [Write]}}
  ApiToF: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: Api, Qualifier: s/GET/x}, Destination: {Id: F}, Permissions: [Write]}}
  HttpToF: {Type: AWS::Serverless::Connector, Properties: {Source: {Id: Http}, Destination: {Id: F}, Permissions: [Write]}}
  Given:
    Type: AWS::Serverless::Connector
    Properties:
      Source: {Type: AWS::Serverless::Function, RoleName: r, Arn: 'arn:aws:lambda:r:0:function:f'}
      Destination: {Type: AWS::SQS::Queue, Arn: 'arn:aws:sqs:r:0:q', QueueUrl: u}
      Permissions: [Read]
Conditions: {IsOn: {'Fn::Equals': [a, a]}}
""",
    "requests": """
Globals: {Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k}}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        A: {Type: Api, Properties: {Path: '/a/{id}', Method: post, RestApiId: {Ref: Old}, RequestModel: {Model: Order, Required: true, ValidateParameters: true}, RequestParameters: [method.request.header.X, {method.request.querystring.q: {Required: true, Caching: true}}, {method.request.path.id: {Required: true}}]}}
        B: {Type: Api, Properties: {Path: /b, Method: put, RestApiId: {Ref: New}, RequestModel: {Model: Order}, RequestParameters: [method.request.header.X]}}
        C: {Type: Api, Properties: {Path: /c, Method: put, RestApiId: {Ref: New}, RequestModel: {Model: Order, Required: false, ValidateBody: false}}}
  Old: {Type: AWS::Serverless::Api, Properties: {StageName: s, Models: {Order: {type: object}}}}
  New: {Type: AWS::Serverless::Api, Properties: {StageName: s, OpenApiVersion: '3.0.1', Models: {Order: {type: object}}}}
""",
    "domains": """
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: s
      DefinitionUri: s3://b/k
      Domain: {DomainName: api.example.com, CertificateArn: arn:aws:acm:r:0:certificate/c, BasePath: [/one-two, three], SecurityPolicy: TLS_1_2}
  Same:
    Type: AWS::Serverless::Api
    Properties:
      StageName: s
      DefinitionUri: s3://b/k
      Domain: {DomainName: {Ref: Key}, CertificateArn: arn:aws:acm:r:0:certificate/c, EndpointConfiguration: EDGE, BasePath: a-b, NormalizeBasePath: false}
  Root: {Type: AWS::Serverless::Api, Properties: {StageName: s, DefinitionUri: s3://b/k, Domain: {DomainName: root.example.com, CertificateArn: arn:aws:acm:r:0:certificate/c}}}
""",
    "http domains": """
Resources:
  Http: {Type: AWS::Serverless::HttpApi, Properties: {StageName: s, DefinitionBody: {openapi: 3.0.1}, Domain: {DomainName: http.example.com, CertificateArn: arn:aws:acm:r:0:certificate/c, BasePath: [/a/b-c, d]}}}
  Root: {Type: AWS::Serverless::HttpApi, Properties: {DefinitionBody: {openapi: 3.0.1}, Domain: {DomainName: root.example.com, CertificateArn: arn:aws:acm:r:0:certificate/c, SecurityPolicy: TLS_1_2, EndpointConfiguration: REGIONAL}}}
""",
    "tags": """
Globals: {Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k, PropagateTags: true, Tags: {a: b}}}
Resources:
  T: {Type: AWS::SNS::Topic}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Tags: {c: d}
      AutoPublishAlias: live
      EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS}}}
      DeploymentPreference: {Type: AllAtOnce}
      Events:
        N: {Type: SNS, Properties: {Topic: {Ref: T}, SqsSubscription: true}}
        S: {Type: Schedule, Properties: {Schedule: rate(1 hour)}}
        R: {Type: EventBridgeRule, Properties: {Pattern: {source: [x]}, DeadLetterConfig: {Type: SQS}}}
        Q: {Type: Schedule, Properties: {Schedule: rate(1 hour), DeadLetterConfig: {Type: SQS, QueueLogicalId: Letters}}}
        V: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour), DeadLetterConfig: {Type: SQS}}}
        W: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour), DeadLetterConfig: {Arn: 'arn:aws:sqs:r:0:q'}}}
  G: {Type: AWS::Serverless::Function, Properties: {PropagateTags: false}}
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: s
      DefinitionBody: {openapi: 3.0.1, info: {title: t}, paths: {/x: {get: {x-amazon-apigateway-integration: {type: mock}, responses: {}}}}}
      PropagateTags: true
      Tags: {x: y}
      Auth: {UsagePlan: {CreateUsagePlan: PER_API}}
      Domain: {DomainName: tags.example.com, CertificateArn: arn:aws:acm:r:0:certificate/c}
""",
    "conditional deployments": """
Globals: {Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k, AutoPublishAlias: live}}
Conditions: {IsOn: {'Fn::Equals': [a, a]}, IsOff: {'Fn::Equals': [a, b]}}
Resources:
  F: {Type: AWS::Serverless::Function, Condition: IsOn, Properties: {DeploymentPreference: {Type: AllAtOnce, PassthroughCondition: true}}}
  G: {Type: AWS::Serverless::Function, Condition: IsOff, Properties: {DeploymentPreference: {Type: AllAtOnce, PassthroughCondition: true}}}
""",
    "apis": """
Globals:
  Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k}
  Api: {Cors: "'*'", TracingEnabled: true}
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Get: {Type: Api, Properties: {Path: '/a/{id}', Method: GET}}
        Any: {Type: Api, Properties: {Path: '/b/{proxy+}', Method: any, TimeoutInMillis: 5000}}
        Own: {Type: Api, Properties: {Path: /c, Method: post, RestApiId: {Ref: Mine}, Auth: {Authorizer: NONE}}}
        Own2: {Type: Api, Properties: {Path: /c, Method: get, RestApiId: {Ref: Mine}, Auth: {Authorizer: Second, ApiKeyRequired: true}}}
  G:
    Type: AWS::Serverless::Function
    Condition: IsOn
    Properties:
      AutoPublishAlias: live
      Events:
        Get: {Type: Api, Properties: {Path: /g, Method: get}}
  Mine:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      Name: mine
      Description: d
      EndpointConfiguration: {Type: REGIONAL}
      BinaryMediaTypes: [image~1png]
      Variables: {a: b}
      MethodSettings: [{ResourcePath: '/*', HttpMethod: '*', ThrottlingRateLimit: 5}]
      Tags: {t: u}
      Cors: {AllowOrigin: "'https://x'", AllowHeaders: "'A'", MaxAge: "'60'", AllowCredentials: true}
      Auth:
        DefaultAuthorizer: First
        ApiKeyRequired: true
        AddDefaultAuthorizerToCorsPreflight: false
        AddApiKeyRequiredToCorsPreflight: false
        UsagePlan: {CreateUsagePlan: PER_API, UsagePlanName: p, Throttle: {BurstLimit: 1, RateLimit: 2}}
        Authorizers:
          First: {FunctionArn: {'Fn::GetAtt': [F, Arn]}}
          Second:
            FunctionArn: {'Fn::GetAtt': [F, Arn]}
            FunctionPayloadType: REQUEST
            Identity: {Headers: [X], QueryStrings: [q], ReauthorizeEvery: 0}
      GatewayResponses:
        DEFAULT_4XX: {StatusCode: 418, ResponseParameters: {Headers: {X: "'y'"}}, ResponseTemplates: {application/json: '{}'}}
  Given:
    Type: AWS::Serverless::Api
    Properties:
      StageName: {Ref: Stage}
      DefinitionBody: {openapi: 3.0.1, info: {title: t}, paths: {/x: {get: {x-amazon-apigateway-integration: {type: mock}, responses: {}}}}}
  There:
    Type: AWS::Serverless::Api
    Properties: {StageName: there, DefinitionUri: s3://b/k, OpenApiVersion: '3.0.1', Cors: ''}
Conditions: {IsOn: {'Fn::Equals': [a, a]}}
""",
    "roles": """
Globals: {Function: {Runtime: python3.12, Handler: a.b, CodeUri: s3://b/k}}
Resources:
  Q: {Type: AWS::SQS::Queue}
  T: {Type: AWS::SNS::Topic}
  F:
    Type: AWS::Serverless::Function
    Properties:
      RolePath: /x/
      PermissionsBoundary: arn:aws:iam::000000000000:policy/b
      VpcConfig: {SubnetIds: [s], SecurityGroupIds: [g]}
      Policies:
        - arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess
        - SQSPollerPolicy: {QueueName: {'Fn::GetAtt': [Q, QueueName]}}
        - Statement: [{Effect: Allow, Action: 'logs:*', Resource: '*'}]
        - DynamoDBCrudPolicy: {TableName: t}
        - SSMParameterReadPolicy: {ParameterName: p}
        - {Ref: Managed}
        - S3CrudPolicy: {BucketName: {Ref: Stage}}
      DeadLetterQueue: {Type: SNS, TargetArn: {Ref: T}}
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        MaximumEventAgeInSeconds: 60
        DestinationConfig:
          OnSuccess: {Type: SQS}
          OnFailure: {Type: Lambda, Destination: 'arn:aws:lambda:r:0:function:f'}
  Managed: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Version: '2012-10-17', Statement: []}}}
  G:
    Type: AWS::Serverless::Function
    Properties:
      AutoPublishAlias: live
      Policies: {Version: '2012-10-17', Statement: [{Effect: Allow, Action: 's3:*', Resource: '*'}]}
      EventInvokeConfig: {DestinationConfig: {OnSuccess: {Type: SNS}, OnFailure: {Type: SNS, Destination: {Ref: T}}}}
  A:
    Type: AWS::Serverless::Application
    Properties: {Location: 'https://s3.amazonaws.com/b/t', Parameters: {P: {Ref: Stage}}, Tags: {a: b}, TimeoutInMinutes: 3}
""",
}


# HTTP APIs are other resources here than there (docs/decisions/sam-http-apis.md): of these cases only some are compared.
ONLY = {"http domains": ("AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping")}


def digests(value):
    """Deployments end in a hash of their API's document, which AWS's translator makes of how Python prints it; ours is another
    one. Of API keys, what stages they are for is said by usage plans alone."""
    text = re.sub(r"Deployment[0-9a-f]{10}", "Deployment-HASH", json.dumps(value))
    value = json.loads(re.sub(r"deployment id: [0-9a-f]+", "deployment id: HASH", text))
    for resource in value.values():
        if isinstance(resource, dict) and resource.get("Type") == "AWS::ApiGateway::ApiKey":
            resource["Properties"].pop("StageKeys", None)
    return value


def normal(value, name=""):
    """What has no order has none here; an empty map is as good as none."""
    if isinstance(value, dict):
        return {k: normal(v, k) for k, v in sorted(value.items()) if v not in ({}, None)}
    if isinstance(value, list):
        items = [normal(v) for v in value]
        unordered = name in ("ManagedPolicyArns", "DependsOn", "Policies", "Tags", "LambdaConfigurations", "Fn::Or")
        return sorted(items, key=lambda v: json.dumps(v, sort_keys=True)) if unordered else items
    return value


def main():
    client = boto3.client("cloudformation")
    failures = []
    for case, text in CASES.items():
        template = HEAD + text
        stack = f"case-{case.replace(' ', '-')}"
        client.create_change_set(
            StackName=stack,
            ChangeSetName="c",
            ChangeSetType="CREATE",
            TemplateBody=template.replace(", DefinitionBody: {openapi: 3.0.1}", "").replace("DefinitionBody: {openapi: 3.0.1}, ", "") if case in ONLY else template,
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        ours = client.get_template(StackName=stack, ChangeSetName="c", TemplateStage="Processed")["TemplateBody"]
        ours = ours if isinstance(ours, dict) else json.loads(ours)
        theirs = transform(yaml_parse(template), {}, NoManagedPolicies())
        for section in ("Resources", "Outputs", "Conditions"):
            a, b = normal(digests(ours.get(section, {}))), normal(digests(theirs.get(section, {})))
            if case in ONLY and section == "Resources":
                a, b = ({name: r for name, r in rs.items() if r["Type"] in ONLY[case]} for rs in (a, b))
            for name in sorted(set(a) | set(b)):
                if a.get(name) != b.get(name):
                    failures.append(f"{case} {section} {name}\n  ours   {json.dumps(a.get(name))}\n  theirs {json.dumps(b.get(name))}")
        client.delete_stack(StackName=stack)
    print("\n".join(failures))
    sys.exit(1 if failures else 0)


main()
