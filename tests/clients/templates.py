"""Templates and what is wrong with them, through boto3: parameters of all types, loops, change sets by their details, custom
resources behind topics, rollbacks that fail, and two updates at once."""

import json
import os

import boto3

from stacking import described, ends, fails, stacks, until

RUNTIME = os.environ["NODE_RUNTIME"]
parameters, functions, queues = (boto3.client(name) for name in ("ssm", "lambda", "sqs"))
CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
resource = lambda kind, **properties: {"Type": f"AWS::{kind}", "Properties": properties}
queue = lambda **properties: resource("SQS::Queue", **properties)


def outputs(name):
    return {o["OutputKey"]: o["OutputValue"] for o in described(name).get("Outputs", [])}


def made(name, template, wanted="CREATE_COMPLETE", verb="create", **more):
    getattr(stacks, f"{verb}_stack")(StackName=name, TemplateBody=json.dumps(template), Capabilities=CAPABILITIES, **more)
    return ends(name, wanted)


# What is wrong is said before anything runs, by name.
q = {"Q": queue()}
for template, words in [
    ({"Resources": {"A": queue(QueueName={"Ref": "B"}), "B": queue(QueueName={"Ref": "A"})}}, "Circular dependency between resources: [A, B]"),
    ({"Resources": {"A": queue(QueueName={"Ref": "None"})}}, "Unresolved resource dependencies [None] in the Resources block"),
    ({"Resources": {"A": {"Type": "AWS::Nothing::Here"}}}, "AWS::Nothing::Here"),
    ({"Resources": {}}, "At least one Resources member must be defined"),
    ({"Resources": {"A": {"Properties": {}}}}, "Every Resources object must contain a Type member"),
    ({"Resources": {"A-B": queue()}}, "is non alphanumeric"),
    ({"Resources": q, "Nonsense": {}}, "Invalid template property or properties [Nonsense]"),
    ({"Resources": q, "Parameters": {"P": {"Type": "String"}}}, "Parameters: [P] must have values"),
    ({"Resources": q, "Parameters": {"P": {"Type": "Number", "Default": "x"}}}, "P"),
    ({"Resources": {"Q": {**queue(), "Condition": "None"}}}, "Unresolved condition None"),
    ({"Resources": {"Q": queue(QueueName={"Fn::FindInMap": ["M", "a", "b"]})}}, "M"),
    ({"Resources": {"Q": queue(QueueName={"Fn::ImportValue": "nobody-exports-this"})}}, "No export named nobody-exports-this found"),
    ({"Resources": {"Q": {**queue(), "DeletionPolicy": "Maybe"}}}, "Unrecognized DeletionPolicy Maybe"),
    ({"Resources": {"Q": queue(QueueName={"Fn::GetAtt": ["R", "Arn"]}), "R": queue()}, "Outputs": {"O": {"Value": {"Fn::GetAtt": ["Q", "Nothing"]}}}}, "Nothing"),
]:
    fails(words, "create_stack", StackName="wrong", TemplateBody=json.dumps(template))
fails("Parameters: [X] do not exist in the template", "create_stack", StackName="wrong", TemplateBody=json.dumps({"Resources": q}),
      Parameters=[{"ParameterKey": "X", "ParameterValue": "1"}])

