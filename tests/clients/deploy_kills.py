"""A stack that is created, changed, changed in vain, created in vain and removed, each with a kill in the middle: it ends where it
would have ended, and of each resource there is one or none."""

import json
import random
import sys
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError as URLLib3Error

ROUNDS = int(sys.argv[1])
RUNTIME = sys.argv[2]
config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
client = lambda name: boto3.client(name, config=config)
stacks, functions, tables, queues, buckets, roles, parameters = map(client, ("cloudformation", "lambda", "dynamodb", "sqs", "s3", "iam", "ssm"))


def template(version, broken=False):
    resource = lambda kind, **properties: {"Type": f"AWS::{kind}", "Properties": properties}
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    code = f"exports.handler = async () => '{version}';"
    resources = {
        "Role": resource("IAM::Role", AssumeRolePolicyDocument=allow, ManagedPolicyArns=["arn:aws:iam::aws:policy/AmazonSQSFullAccess"]),
        "Function": resource("Lambda::Function", Runtime=RUNTIME, Handler="index.handler", Role={"Fn::GetAtt": "Role.Arn"},
                             Code={"ZipFile": code}, Environment={"Variables": {
                                 "QUEUE": {"Ref": "Queue"}, "VERSION": version,
                                 "PASSWORD": {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:password}}"}}}),
        "Queue": resource("SQS::Queue", VisibilityTimeout=60),
        "Mapping": resource("Lambda::EventSourceMapping", FunctionName={"Ref": "Function"}, EventSourceArn={"Fn::GetAtt": "Queue.Arn"}),
        # Another key: the table is replaced.
        "Table": resource("DynamoDB::Table", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": f"pk{version}", "KeyType": "HASH"}],
                          AttributeDefinitions=[{"AttributeName": f"pk{version}", "AttributeType": "S"}]),
        "Bucket": resource("S3::Bucket"),
        "Parameter": resource("SSM::Parameter", Type="String", Value=version),
        "Secret": resource("SecretsManager::Secret", GenerateSecretString={"SecretStringTemplate": '{"user": "a"}', "GenerateStringKey": "password"}),
        "Topic": resource("SNS::Topic", Subscription=[{"Protocol": "sqs", "Endpoint": {"Fn::GetAtt": "Queue.Arn"}}]),
        "Rule": resource("Events::Rule", ScheduleExpression="rate(1 day)", Targets=[{"Id": "q", "Arn": {"Fn::GetAtt": "Queue.Arn"}}]),
    }
    if broken:
        # It comes last, and cannot be: there is no such function.
        resources["Broken"] = {**resource("Lambda::Alias", FunctionName="none", FunctionVersion="1", Name="a"), "DependsOn": list(resources)}
    return json.dumps({"Resources": resources})


def kill_in_the_middle(name, act):
    """What the call began is cut off, and the answer with it where it was not done sooner."""

    def call():
        try:
            act()
        except (BotoCoreError, URLLib3Error):
            pass

    calling = threading.Thread(target=call)
    calling.start()
    while calling.is_alive() and not is_busy(name):
        time.sleep(0.005)
    time.sleep(random.random() * 0.6)
    print("kill", flush=True)
    assert input() == "up"
    calling.join()


def is_busy(name):
    try:
        return stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"].endswith("_IN_PROGRESS")
    except ClientError:
        return False


def settled(name):
    """Where the stack has come to; None: it is gone."""
    until = time.time() + 90
    while True:
        try:
            status = stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        except ClientError as error:
            assert "does not exist" in str(error), error
            return None
        if not status.endswith("_IN_PROGRESS"):
            return status
        assert time.time() < until, events(name)
        time.sleep(0.05)


def there():
    """How many of each there are in the whole account."""
    return {
        "functions": len(functions.list_functions()["Functions"]),
        "mappings": len(functions.list_event_source_mappings()["EventSourceMappings"]),
        "tables": len(tables.list_tables()["TableNames"]),
        "queues": len(queues.list_queues().get("QueueUrls", [])),
        "buckets": len(buckets.list_buckets()["Buckets"]),
        "roles": len(roles.list_roles()["Roles"]),
        "parameters": len(parameters.describe_parameters()["Parameters"]),
        "topics": len(client("sns").list_topics()["Topics"]),
        "secrets": len(client("secretsmanager").list_secrets()["SecretList"]),
        "rules": len(client("events").list_rules()["Rules"]),
    }


def events(name):
    found = stacks.describe_stack_events(StackName=name)["StackEvents"][:20]
    return [(e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason")) for e in found]


def check(name, status, version):
    found = settled(name)
    assert found == status, (found, status, events(name))
    counts = there()
    assert set(counts.values()) == {1 if version else 0}, (status, counts)
    if version:
        function = functions.list_functions()["Functions"][0]
        assert function["Environment"]["Variables"]["VERSION"] == version
        secret = json.loads(client("secretsmanager").get_secret_value(SecretId=client("secretsmanager").list_secrets()["SecretList"][0]["ARN"])["SecretString"])
        assert secret == {"user": "a", "password": function["Environment"]["Variables"]["PASSWORD"]} and len(secret["password"]) == 32, secret
        answer = functions.invoke(FunctionName=function["FunctionName"])["Payload"].read()
        assert json.loads(answer) == version, answer
        table = tables.describe_table(TableName=tables.list_tables()["TableNames"][0])["Table"]
        assert table["KeySchema"][0]["AttributeName"] == f"pk{version}"


capabilities = {"Capabilities": ["CAPABILITY_IAM"]}
for turn in range(ROUNDS):
    name = f"stack{turn}"
    kill_in_the_middle(name, lambda: stacks.create_stack(StackName=name, TemplateBody=template("1", broken=True), **capabilities))
    check(name, "ROLLBACK_COMPLETE", None)
    stacks.delete_stack(StackName=name)
    check(name, None, None)
    kill_in_the_middle(name, lambda: stacks.create_stack(StackName=name, TemplateBody=template("1"), **capabilities))
    check(name, "CREATE_COMPLETE", "1")
    kill_in_the_middle(name, lambda: stacks.update_stack(StackName=name, TemplateBody=template("2"), **capabilities))
    check(name, "UPDATE_COMPLETE", "2")
    kill_in_the_middle(name, lambda: stacks.update_stack(StackName=name, TemplateBody=template("3", broken=True), **capabilities))
    check(name, "UPDATE_ROLLBACK_COMPLETE", "2")
    kill_in_the_middle(name, lambda: stacks.delete_stack(StackName=name))
    check(name, None, None)
print(f"{ROUNDS} rounds")
