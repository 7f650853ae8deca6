"""Drift: a stack of every type that can be read back is in sync as it was made; what is changed behind its back is found, and
only that."""

import json
import os

import boto3

from stacking import ends, fails, stacks

RUNTIME = os.environ["NODE_RUNTIME"]
client = lambda name: boto3.client(name)
functions, iam, queues, tables, parameters = map(client, ("lambda", "iam", "sqs", "dynamodb", "ssm"))
resource = lambda kind, **properties: {"Type": f"AWS::{kind}", "Properties": properties}
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
read = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "sqs:*"], "Resource": "*"}]}
att = lambda name, attribute="Arn": {"Fn::GetAtt": [name, attribute]}
basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
TEMPLATE = {
    "Resources": {
        "Role": resource("IAM::Role", AssumeRolePolicyDocument=trust, ManagedPolicyArns=[basic], Description="d",
                         Policies=[{"PolicyName": "inline", "PolicyDocument": read}]),
        "Policy": resource("IAM::Policy", PolicyName="beside", PolicyDocument=read, Roles=[{"Ref": "Role"}]),
        "Managed": resource("IAM::ManagedPolicy", PolicyDocument=read, Roles=[{"Ref": "Role"}]),
        "Function": resource("Lambda::Function", Runtime=RUNTIME, Handler="index.handler", Role=att("Role"), MemorySize="256", Timeout=7,
                             Description="d", Code={"ZipFile": "exports.handler = async () => 1"}, Environment={"Variables": {"AA": "1", "NN": 2}},
                             EphemeralStorage={"Size": 512}, ReservedConcurrentExecutions=3, Tags=[{"Key": "k", "Value": "v"}]),
        "Version": resource("Lambda::Version", FunctionName={"Ref": "Function"}),
        "Alias": resource("Lambda::Alias", FunctionName={"Ref": "Function"}, FunctionVersion=att("Version", "Version"), Name="live"),
        "Queue": resource("SQS::Queue", VisibilityTimeout=60, MessageRetentionPeriod="3600",
                          RedrivePolicy={"deadLetterTargetArn": att("Dead"), "maxReceiveCount": 3}),
        "Dead": resource("SQS::Queue", DelaySeconds=1),
        "Mapping": resource("Lambda::EventSourceMapping", FunctionName={"Ref": "Function"}, EventSourceArn=att("Queue"), BatchSize=5, Enabled=False),
        "Topic": resource("SNS::Topic", DisplayName="t"),
        "Table": resource("DynamoDB::Table", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                          AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}], StreamSpecification={"StreamViewType": "NEW_IMAGE"},
                          TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True}),
        "Group": resource("Logs::LogGroup", RetentionInDays=7),
        "Parameter": resource("SSM::Parameter", Type="String", Value="v"),
        "Bucket": resource("S3::Bucket", VersioningConfiguration={"Status": "Enabled"}, Tags=[{"Key": "a", "Value": "b"}]),
        "Rule": resource("Events::Rule", EventPattern={"source": ["x"]}, Targets=[{"Id": "q", "Arn": att("Dead")}], State="ENABLED"),
        "Key": resource("KMS::Key", Description="k", KeyPolicy={"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}]}),
        "Secret": resource("SecretsManager::Secret", Description="s", SecretString="x"),
        "Api": resource("ApiGatewayV2::Api", Name="a", ProtocolType="HTTP"),
        "Stage": resource("ApiGatewayV2::Stage", ApiId={"Ref": "Api"}, StageName="$default", AutoDeploy=True),
        "Integration": resource("ApiGatewayV2::Integration", ApiId={"Ref": "Api"}, IntegrationType="AWS_PROXY", IntegrationUri=att("Function"), PayloadFormatVersion="2.0"),
        "Route": resource("ApiGatewayV2::Route", ApiId={"Ref": "Api"}, RouteKey="GET /x", Target={"Fn::Sub": "integrations/${Integration}"}),
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
    },
}


def detected(**more):
    id = stacks.detect_stack_drift(StackName="drifts", **more)["StackDriftDetectionId"]
    status = stacks.describe_stack_drift_detection_status(StackDriftDetectionId=id)
    assert status["DetectionStatus"] == "DETECTION_COMPLETE", status
    return status["StackDriftStatus"], status["DriftedStackResourceCount"]


