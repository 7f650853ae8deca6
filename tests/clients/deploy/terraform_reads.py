"""What Terraform's provider asks for after it has made something, call by call, and the members of the answers without which it
plans another change, or breaks. Runs where Terraform itself is not at hand as well."""

import io
import json
import sys
import zipfile

import boto3
from botocore.exceptions import ClientError

iam, lam, sqs, ddb, s3, gw, logs, events, scheduler = (
    boto3.client(name)
    for name in ["iam", "lambda", "sqs", "dynamodb", "s3", "apigatewayv2", "logs", "events", "scheduler"]
)


def refused(codes, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] in codes, error.response
        return
    raise SystemExit(f"none of {codes} was answered to {arguments}")


def has(answer, *members):
    missing = [member for member in members if member not in answer]
    assert not missing, (missing, answer)


trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
# Without either of the first two the provider ends in a panic.
shown = iam.get_role(RoleName="r")["Role"]
has(shown, "CreateDate", "MaxSessionDuration", "Path", "RoleId")
assert shown["AssumeRolePolicyDocument"] == json.loads(trust), shown
policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]})
iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy)
assert iam.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"] == json.loads(policy)
managed = iam.create_policy(PolicyName="m", PolicyDocument=policy)["Policy"]["Arn"]
iam.attach_role_policy(RoleName="r", PolicyArn=managed)
version = iam.get_policy(PolicyArn=managed)["Policy"]["DefaultVersionId"]
assert iam.get_policy_version(PolicyArn=managed, VersionId=version)["PolicyVersion"]["Document"] == json.loads(policy)
assert len(iam.list_policy_versions(PolicyArn=managed)["Versions"]) == 1
assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["p"]
assert iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"][0]["PolicyArn"] == managed
assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"] == []

dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]["QueueArn"]
# As it was written, white space and all.
redrive = '{"deadLetterTargetArn":"%s",  "maxReceiveCount":4}' % dead_arn
queue = sqs.create_queue(QueueName="q", Attributes={"RedrivePolicy": redrive})["QueueUrl"]
attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
assert attributes["RedrivePolicy"] == redrive, attributes
sqs.list_queue_tags(QueueUrl=queue)

ddb.create_table(
    TableName="seen", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
)
ddb.get_waiter("table_exists").wait(TableName="seen")
table = ddb.describe_table(TableName="seen")["Table"]
assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST" and table["AttributeDefinitions"], table
has(ddb.describe_time_to_live(TableName="seen"), "TimeToLiveDescription")
has(ddb.describe_continuous_backups(TableName="seen"), "ContinuousBackupsDescription")
assert ddb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == []

s3.create_bucket(Bucket="uploads")
s3.head_bucket(Bucket="uploads")
for read in ["accelerate_configuration", "acl", "encryption", "logging", "notification_configuration", "request_payment", "versioning"]:
    getattr(s3, f"get_bucket_{read}")(Bucket="uploads")
for read, codes in {
    "bucket_cors": ["NoSuchCORSConfiguration"],
    "bucket_lifecycle_configuration": ["NoSuchLifecycleConfiguration"],
    "bucket_policy": ["NoSuchBucketPolicy"],
    "bucket_tagging": ["NoSuchTagSet"],
    "bucket_website": ["NoSuchWebsiteConfiguration"],
    "object_lock_configuration": ["ObjectLockConfigurationNotFoundError"],
    # What is not built is taken for something that is not there.
    "bucket_replication": ["ReplicationConfigurationNotFoundError", "NotImplemented"],
}.items():
    refused(codes, getattr(s3, f"get_{read}"), Bucket="uploads")
refused(["404"], s3.head_bucket, Bucket="no-such-bucket")

code = io.BytesIO()
with zipfile.ZipFile(code, "w") as bundle:
    bundle.writestr("app.py", "def handler(event, context):\n    return 'hello'\n")