# Parameters of all types, and loops.
parameters.put_parameter(Name="/one", Type="String", Value="looked-up")
parameters.put_parameter(Name="/many", Type="StringList", Value="a,b")
typed = {
    "Transform": "AWS::LanguageExtensions",
    "Parameters": {
        "Text": {"Type": "String", "AllowedPattern": "[a-z]+", "MinLength": 2, "MaxLength": 5},
        "Number": {"Type": "Number", "MinValue": 1, "MaxValue": 9, "Default": 3},
        "Numbers": {"Type": "List<Number>", "Default": "1,2"},
        "List": {"Type": "CommaDelimitedList", "Default": "x, y"},
        "Choice": {"Type": "String", "AllowedValues": ["a", "b"], "Default": "a"},
        "Secret": {"Type": "String", "NoEcho": True, "Default": "hidden"},
        "Found": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/one"},
        "FoundList": {"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/many"},
        "Name": {"Type": "AWS::SSM::Parameter::Name", "Default": "/one"},
        "Subnets": {"Type": "List<AWS::EC2::Subnet::Id>", "Default": "subnet-1,subnet-2"},
    },
    "Conditions": {"Big": {"Fn::Equals": [{"Ref": "Number"}, "9"]}},
    "Resources": {
        "Fn::ForEach::Queues": ["Each", {"Ref": "List"}, {"Queue${Each}": queue(QueueName={"Fn::Sub": "loop-${Each}"})}],
        "Maybe": {**queue(), "Condition": "Big"},
    },
    "Outputs": {
        "All": {"Value": {"Fn::Join": ["|", [{"Ref": "Text"}, {"Ref": "Number"}, {"Fn::Select": [1, {"Ref": "Numbers"}]}, {"Fn::Join": ["+", {"Ref": "List"}]},
                                             {"Ref": "Found"}, {"Fn::Join": ["+", {"Ref": "FoundList"}]}, {"Ref": "Name"}, {"Fn::Select": [0, {"Ref": "Subnets"}]}]]}},
        "Length": {"Value": {"Fn::Length": {"Ref": "List"}}},
        "Json": {"Value": {"Fn::ToJsonString": {"a": [1, {"Ref": "Text"}]}}},
    },
}
given = lambda **values: [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
for values, words in [(dict(Text="A"), "Text"), (dict(Text="a"), "Text"), (dict(Text="abcdef"), "Text"), (dict(Text="ab", Number="10"), "Number"),
                      (dict(Text="ab", Number="x"), "Number"), (dict(Text="ab", Choice="c"), "Choice"), (dict(Text="ab", Found="/none"), "/none")]:
    fails(words, "create_stack", StackName="typed", TemplateBody=json.dumps(typed), Capabilities=CAPABILITIES, Parameters=given(**values))
made("typed", typed, Parameters=given(Text="ab"))
assert outputs("typed") == {"All": "ab|3|2|x+y|looked-up|a+b|/one|subnet-1", "Length": "2", "Json": '{"a":[1,"ab"]}'}, outputs("typed")
shown = {p["ParameterKey"]: p for p in described("typed")["Parameters"]}
assert shown["Secret"]["ParameterValue"] == "****" and shown["Found"]["ResolvedValue"] == "looked-up", shown
names = {r["LogicalResourceId"] for r in stacks.list_stack_resources(StackName="typed")["StackResourceSummaries"]}
assert names == {"Queuex", "Queuey"}, names
processed = stacks.get_template(StackName="typed", TemplateStage="Processed")["TemplateBody"]
assert "Queuex" in processed["Resources"] and "Fn::ForEach::Queues" in stacks.get_template(StackName="typed")["TemplateBody"]["Resources"]
stacks.update_stack(StackName="typed", UsePreviousTemplate=True, Capabilities=CAPABILITIES,
                    Parameters=[{"ParameterKey": "Text", "UsePreviousValue": True}, *given(Number="9", List="x")])
ends("typed", "UPDATE_COMPLETE")
assert {r["LogicalResourceId"] for r in stacks.list_stack_resources(StackName="typed")["StackResourceSummaries"]} == {"Queuex", "Maybe"}

# One at a time.
waiting = json.dumps({"Resources": {"Handle": resource("CloudFormation::WaitConditionHandle"),
                                    "Wait": resource("CloudFormation::WaitCondition", Handle={"Ref": "Handle"}, Timeout="600")}})
stacks.create_stack(StackName="waiting", TemplateBody=waiting)
fails("state and can not be updated", "update_stack", StackName="waiting", TemplateBody=waiting)
stacks.delete_stack(StackName="waiting")

# A change set says what it adds, modifies, replaces and removes, and why.
before = {"Resources": {"Kept": queue(DelaySeconds=1), "Moved": queue(QueueName="moved-1"), "Gone": queue(),
                        "Told": resource("SSM::Parameter", Type="String", Value={"Fn::GetAtt": ["Moved", "QueueName"]})}}
made("changed", before)
after = json.loads(json.dumps(before))
del after["Resources"]["Gone"]
after["Resources"]["Kept"]["Properties"]["DelaySeconds"] = 2
after["Resources"]["Moved"]["Properties"]["QueueName"] = "moved-2"
after["Resources"]["New"] = queue()
stacks.create_change_set(StackName="changed", ChangeSetName="c", TemplateBody=json.dumps(after))
set_ = stacks.describe_change_set(StackName="changed", ChangeSetName="c", IncludePropertyValues=True)
assert set_["Status"] == "CREATE_COMPLETE" and set_["ExecutionStatus"] == "AVAILABLE", set_
changes = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in set_["Changes"]}
assert {name: (c["Action"], c.get("Replacement"), c.get("PolicyAction")) for name, c in changes.items()} == {
    "Kept": ("Modify", "False", None), "Moved": ("Modify", "True", "ReplaceAndDelete"), "Told": ("Modify", "False", None),
    "New": ("Add", None, None), "Gone": ("Remove", None, "Delete")}, changes
