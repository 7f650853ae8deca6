"""Change sets that take existing resources into a stack: of every type that can be taken, the checks before, the way back, and what
the stack does with them afterwards."""

import io
import json
import os
import zipfile

import boto3
from botocore.exceptions import ClientError

from stacking import ends, events, fails, stacks, status, until

RUNTIME = os.environ["NODE_RUNTIME"]
client = lambda name: boto3.client(name)
functions, iam, queues, tables, parameters = map(client, ("lambda", "iam", "sqs", "dynamodb", "ssm"))
buckets, topics, rules, keys, secrets, logs, apis = map(client, ("s3", "sns", "events", "kms", "secretsmanager", "logs", "apigatewayv2"))
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
read = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}


def code():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("index.js", "exports.handler = async () => 1")
    return packed.getvalue()


# What somebody made by hand.
role = iam.create_role(RoleName="taken", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
policy = iam.create_policy(PolicyName="taken", PolicyDocument=json.dumps(read))["Policy"]["Arn"]
iam.attach_role_policy(RoleName="taken", PolicyArn=policy)
function = functions.create_function(FunctionName="taken", Runtime=RUNTIME, Handler="index.handler", Role=role, Code={"ZipFile": code()}, Publish=True)
alias = functions.create_alias(FunctionName="taken", Name="live", FunctionVersion=function["Version"])["AliasArn"]
queue = queues.create_queue(QueueName="taken")["QueueUrl"]
queue_arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
mapping = functions.create_event_source_mapping(FunctionName="taken", EventSourceArn=queue_arn, Enabled=False)["UUID"]
topic = topics.create_topic(Name="taken")["TopicArn"]
tables.create_table(TableName="taken", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
buckets.create_bucket(Bucket="taken")
logs.create_log_group(logGroupName="taken")
parameters.put_parameter(Name="taken", Type="String", Value="v")
secret = secrets.create_secret(Name="taken", SecretString="x")["ARN"]
key = keys.create_key()["KeyMetadata"]["KeyId"]
rule = rules.put_rule(Name="taken", EventPattern=json.dumps({"source": ["x"]}))["RuleArn"]
api = apis.create_api(Name="taken", ProtocolType="HTTP")["ApiId"]

att = lambda name, attribute="Arn": {"Fn::GetAtt": [name, attribute]}
# Of each: its type, what identifies it, its properties, an attribute.
KINDS = {
    "Role": ("IAM::Role", {"RoleName": "taken"}, {"RoleName": "taken", "AssumeRolePolicyDocument": trust}, "Arn"),
    "Policy": ("IAM::ManagedPolicy", {"PolicyArn": policy}, {"ManagedPolicyName": "taken", "PolicyDocument": read}, "PolicyArn"),
    "Function": ("Lambda::Function", {"FunctionName": "taken"}, {"FunctionName": "taken", "Runtime": RUNTIME, "Handler": "index.handler", "Role": att("Role"),
                                                                 "Code": {"ZipFile": "exports.handler = async () => 1"}}, "Arn"),
    "Alias": ("Lambda::Alias", {"AliasArn": alias}, {"FunctionName": {"Ref": "Function"}, "Name": "live", "FunctionVersion": "1"}, "AliasArn"),
    "Mapping": ("Lambda::EventSourceMapping", {"Id": mapping}, {"FunctionName": {"Ref": "Function"}, "EventSourceArn": att("Queue"), "Enabled": False}, "Id"),
    "Queue": ("SQS::Queue", {"QueueUrl": queue}, {"QueueName": "taken"}, "QueueName"),
    "Topic": ("SNS::Topic", {"TopicArn": topic}, {"TopicName": "taken"}, "TopicName"),
    "Table": ("DynamoDB::Table", {"TableName": "taken"}, {
        "TableName": "taken", "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]}, "Arn"),
    "Bucket": ("S3::Bucket", {"BucketName": "taken"}, {"BucketName": "taken"}, "Arn"),
    "Group": ("Logs::LogGroup", {"LogGroupName": "taken"}, {"LogGroupName": "taken"}, "Arn"),
    "Parameter": ("SSM::Parameter", {"Name": "taken"}, {"Name": "taken", "Type": "String", "Value": "v"}, "Value"),
    "Secret": ("SecretsManager::Secret", {"Id": secret}, {"Name": "taken", "SecretString": "x"}, "Id"),
    "Key": ("KMS::Key", {"KeyId": key}, {"KeyPolicy": {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}]}}, "Arn"),
    "Rule": ("Events::Rule", {"Arn": rule}, {"Name": "taken", "EventPattern": {"source": ["x"]}}, "Arn"),
    "Api": ("ApiGatewayV2::Api", {"ApiId": api}, {"Name": "taken", "ProtocolType": "HTTP"}, "ApiEndpoint"),
}


def resource(name, **more):
    kind, _, properties, _ = KINDS[name]
    return {"Type": f"AWS::{kind}", "DeletionPolicy": "Retain", "Properties": properties, **more}


def identified(name, **more):
    kind, identifier, *_ = KINDS[name]
    return {"ResourceType": f"AWS::{kind}", "LogicalResourceId": name, "ResourceIdentifier": identifier, **more}


def wish(resources, imports, stack="all", **more):
    return {"StackName": stack, "ChangeSetName": "import", "ChangeSetType": "IMPORT", "ResourcesToImport": imports,
            "TemplateBody": json.dumps({"Resources": resources, **more.pop("template", {})}), "Capabilities": ["CAPABILITY_NAMED_IAM"], **more}


def execute(stack="all"):
    stacks.execute_change_set(StackName=stack, ChangeSetName="import")


whole, every = {name: resource(name) for name in KINDS}, [identified(name) for name in KINDS]
summary = stacks.get_template_summary(TemplateBody=json.dumps({"Resources": whole}))["ResourceIdentifierSummaries"]
assert {one["ResourceType"]: one["ResourceIdentifiers"] for one in summary} == {f"AWS::{kind}": list(by) for kind, by, *_ in KINDS.values()}, summary

# What is not as it has to be is refused before anything is there.
bucket, bucket_id = {"Bucket": resource("Bucket")}, [identified("Bucket")]
bare = {"Bucket": {key: value for key, value in resource("Bucket").items() if key != "DeletionPolicy"}}
outputs = {"Outputs": {"Name": {"Value": {"Ref": "Bucket"}}}}
for words, given in {
    "must have DeletionPolicy attribute": wish(bare, bucket_id),
    "is missing from ResourcesToImport list": wish({**bucket, "Topic": resource("Topic")}, bucket_id),
    "is not in the template": wish({"Topic": resource("Topic")}, bucket_id),
    "must name at least one resource": wish(bucket, []),
    "cannot modify or add [Outputs]": wish(bucket, bucket_id, template=outputs),
    "does not exist": wish({"Bucket": resource("Bucket", Properties={})}, [identified("Bucket", ResourceIdentifier={"BucketName": "nowhere"})]),
    "is another in the template": wish(bucket, [identified("Bucket", ResourceIdentifier={"BucketName": "nowhere"})]),
    "is to be identified by [BucketName]": wish(bucket, [identified("Bucket", ResourceIdentifier={"Arn": "arn:aws:s3:::taken"})]),
    "is of the type AWS::S3::Bucket in the template": wish(bucket, [{**identified("Topic"), "LogicalResourceId": "Bucket"}]),
    "not implemented: cloudformation ResourceTypes [AWS::SNS::Subscription]": wish(bucket, [identified("Bucket", ResourceType="AWS::SNS::Subscription")]),
    "only valid for change sets of the type IMPORT": {**wish(bucket, bucket_id), "ChangeSetType": "CREATE"},
    "not implemented: cloudformation DeploymentMode": {**wish(bucket, []), "ChangeSetType": "CREATE", "DeploymentMode": "REVERT_DRIFT"},
}.items():
    assert fails(words, "create_change_set", **given) == "ValidationError", words
fails("does not exist", "describe_stacks", StackName="all")

# A new stack of what is there, with the stack's tags on it.
stacks.create_change_set(**wish(whole, every, Tags=[{"Key": "team", "Value": "a"}]))
shown = stacks.describe_change_set(StackName="all", ChangeSetName="import")
changes = [change["ResourceChange"] for change in shown["Changes"]]
assert shown["ExecutionStatus"] == "AVAILABLE" and {change["Action"] for change in changes} == {"Import"}, shown
ids = {change["LogicalResourceId"]: change["PhysicalResourceId"] for change in changes}
assert (ids["Bucket"], ids["Topic"], ids["Queue"], ids["Alias"], ids["Api"], ids["Key"]) == ("taken", topic, queue, alias, api, key), ids
execute()
ends("all", "IMPORT_COMPLETE")
said = events("all")
for name in KINDS:
    assert {"IMPORT_IN_PROGRESS", "IMPORT_COMPLETE"} <= {what for which, what, _ in said if which == name}, (name, said)
assert not [what for _, what, _ in said if what.startswith("CREATE")], said
assert functions.list_tags(Resource=alias.rsplit(":", 1)[0])["Tags"] == {"team": "a"}
assert queues.list_queue_tags(QueueUrl=queue)["Tags"] == {"team": "a"}
fails("already exists in stack all", "create_change_set", **wish(bucket, bucket_id, stack="other"))

# From now on it is the stack's: attributes are known, it changes with the template, and stays when the stack goes.
attributes = {name: {"Value": att(name, attribute)} for name, (*_, attribute) in KINDS.items()}
refs = {f"Ref{name}": {"Value": {"Ref": name}} for name in KINDS}
whole["Queue"] = resource("Queue", Properties={"QueueName": "taken", "VisibilityTimeout": 77})
stacks.update_stack(StackName="all", TemplateBody=json.dumps({"Resources": whole, "Outputs": attributes | refs}), Capabilities=["CAPABILITY_NAMED_IAM"])
ends("all", "UPDATE_COMPLETE")
found = {output["OutputKey"]: output["OutputValue"] for output in stacks.describe_stacks(StackName="all")["Stacks"][0]["Outputs"]}
assert (found["Role"], found["Policy"], found["Alias"], found["Secret"], found["Rule"]) == (role, policy, alias, secret, rule), found
assert (found["Function"], found["RefRule"], found["Parameter"]) == (alias.rsplit(":", 1)[0], "taken", "v"), found
assert {name: found[f"Ref{name}"] for name in KINDS} == ids, found
assert queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]["VisibilityTimeout"] == "77"

# Nothing else may change along the way.
topics.create_topic(Name="second")
second = {"Second": {"Type": "AWS::SNS::Topic", "DeletionPolicy": "Delete", "Properties": {"TopicName": "second"}}}
second_id = [{"ResourceType": "AWS::SNS::Topic", "LogicalResourceId": "Second", "ResourceIdentifier": {"TopicArn": topic.replace("taken", "second")}}]
with_outputs = {"Outputs": attributes | refs}
changed = {**whole, "Parameter": resource("Parameter", Properties={"Name": "taken", "Type": "String", "Value": "w"})}
fails("You have modified resources [Parameter]", "create_change_set", **wish({**changed, **second}, second_id, template=with_outputs))
fails("You have modified resources [Topic]", "create_change_set",
      **wish({**{name: one for name, one in whole.items() if name != "Topic"}, **second}, second_id, template={}))
fails("cannot modify or add [Outputs]", "create_change_set", **wish({**whole, **second}, second_id, template={}))

# Gone before it was taken: the stack is what it was.
stacks.create_change_set(**wish({**whole, **second}, second_id, template=with_outputs))
topics.delete_topic(TopicArn=topic.replace("taken", "second"))
execute()
ends("all", "IMPORT_ROLLBACK_COMPLETE")
said = [what for which, what, _ in events("all") if which == "Second"]
assert said == ["IMPORT_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_IN_PROGRESS", "IMPORT_FAILED", "IMPORT_IN_PROGRESS"], said
assert "Second" not in {one["LogicalResourceId"] for one in stacks.list_stack_resources(StackName="all")["StackResourceSummaries"]}
topics.create_topic(Name="second")
stacks.create_change_set(**wish({**whole, **second}, second_id, template=with_outputs))
execute()
ends("all", "IMPORT_COMPLETE")
stacks.delete_stack(StackName="all")


def is_gone():
    try:
        status("all")
    except ClientError:
        return True


until("the stack is gone", is_gone)
assert buckets.list_buckets()["Buckets"][0]["Name"] == "taken" and functions.get_alias(FunctionName="taken", Name="live")
assert topics.list_topics()["Topics"] == [{"TopicArn": topic}], "only what is to go went"

# What is there under its name is imported, and the rest is made. What was there stays when it goes wrong.
some = {"Bucket": resource("Bucket"), "Queue": resource("Queue"), "Topic": resource("Topic", Properties={"TopicName": "third"}, DeletionPolicy="RetainExceptOnCreate"),
        "Rule": resource("Rule"), "Secret": resource("Secret"), "Role": resource("Role"), "Group": resource("Group", Properties={"LogGroupName": "made"})}
broken = {"Broken": {"Type": "AWS::SSM::Parameter", "DependsOn": list(some), "Properties": {"Type": "String", "Value": "v", "Name": "no name"}}}
mixed = lambda resources: {**wish(resources, [], stack="mixed"), "ChangeSetType": "CREATE", "ImportExistingResources": True}
taken = {"Bucket", "Queue", "Rule", "Secret", "Role"}
for resources, end in ((some | broken, "ROLLBACK_COMPLETE"), (some, "CREATE_COMPLETE")):
    stacks.create_change_set(**mixed(resources))
    changes = [change["ResourceChange"] for change in stacks.describe_change_set(StackName="mixed", ChangeSetName="import")["Changes"]]
    assert {change["LogicalResourceId"] for change in changes if change["Action"] == "Import"} == taken, changes
    execute("mixed")
    said = ends("mixed", end)
    for name in taken:
        wanted = ["DELETE_SKIPPED"] * ("Broken" in resources) + ["IMPORT_COMPLETE", "IMPORT_IN_PROGRESS"]
        assert [what for which, what, _ in said if which == name] == wanted, (name, said)
    assert buckets.list_buckets()["Buckets"] and queues.list_queues()["QueueUrls"] == [queue]
    if "Broken" in resources:
        # A policy that keeps what was made keeps the group.
        logs.delete_log_group(logGroupName="made")
        assert topics.list_topics()["Topics"] == [{"TopicArn": topic}]
        stacks.delete_stack(StackName="mixed")
fails("already exists in stack mixed", "create_change_set", **{**mixed({"Bucket": resource("Bucket")}), "StackName": "another"})