function = lam.create_function(
    FunctionName="f", Runtime=sys.argv[1], Handler="app.handler", Role=role, Code={"ZipFile": code.getvalue()}, Publish=True
)["FunctionArn"].removesuffix(":1")
lam.get_waiter("function_active_v2").wait(FunctionName="f")
shown = lam.get_function(FunctionName="f")
has(shown, "Code", "Configuration")
has(shown["Configuration"], "PackageType", "Timeout", "MemorySize", "State", "LastUpdateStatus", "Architectures", "EphemeralStorage")
has(shown["Configuration"], "TracingConfig", "LoggingConfig", "Version", "CodeSha256")
lam.get_function_code_signing_config(FunctionName="f")
assert [one["Version"] for one in lam.list_versions_by_function(FunctionName="f")["Versions"]] == ["$LATEST", "1"]
assert lam.list_tags(Resource=function)["Tags"] == {}
mapping = lam.create_event_source_mapping(
    EventSourceArn=attributes["QueueArn"], FunctionName="f", Tags={"a": "b"}
)
lam.tag_resource(Resource=mapping["EventSourceMappingArn"], Tags={"c": "d"})
lam.untag_resource(Resource=mapping["EventSourceMappingArn"], TagKeys=["a"])
assert lam.list_tags(Resource=mapping["EventSourceMappingArn"])["Tags"] == {"c": "d"}
refused(["ResourceNotFoundException"], lam.list_tags, Resource=mapping["EventSourceMappingArn"][:-12] + "0" * 12)

api = gw.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
shown = gw.get_api(ApiId=api)
assert shown["ApiKeySelectionExpression"] == "$request.header.x-api-key", shown
assert shown["RouteSelectionExpression"] == "$request.method $request.path", shown
issuer = {"Issuer": "https://issuer.example", "Audience": ["shop"]}
authorizer = gw.create_authorizer(
    ApiId=api, Name="jwt", AuthorizerType="JWT", IdentitySource=["$request.header.Authorization"], JwtConfiguration=issuer
)["AuthorizerId"]
assert "AuthorizerPayloadFormatVersion" not in gw.get_authorizer(ApiId=api, AuthorizerId=authorizer)
integration = gw.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0")["IntegrationId"]
has(gw.get_integration(ApiId=api, IntegrationId=integration), "ConnectionType", "IntegrationMethod", "TimeoutInMillis")
route = gw.create_route(ApiId=api, RouteKey="GET /", Target=f"integrations/{integration}")["RouteId"]
has(gw.get_route(ApiId=api, RouteId=route), "ApiKeyRequired", "AuthorizationType", "RouteKey", "Target")
gw.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
has(gw.get_stage(ApiId=api, StageName="$default"), "AutoDeploy", "DefaultRouteSettings", "StageVariables")

logs.create_log_group(logGroupName="g")
(group,) = logs.describe_log_groups(logGroupNamePrefix="g")["logGroups"]
assert logs.list_tags_for_resource(resourceArn=group["logGroupArn"])["tags"] == {}
rule = events.put_rule(Name="tock", ScheduleExpression="rate(1 hour)")["RuleArn"]
has(events.describe_rule(Name="tock"), "Arn", "EventBusName", "ScheduleExpression", "State")
assert events.list_targets_by_rule(Rule="tock")["Targets"] == []
assert events.list_tags_for_resource(ResourceARN=rule)["Tags"] == []
target = {"Arn": function, "RoleArn": role}
iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust.replace("lambda.amazonaws.com", "scheduler.amazonaws.com"))
scheduler.create_schedule(Name="tick", ScheduleExpression="rate(1 hour)", FlexibleTimeWindow={"Mode": "OFF"}, Target=target)
shown = scheduler.get_schedule(Name="tick")
has(shown, "FlexibleTimeWindow", "GroupName", "ScheduleExpressionTimezone", "State")
has(shown["Target"], "RetryPolicy", "RoleArn")