def drifts(*statuses):
    found = stacks.describe_stack_resource_drifts(StackName="drifts", **({"StackResourceDriftStatusFilters": list(statuses)} if statuses else {}))
    return {one["LogicalResourceId"]: one for one in found["StackResourceDrifts"]}


stacks.create_stack(StackName="drifts", TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_IAM"])
ends("drifts", "CREATE_COMPLETE")
assert stacks.describe_stacks(StackName="drifts")["Stacks"][0]["DriftInformation"] == {"StackDriftStatus": "NOT_CHECKED"}
assert detected() == ("IN_SYNC", 0), [(n, d["PropertyDifferences"], d["StackResourceDriftStatus"]) for n, d in drifts("MODIFIED", "DELETED").items()]
unread = {name for name, one in drifts("NOT_CHECKED").items()}
assert unread == {"Policy", "Version", "Handle"}, unread
compared = json.loads(drifts()["Function"]["ExpectedProperties"])
assert compared["Timeout"] == 7 and "Code" not in compared, compared
ids = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in stacks.list_stack_resources(StackName="drifts")["StackResourceSummaries"]}

# Behind its back.
functions.update_function_configuration(FunctionName=ids["Function"], Timeout=8, Environment={"Variables": {"AA": "1", "BB": "3"}})
iam.attach_role_policy(RoleName=ids["Role"], PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
queues.set_queue_attributes(QueueUrl=ids["Queue"], Attributes={"VisibilityTimeout": "61"})
tables.delete_table(TableName=ids["Table"])
parameters.put_parameter(Name=ids["Parameter"], Value="w", Overwrite=True)
assert detected() == ("DRIFTED", 5)
changed = {name: [(d["DifferenceType"], d["PropertyPath"], d["ExpectedValue"], d["ActualValue"]) for d in one["PropertyDifferences"]]
           for name, one in drifts("MODIFIED", "DELETED").items()}
assert changed == {
    "Function": [("NOT_EQUAL", "/Timeout", "7", "8"), ("REMOVE", "/Environment/Variables/NN", "2", "null"), ("ADD", "/Environment/Variables/BB", "null", "3")],
    "Role": [("ADD", "/ManagedPolicyArns/1", "null", "arn:aws:iam::aws:policy/AdministratorAccess")],
    "Queue": [("NOT_EQUAL", "/VisibilityTimeout", "60", "61")],
    "Parameter": [("NOT_EQUAL", "/Value", "v", "w")],
    "Table": [],
}, changed
assert drifts("DELETED").keys() == {"Table"}
information = stacks.describe_stacks(StackName="drifts")["Stacks"][0]["DriftInformation"]
assert information["StackDriftStatus"] == "DRIFTED" and information["LastCheckTimestamp"], information
of = lambda name: stacks.describe_stack_resource(StackName="drifts", LogicalResourceId=name)["StackResourceDetail"]["DriftInformation"]
assert of("Queue")["StackResourceDriftStatus"] == "MODIFIED" and of("Topic")["StackResourceDriftStatus"] == "IN_SYNC"

# One that is brought back, looked at alone.
queues.set_queue_attributes(QueueUrl=ids["Queue"], Attributes={"VisibilityTimeout": "60"})
one = stacks.detect_stack_resource_drift(StackName="drifts", LogicalResourceId="Queue")["StackResourceDrift"]
assert one["StackResourceDriftStatus"] == "IN_SYNC" and one["PropertyDifferences"] == [], one
assert of("Queue")["StackResourceDriftStatus"] == "IN_SYNC"
assert detected(LogicalResourceIds=["Parameter"]) == ("DRIFTED", 4)

fails("does not exist", "detect_stack_drift", StackName="none")
fails("does not exist", "detect_stack_drift", StackName="drifts", LogicalResourceIds=["None"])
fails("does not exist", "detect_stack_resource_drift", StackName="drifts", LogicalResourceId="None")
fails("does not exist", "describe_stack_drift_detection_status", StackDriftDetectionId="00000000-0000-0000-0000-000000000000")
fails("enum value set", "describe_stack_resource_drifts", StackName="drifts", StackResourceDriftStatusFilters=["OTHER"])
fails("not implemented: cloudformation.DetectStackSetDrift", "detect_stack_set_drift", StackSetName="s")
