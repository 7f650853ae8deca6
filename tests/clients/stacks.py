"""Stacks through boto3: what they wait for, whom they tell."""

import json
import os
import urllib.error
import urllib.request

import boto3

from stacking import ends, fails, stacks, status, until

topics, queues = boto3.client("sns"), boto3.client("sqs")


def put(url, body):
    # As the signing tools of AWS send it: without a content type.
    request = urllib.request.Request(url, data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


SIGNAL = """
const http = require('http');
exports.handler = (body) => new Promise((resolve, reject) => {
  const request = http.request(process.env.HANDLE, { method: 'PUT', headers: { 'content-type': '' } }, (answer) => {
    answer.resume(); answer.on('end', () => resolve(answer.statusCode)); });
  request.on('error', reject); request.end(JSON.stringify(body));
});
"""

# A wait condition: signals to the handle's address, and a topic that is told of all of it.
queue = queues.create_queue(QueueName="told")["QueueUrl"]
arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
topic = topics.create_topic(Name="told")["TopicArn"]
allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [allow]})})
topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
waiting = {
    "Resources": {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}}},
        "Signal": {"Type": "AWS::Lambda::Function", "Properties": {
            "FunctionName": "signal", "Runtime": os.environ["NODE_RUNTIME"], "Handler": "index.handler", "Role": {"Fn::GetAtt": "Role.Arn"},
            "Environment": {"Variables": {"HANDLE": {"Ref": "Handle"}}}, "Code": {"ZipFile": SIGNAL}}},
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Wait": {"Type": "AWS::CloudFormation::WaitCondition", "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "60", "Count": 2}},
    },
    "Outputs": {"Data": {"Value": {"Fn::GetAtt": "Wait.Data"}}, "Topics": {"Value": {"Fn::Select": [0, {"Ref": "AWS::NotificationARNs"}]}}},
}
waiting["Resources"]["Wait"]["DependsOn"] = "Signal"
stacks.create_stack(StackName="waits", TemplateBody=json.dumps(waiting), NotificationARNs=[topic], Capabilities=["CAPABILITY_IAM"])
resource = lambda name: stacks.describe_stack_resource(StackName="waits", LogicalResourceId=name)["StackResourceDetail"]
until("the condition waits", lambda: any(r["LogicalResourceId"] == "Wait" for r in stacks.list_stack_resources(StackName="waits")["StackResourceSummaries"]))
url = resource("Handle")["PhysicalResourceId"]
assert put(url[:-1], {"Status": "SUCCESS", "UniqueId": "a"}) == 403
assert put(url, {"Status": "DONE", "UniqueId": "a"}) == 400
assert put(url, {"Status": "SUCCESS", "UniqueId": "a", "Data": "one"}) == 200
assert status("waits") == "CREATE_IN_PROGRESS"
# The other one comes from a function.
said = boto3.client("lambda").invoke(FunctionName="signal", Payload=json.dumps({"Status": "SUCCESS", "UniqueId": "b", "Data": "two"}))
assert json.load(said["Payload"]) == 200, said
ends("waits", "CREATE_COMPLETE")
stack = stacks.describe_stacks(StackName="waits")["Stacks"][0]
outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}
assert json.loads(outputs["Data"]) == {"a": "one", "b": "two"} and outputs["Topics"] == topic, outputs
assert stack["NotificationARNs"] == [topic]
told = []


def is_told():
    for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        notice = json.loads(message["Body"])
        assert notice["Subject"] == "AWS CloudFormation Notification"
        told.append(dict(line.split("=", 1) for line in notice["Message"].splitlines()))
        queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return {one["EventId"].strip("'") for one in told} == wanted


wanted = {e["EventId"] for e in stacks.describe_stack_events(StackName="waits")["StackEvents"]}
until("the topic is told of everything", is_told)
assert all(one["StackName"] == "'waits'" and one["Namespace"] == "'000000000000'" for one in told), told
stacks.delete_stack(StackName="waits")
until("the stack is gone", lambda: put(url, {"Status": "SUCCESS", "UniqueId": "c"}) == 403)

# A failure, told by name.
policy = {"Resources": {"Wait": {"Type": "AWS::CloudFormation::WaitCondition", "CreationPolicy": {"ResourceSignal": {"Count": 1, "Timeout": "PT1M"}}}}}
stacks.create_stack(StackName="signals", TemplateBody=json.dumps(policy))
signal = lambda name, state: stacks.signal_resource(StackName="signals", LogicalResourceId=name, UniqueId="a", Status=state)
fails("does not exist", "signal_resource", StackName="signals", LogicalResourceId="Other", UniqueId="a", Status="SUCCESS")
until("the resource waits", lambda: stacks.list_stack_resources(StackName="signals")["StackResourceSummaries"])
signal("Wait", "FAILURE")
events = ends("signals", "ROLLBACK_COMPLETE")
assert any(why == "Received FAILURE signal with UniqueId a" for *_, why in events)
stacks.delete_stack(StackName="signals")

# APIs on a domain name, a connector, and traffic that follows the base path.
RUNTIME = os.environ["NODE_RUNTIME"]
endpoint = os.environ["AWS_ENDPOINT_URL"]