[detail] = changes["Kept"]["Details"]
assert detail["Target"]["Name"] == "DelaySeconds" and detail["Target"]["RequiresRecreation"] == "Never", detail
assert (detail["Target"]["BeforeValue"], detail["Target"]["AfterValue"]) == ("1", "2") and detail["ChangeSource"] == "DirectModification", detail
[detail] = changes["Moved"]["Details"]
assert detail["Target"]["RequiresRecreation"] == "Always" and detail["Evaluation"] == "Static", detail
[detail] = changes["Told"]["Details"]
assert (detail["Evaluation"], detail["ChangeSource"], detail["CausingEntity"]) == ("Dynamic", "ResourceAttribute", "Moved.QueueName"), detail
stacks.execute_change_set(StackName="changed", ChangeSetName="c")
ends("changed", "UPDATE_COMPLETE")
stacks.create_change_set(StackName="changed", ChangeSetName="same", TemplateBody=json.dumps(after))
same = stacks.describe_change_set(StackName="changed", ChangeSetName="same")
assert same["Status"] == "FAILED" and "didn't contain changes" in same["StatusReason"], same

# A custom resource behind a topic, whose function answers over HTTPS; later it refuses every change, also the one back.
CODE = """
const https = require('https');
exports.handler = async (event) => {
  const asked = JSON.parse(event.Records[0].Sns.Message);
  const refuses = asked.RequestType === 'Update' && process.env.REFUSES === 'yes';
  const body = JSON.stringify({ Status: refuses ? 'FAILED' : 'SUCCESS', Reason: 'refused', PhysicalResourceId: 'thing', StackId: asked.StackId,
    RequestId: asked.RequestId, LogicalResourceId: asked.LogicalResourceId, Data: { Echo: asked.ResourceProperties.Value } });
  await new Promise((resolve, reject) => {
    const request = https.request(asked.ResponseURL, { method: 'PUT', headers: { 'content-type': '', 'content-length': body.length } }, (answer) => {
      answer.resume(); answer.on('end', resolve); });
    request.on('error', reject); request.end(body);
  });
};
"""
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
provider = {"Resources": {
    "Role": resource("IAM::Role", AssumeRolePolicyDocument=trust),
    "Function": resource("Lambda::Function", Runtime=RUNTIME, Handler="index.handler", Role={"Fn::GetAtt": ["Role", "Arn"]}, Code={"ZipFile": CODE}, Timeout=10),
    "Topic": resource("SNS::Topic", Subscription=[{"Protocol": "lambda", "Endpoint": {"Fn::GetAtt": ["Function", "Arn"]}}]),
    "Permission": resource("Lambda::Permission", FunctionName={"Ref": "Function"}, Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn={"Ref": "Topic"}),
}, "Outputs": {"Topic": {"Value": {"Ref": "Topic"}, "Export": {"Name": "provider-topic"}}, "Function": {"Value": {"Ref": "Function"}}}}
made("provider", provider)


def thing(value, broken=False):
    resources = {"Thing": {"Type": "Custom::Thing", "Properties": {"ServiceToken": {"Fn::ImportValue": "provider-topic"}, "Value": value}}}
    if broken:
        resources["Broken"] = {**resource("Lambda::Alias", FunctionName="none", FunctionVersion="1", Name="a"), "DependsOn": "Thing"}
    return {"Resources": resources, "Outputs": {"Echo": {"Value": {"Fn::GetAtt": ["Thing", "Echo"]}}}}


made("things", thing("one"))
assert outputs("things") == {"Echo": "one"}
assert stacks.list_imports(ExportName="provider-topic")["Imports"] == ["things"]
function = outputs("provider")["Function"]
refuse = lambda how: functions.update_function_configuration(FunctionName=function, Environment={"Variables": {"REFUSES": how}})
refuse("yes")
reasons = made("things", thing("two"), "UPDATE_ROLLBACK_FAILED", "update")
assert any(status == "UPDATE_FAILED" and "refused" in why for _, status, why in reasons), reasons
fails("can not be updated", "update_stack", StackName="things", TemplateBody=json.dumps(thing("three")))
fails("does not exist", "continue_update_rollback", StackName="things", ResourcesToSkip=["None"])
stacks.continue_update_rollback(StackName="things", ResourcesToSkip=["Thing"])
ends("things", "UPDATE_ROLLBACK_COMPLETE")
refuse("no")
# A later one fails: what was changed goes back.
made("things", thing("four", broken=True), "UPDATE_ROLLBACK_COMPLETE", "update")
assert outputs("things") == {"Echo": "one"}
made("things", thing("five"), "UPDATE_COMPLETE", "update")
assert outputs("things") == {"Echo": "five"}
for name in ("things", "provider", "changed", "typed"):
    stacks.delete_stack(StackName=name)
    until("the stack is gone", lambda: name not in [s["StackName"] for s in stacks.describe_stacks()["Stacks"]])
assert not queues.list_queues().get("QueueUrls")
