"""boto3 against the cloud that AWS_ENDPOINT_URL names: functions, streams of a log, roles, identity."""
import io
import json
import os
import time
import zipfile

import boto3
from botocore.exceptions import ClientError


def zipped(text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", text)
    return data.getvalue()


lam, logs, iam, sts = (boto3.client(name) for name in ("lambda", "logs", "iam", "sts"))
assert sts.get_caller_identity()["Account"] == "000000000000"

trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
assert iam.get_role(RoleName="worker")["Role"]["Arn"] == role["Arn"]
assert iam.get_role(RoleName="worker")["Role"]["AssumeRolePolicyDocument"] == trust

for broken in (b"not a zip", b"PK\x03\x04" + bytes(40)):
    try:
        lam.create_function(FunctionName="broken", Runtime=os.environ["RUNTIME"], Handler="app.handler", Role=role["Arn"], Code={"ZipFile": broken})
        raise AssertionError("a broken zip was taken")
    except lam.exceptions.InvalidParameterValueException as error:
        assert "Could not unzip uploaded file" in str(error), error

code = """
import os
def handler(event, context):
    print("seen", event["n"])
    return {"n": event["n"], "left": context.get_remaining_time_in_millis() > 0, "region": os.environ["AWS_REGION"], "mine": os.environ["MINE"]}
"""
created = lam.create_function(
    FunctionName="flow", Runtime=os.environ["RUNTIME"], Handler="app.handler", Role=role["Arn"],
    Code={"ZipFile": zipped(code)}, Environment={"Variables": {"MINE": "yes"}}, Timeout=5, MemorySize=256,
)
assert created["State"] in ("Active", "Pending"), created
lam.get_waiter("function_active_v2").wait(FunctionName="flow")
for n in range(5):
    answer = lam.invoke(FunctionName="flow", Payload=json.dumps({"n": n}))
    assert json.load(answer["Payload"]) == {"n": n, "left": True, "region": "us-east-1", "mine": "yes"}
assert lam.invoke(FunctionName=created["FunctionArn"], InvocationType="DryRun")["StatusCode"] == 204

try:
    lam.update_function_configuration(FunctionName="flow", MemorySize=512, RevisionId="another")
    raise AssertionError("a wrong revision was taken")
except ClientError as error:
    assert error.response["Error"]["Code"] == "PreconditionFailedException", error.response
lam.update_function_configuration(FunctionName="flow", MemorySize=512)
lam.get_waiter("function_updated_v2").wait(FunctionName="flow")
assert lam.get_function_configuration(FunctionName="flow")["MemorySize"] == 512

lam.add_permission(FunctionName="flow", StatementId="s", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com")
policy = json.loads(lam.get_policy(FunctionName="flow")["Policy"])
assert policy["Statement"][0]["Principal"] == {"Service": "apigateway.amazonaws.com"}, policy
lam.remove_permission(FunctionName="flow", StatementId="s")

lam.tag_resource(Resource=created["FunctionArn"], Tags={"team": "a"})
assert lam.list_tags(Resource=created["FunctionArn"])["Tags"] == {"team": "a"}

deadline = time.monotonic() + 20
while True:
    messages = []
    try:
        events = logs.filter_log_events(logGroupName="/aws/lambda/flow")["events"]
        messages = [event["message"].rstrip("\n") for event in events]
    except logs.exceptions.ResourceNotFoundException:
        pass
    if all(f"seen {n}" in messages for n in range(5)):
        break
    assert time.monotonic() < deadline, messages
streams = logs.describe_log_streams(logGroupName="/aws/lambda/flow", orderBy="LastEventTime", descending=True)["logStreams"]
first = logs.get_log_events(logGroupName="/aws/lambda/flow", logStreamName=streams[0]["logStreamName"], startFromHead=True)
assert first["events"], first

lam.delete_function(FunctionName="flow")
try:
    lam.invoke(FunctionName="flow")
    raise AssertionError("a deleted function ran")
except lam.exceptions.ResourceNotFoundException:
    pass
iam.delete_role(RoleName="worker")
print("ok")
