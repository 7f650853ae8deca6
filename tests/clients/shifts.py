"""An alias whose traffic is shifted when its function's stack is updated: hooks, stops and alarms that take it back, and a kill in
the middle of it. Says `kill` when the cloud is to be killed and goes on when it is told `up`."""

import json
import sys

import boto3
from botocore.exceptions import ClientError

from stacking import config, ends, events, stacks, status, until

RUNTIME = sys.argv[1]
functions, logs, deployments = (boto3.client(name, config=config) for name in ("lambda", "logs", "codedeploy"))
HOOK = "CodeDeployHook_shop"


def template(version, **preference):
    hooks = {"PreTraffic": HOOK, "PostTraffic": HOOK}
    hook = {"FunctionName": HOOK, "DeploymentPreference": {"Enabled": False},
            "InlineCode": "exports.handler = async (event) => console.log(JSON.stringify(event));"}
    function = {"InlineCode": f"exports.handler = async () => '{version}';", "AutoPublishAlias": "live",
                "DeploymentPreference": preference if "Hooks" in preference else {**preference, "Hooks": hooks}}
    resource = lambda properties: {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": RUNTIME, "Handler": "index.handler", **properties}}
    return json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Hook": resource(hook), "Shop": resource(function)},
                       "Outputs": {"Name": {"Value": {"Ref": "Shop"}}}})


def alias():
    found = functions.get_alias(FunctionName=name, Name="live")
    return found["FunctionVersion"], found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})


def says():
    return json.load(functions.invoke(FunctionName=name, Qualifier="live")["Payload"])


def update(version, **preference):
    stacks.update_stack(StackName="shop", TemplateBody=template(version, **preference), Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])


answered = set()


def asked():
    """What the hook was asked, once."""
    def look():
        try:
            said = logs.filter_log_events(logGroupName=f"/aws/lambda/{HOOK}", filterPattern='LifecycleEventHookExecutionId')["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        found = [json.loads(line["message"][line["message"].index("{"):]) for line in said]
        new = [event for event in found if event["LifecycleEventHookExecutionId"] not in answered]
        return new[0] if new else None

    event = until("the hook is asked", look)
    answered.add(event["LifecycleEventHookExecutionId"])
    return event


def report(outcome):
    event = asked()
    deployments.put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"], lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"], status=outcome)
    return event["DeploymentId"]


stacks.create_stack(StackName="shop", TemplateBody=template("one", Type="AllAtOnce"), Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])
ends("shop", "CREATE_COMPLETE")
name = stacks.describe_stacks(StackName="shop")["Stacks"][0]["Outputs"][0]["OutputValue"]
application = deployments.list_applications()["applications"][0]
assert alias() == ("1", {}) and says() == "one"

# All at once, with a hook before and one after.
update("two", Type="AllAtOnce")
first = report("Succeeded")
until("the traffic is shifted", lambda: alias() == ("2", {}))
assert status("shop") == "UPDATE_IN_PROGRESS"
assert report("Succeeded") == first
ends("shop", "UPDATE_COMPLETE")
info = deployments.get_deployment(deploymentId=first)["deploymentInfo"]
assert info["status"] == "Succeeded" and info["creator"] == "CloudFormation", info
assert says() == "two"

# A hook that says no: nothing is shifted, and the stack is what it was.
update("three", Type="AllAtOnce")
report("Failed")
ends("shop", "UPDATE_ROLLBACK_COMPLETE")
assert alias() == ("2", {}) and says() == "two"
assert any("a lifecycle event hook failed" in why for *_, why in events("shop"))

# A canary outlives a kill, and is stopped.
update("four", Type="Canary10Percent5Minutes", Hooks={})
_, weights = until("the canary has its share", lambda: alias() if alias()[1] else None)
assert list(weights.values()) == [0.1], weights
print("kill", flush=True)
assert sys.stdin.readline() == "up\n"
[running] = deployments.list_deployments(includeOnlyStatuses=["InProgress"])["deployments"]
assert alias() == ("2", weights) and status("shop") == "UPDATE_IN_PROGRESS"
deployments.stop_deployment(deploymentId=running)
ends("shop", "UPDATE_ROLLBACK_COMPLETE")
assert alias() == ("2", {}) and says() == "two"
info = deployments.get_deployment(deploymentId=running)["deploymentInfo"]
assert info["status"] == "Stopped" and info["errorInformation"]["code"] == "MANUAL_STOP", info
back = deployments.get_deployment(deploymentId=info["rollbackInfo"]["rollbackDeploymentId"])["deploymentInfo"]
assert back["status"] == "Succeeded" and back["rollbackInfo"]["rollbackTriggeringDeploymentId"] == running, back

# An update that is given up takes its shift back.
update("five", Type="Linear10PercentEvery1Minute", Hooks={})
until("the line has begun", lambda: alias()[1])
stacks.cancel_update_stack(StackName="shop")
ends("shop", "UPDATE_ROLLBACK_COMPLETE")
assert alias() == ("2", {}), alias()

# An alarm nobody can look at.
update("six", Type="AllAtOnce", Hooks={}, Alarms=["nowhere"])
ends("shop", "UPDATE_ROLLBACK_COMPLETE")
assert any("nowhere" in why for *_, why in events("shop")), events("shop")

# An alarm takes a canary back.
alarms = boto3.client("cloudwatch", config=config)
alarms.put_metric_alarm(AlarmName="errors", Namespace="shop", MetricName="errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
                        Threshold=1, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore")
alarms.set_alarm_state(AlarmName="errors", StateValue="OK", StateReason="it is new")
# A topic is told of it, through a queue.
topics, queues = (boto3.client(name, config=config) for name in ("sns", "sqs"))
topic = topics.create_topic(Name="CodeDeployTopic_shop")["TopicArn"]
queue = queues.create_queue(QueueName="told")["QueueUrl"]
arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
policy = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}]}
queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
trigger = {"TriggerName": "all", "TriggerTargetArn": topic, "TriggerEvents": ["DeploymentStart", "DeploymentFailure", "DeploymentRollback"]}
update("seven", Type="Canary10Percent5Minutes", Hooks={}, Alarms=["errors"], TriggerConfigurations=[trigger])
until("the canary has its share", lambda: alias()[1])
alarms.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="errors")
ends("shop", "UPDATE_ROLLBACK_COMPLETE")
assert alias() == ("2", {}), alias()
assert any("Activated alarms: <errors>" in why for *_, why in events("shop")), events("shop")
told = {}


def all_told():
    for message in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
        body = json.loads(message["Body"])
        told[(body["deploymentId"], body["status"])] = body
    return len(told) >= 3


until("the topic is told", all_told)
[failed] = [body for (_, status), body in told.items() if status == "Failed"]
assert failed["errorInformation"]["ErrorCode"] == "ALARM_ACTIVE" and failed["eventTriggerName"] == "all", failed
assert sorted(status for _, status in told) == ["Created", "Failed", "Succeeded"], told
assert (failed["deploymentId"], "Created") in told and failed["applicationName"] == application, told

# What is not built says so.
try:
    deployments.list_on_premises_instances()
    raise AssertionError("on-premises instances are here")
except ClientError as error:
    assert "not implemented: codedeploy.ListOnPremisesInstances" in str(error), error

stacks.delete_stack(StackName="shop")
until("the stack is gone", lambda: not deployments.list_applications()["applications"] and not functions.list_functions()["Functions"])