def shop(path):
    certificate = "arn:aws:acm:us-east-1:000000000000:certificate/c"
    domain = lambda path: {"DomainName": "shop.example.com", "CertificateArn": certificate, "BasePath": path}
    event = lambda kind, where: {"Type": kind, "Properties": {"Path": where, "Method": "get", **({"RestApiId": {"Ref": "Rest"}} if kind == "Api" else {"ApiId": {"Ref": "Http"}})}}
    return json.dumps({
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            "Hello": {"Type": "AWS::Serverless::Function", "Connectors": {"Db": {"Properties": {"Destination": {"Id": "Things"}, "Permissions": ["Read"]}}},
                      "Properties": {"Runtime": RUNTIME, "Handler": "index.handler",
                                     "InlineCode": "exports.handler = async (e) => ({ statusCode: 200, body: e.rawPath || e.path });",
                                     "Events": {"Old": event("Api", "/old"), "New": event("HttpApi", "/new")}}},
            "Things": {"Type": "AWS::Serverless::SimpleTable"},
            "Rest": {"Type": "AWS::Serverless::Api", "Properties": {"StageName": "live", "Domain": domain(path)}},
            "Http": {"Type": "AWS::Serverless::HttpApi"},
            "Mapping": {"Type": "AWS::ApiGatewayV2::ApiMapping", "DependsOn": "RestoldBasePathMapping" if path == "old" else "RestpastBasePathMapping",
                        "Properties": {"ApiId": {"Ref": "Http"}, "DomainName": "shop.example.com", "Stage": {"Ref": "Http.Stage"}, "ApiMappingKey": "new"}},
        },
        "Outputs": {"Function": {"Value": {"Ref": "Hello"}}},
    })


def ask(path):
    request = urllib.request.Request(endpoint + path, headers={"Host": "shop.example.com"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
stacks.create_stack(StackName="shop", TemplateBody=shop("old"), Capabilities=capabilities)
ends("shop", "CREATE_COMPLETE")
assert ask("/old/old") == (200, "/old/old"), ask("/old/old")
assert ask("/new/new") == (200, "/new"), ask("/new/new")
assert ask("/other")[0] == 403
apis = boto3.client("apigateway")
assert [m["basePath"] for m in apis.get_base_path_mappings(domainName="shop.example.com")["items"]] == ["old", "new"]
stacks.update_stack(StackName="shop", TemplateBody=shop("past"), Capabilities=capabilities)
ends("shop", "UPDATE_COMPLETE")
assert ask("/past/old") == (200, "/past/old") and ask("/old/old")[0] == 403
name = stacks.describe_stacks(StackName="shop")["Stacks"][0]["Outputs"][0]["OutputValue"]
role = boto3.client("lambda").get_function_configuration(FunctionName=name)["Role"].rsplit("/", 1)[1]
attached = [p["PolicyName"] for p in boto3.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]]
assert any("HelloDbPolicy" in policy for policy in attached), attached
stacks.delete_stack(StackName="shop")
until("the domain name is gone", lambda: not boto3.client("apigatewayv2").get_domain_names()["Items"])
until("the stack is gone", lambda: not [s for s in stacks.list_stacks()["StackSummaries"] if s["StackStatus"] == "DELETE_IN_PROGRESS"])

# An alarm takes an update back: the one that is on, while it is under way and in the time after; and so does one that is not there.
alarms = boto3.client("cloudwatch")
alarms.put_metric_alarm(AlarmName="errors", Namespace="shop", MetricName="errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
                        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore")
alarms.put_composite_alarm(AlarmName="any", AlarmRule="ALARM(errors)")
turn = lambda state: alarms.set_alarm_state(AlarmName="errors", StateValue=state, StateReason="by hand")
trigger = lambda name, kind="": {"Arn": f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}", "Type": f"AWS::CloudWatch::{kind}Alarm"}
guarded = lambda seconds: json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": seconds}}}})
turn("OK")
both = {"RollbackTriggers": [trigger("errors"), trigger("any", "Composite")], "MonitoringTimeInMinutes": 0}
stacks.create_stack(StackName="guarded", TemplateBody=guarded(1), RollbackConfiguration=both)
ends("guarded", "CREATE_COMPLETE")
assert stacks.describe_stacks(StackName="guarded")["Stacks"][0]["RollbackConfiguration"] == both
stacks.update_stack(StackName="guarded", TemplateBody=guarded(2), RollbackConfiguration={"MonitoringTimeInMinutes": 180})
until("only the alarms are looked at", lambda: stacks.list_stack_resources(StackName="guarded")["StackResourceSummaries"][0]["ResourceStatus"] == "UPDATE_COMPLETE")
assert status("guarded") == "UPDATE_IN_PROGRESS"
turn("ALARM")
said = ends("guarded", "UPDATE_ROLLBACK_COMPLETE")
assert any("is in the state ALARM" in why for *_, why in said), said
lost = {"RollbackTriggers": [trigger("lost")]}
stacks.update_stack(StackName="guarded", TemplateBody=guarded(2), RollbackConfiguration=lost, DisableRollback=True)
said = ends("guarded", "UPDATE_FAILED")
assert any("alarm:lost does not exist" in why for *_, why in said), said
stacks.rollback_stack(StackName="guarded")
ends("guarded", "UPDATE_ROLLBACK_COMPLETE")
stacks.update_stack(StackName="guarded", TemplateBody=guarded(2), RollbackConfiguration={"RollbackTriggers": []})
ends("guarded", "UPDATE_COMPLETE")
fails("is not the ARN of an alarm", "update_stack", StackName="guarded", TemplateBody=guarded(3),
      RollbackConfiguration={"RollbackTriggers": [{"Arn": "errors", "Type": "AWS::CloudWatch::Alarm"}]})
stacks.delete_stack(StackName="guarded")
