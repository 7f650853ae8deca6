"""Every error that a service's model declares for an operation that is built: a case that brings it about, or the reason why it
cannot come here. What the model declares and no table knows fails."""

import io
import json
import os
import sys
import zipfile

import boto3
from botocore.exceptions import ClientError

service = sys.argv[1]
client = boto3.client(service)
model = client.meta.service_model
ACCOUNT = "000000000000"
arn = lambda kind, resource: f"arn:aws:{kind}:us-east-1:{ACCOUNT}:{resource}"
url = lambda name: f"{os.environ['AWS_ENDPOINT_URL']}/{ACCOUNT}/{name}"
role = arn("iam", "role/r").replace("us-east-1", "")
cases, never = [], {}


def method(operation):
    return getattr(client, "".join("_" + c.lower() if c.isupper() else c for c in operation).lstrip("_").replace("_u_r_l", "_url"))


def case(operation, error, **members):
    cases.append((operation, error, members))


def each(operations, error, **members):
    for operation in operations.split():
        case(operation, error, **members)


def sqs():
    never.update(
        {name: "keys of KMS have no effect" for name in model.shape_names if name.startswith("Kms")}
        | {
            "InvalidSecurity": "plain HTTP and any signature that holds are taken",
            "InvalidAddress": "a queue that an address does not lead to does not exist",
            "RequestThrottled": "requests are not throttled",
            "QueueDeletedRecently": "a name is free at once",
            "InvalidIdFormat": "AWS no longer gives it",
            ("ReceiveMessage", "OverLimit"): "messages in flight have no bound",
            ("SetQueueAttributes", "OverLimit"): "attributes are bounded one by one",
        }
    )
    never.update({(name, "UnsupportedOperation"): "nothing it does is unsupported" for name in model.operation_names})
    del never["CancelMessageMoveTask", "UnsupportedOperation"]
    client.create_queue(QueueName="q")
    dead = client.create_queue(QueueName="dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn("sqs", "dead"), "maxReceiveCount": 1})
    client.create_queue(QueueName="source", Attributes={"RedrivePolicy": policy})
    q, none, entry = url("q"), url("none"), {"Id": "a"}
    receipt = lambda handle: {"Id": "a", "ReceiptHandle": handle}
    gone = "QueueDoesNotExist"
    each("DeleteQueue GetQueueAttributes ListDeadLetterSourceQueues ListQueueTags PurgeQueue ReceiveMessage", gone, QueueUrl=none)
    case("GetQueueUrl", gone, QueueName="none")
    case("AddPermission", gone, QueueUrl=none, Label="l", AWSAccountIds=[ACCOUNT], Actions=["SendMessage"])
    case("RemovePermission", gone, QueueUrl=none, Label="l")
    case("SetQueueAttributes", gone, QueueUrl=none, Attributes={"DelaySeconds": "1"})
    case("TagQueue", gone, QueueUrl=none, Tags={"a": "b"})
    case("UntagQueue", gone, QueueUrl=none, TagKeys=["a"])
    case("SendMessage", gone, QueueUrl=none, MessageBody="m")
    case("DeleteMessage", gone, QueueUrl=none, ReceiptHandle="h")
    case("ChangeMessageVisibility", gone, QueueUrl=none, ReceiptHandle="h", VisibilityTimeout=1)
    batches = {
        "SendMessageBatch": {"MessageBody": "m"},
        "DeleteMessageBatch": {"ReceiptHandle": "h"},
        "ChangeMessageVisibilityBatch": {"ReceiptHandle": "h", "VisibilityTimeout": 1},
    }
    for name, more in batches.items():
        case(name, gone, QueueUrl=none, Entries=[entry | more])
        case(name, "EmptyBatchRequest", QueueUrl=q, Entries=[])
        case(name, "BatchEntryIdsNotDistinct", QueueUrl=q, Entries=[entry | more] * 2)
        case(name, "InvalidBatchEntryId", QueueUrl=q, Entries=[{"Id": "a b"} | more])
        case(name, "TooManyEntriesInBatchRequest", QueueUrl=q, Entries=[{"Id": str(n)} | more for n in range(11)])
    long = [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
    case("SendMessageBatch", "BatchRequestTooLong", QueueUrl=q, Entries=long)
    case("SendMessage", "InvalidMessageContents", QueueUrl=q, MessageBody="\x01")
    case("CreateQueue", "InvalidAttributeName", QueueName="n", Attributes={"None": "1"})
    case("SetQueueAttributes", "InvalidAttributeName", QueueUrl=q, Attributes={"None": "1"})
    case("GetQueueAttributes", "InvalidAttributeName", QueueUrl=q, AttributeNames=["None"])
    case("CreateQueue", "InvalidAttributeValue", QueueName="n", Attributes={"DelaySeconds": "x"})
    case("SetQueueAttributes", "InvalidAttributeValue", QueueUrl=q, Attributes={"DelaySeconds": "x"})
    case("CreateQueue", "QueueNameExists", QueueName="q", Attributes={"DelaySeconds": "7"})
    case("DeleteMessage", "ReceiptHandleIsInvalid", QueueUrl=q, ReceiptHandle="h")
    case("ChangeMessageVisibility", "ReceiptHandleIsInvalid", QueueUrl=q, ReceiptHandle="h", VisibilityTimeout=1)
    client.send_message(QueueUrl=q, MessageBody="m")
    back = client.receive_message(QueueUrl=q, VisibilityTimeout=0)["Messages"][0]["ReceiptHandle"]
    case("ChangeMessageVisibility", "MessageNotInflight", QueueUrl=q, ReceiptHandle=back, VisibilityTimeout=1)
    actions = ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl", "GetQueueAttributes"]
    case("AddPermission", "OverLimit", QueueUrl=q, Label="l", AWSAccountIds=[ACCOUNT], Actions=actions + ["PurgeQueue", "TagQueue"])
    client.purge_queue(QueueUrl=dead)
    case("PurgeQueue", "PurgeQueueInProgress", QueueUrl=dead)
    lost = "ResourceNotFoundException"
    each("StartMessageMoveTask ListMessageMoveTasks", lost, SourceArn=arn("sqs", "none"))
    handle = client.start_message_move_task(SourceArn=arn("sqs", "dead"))["TaskHandle"]
    while "TaskHandle" in client.list_message_move_tasks(SourceArn=arn("sqs", "dead"))["Results"][0]:
        pass
    case("CancelMessageMoveTask", "UnsupportedOperation", TaskHandle=handle)
    client.delete_queue(QueueUrl=url("source"))
    other = client.create_queue(QueueName="other")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn("sqs", "other"), "maxReceiveCount": 1})
    client.create_queue(QueueName="source", Attributes={"RedrivePolicy": policy})
    forgotten = client.start_message_move_task(SourceArn=arn("sqs", "other"))["TaskHandle"]
    client.delete_queue(QueueUrl=other)
    case("CancelMessageMoveTask", lost, TaskHandle=forgotten)


def sns():
    never.update(
        {name: "keys of KMS have no effect" for name in model.shape_names if name.startswith("KMS")}
        | {
            "InternalErrorException": "only a fault of the platform",
            "InvalidSecurityException": "plain HTTP and any signature that holds are taken",
            "ConcurrentAccessException": "changes are repeated until they go through",
            "StaleTagException": "changes are repeated until they go through",
            "TagPolicyException": "there are no tag policies",
            "ThrottledException": "requests are not throttled",
            "EndpointDisabledException": "mobile push is absent",
            "PlatformApplicationDisabledException": "mobile push is absent",
            "ReplayLimitExceededException": "archives of topics are absent",
            "SubscriptionLimitExceededException": "subscriptions of a topic have no bound",
            "InvalidStateException": "archives of topics are absent",
            "ValidationException": "for text messages, which are absent",
            "TopicLimitExceededException": "100 000 topics: tested beneath",
            ("UntagResource", "TagLimitExceededException"): "taking away exceeds nothing",
            ("ConfirmSubscription", "FilterPolicyLimitExceededException"): "what is not confirmed counts already",
            ("ListSubscriptions", "InvalidParameterException"): "any token is a place to go on from",
            ("ListTopics", "InvalidParameterException"): "any token is a place to go on from",
        }
    )
    iam = boto3.client("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    topic, none = client.create_topic(Name="t")["TopicArn"], arn("sns", "none")
    subscription = client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("sqs", "q"), ReturnSubscriptionArn=True)["SubscriptionArn"]
    batch = [{"Id": "a", "Message": "m"}]
    fine = {
        "AddPermission": {"TopicArn": topic, "Label": "l", "AWSAccountId": [ACCOUNT], "ActionName": ["Publish"]},
        "RemovePermission": {"TopicArn": topic, "Label": "l"},
        "ConfirmSubscription": {"TopicArn": topic, "Token": "x"},
        "CreateTopic": {"Name": "n"},
        "DeleteTopic": {"TopicArn": topic},
        "GetSubscriptionAttributes": {"SubscriptionArn": subscription},
        "GetTopicAttributes": {"TopicArn": topic},
        "ListSubscriptions": {},
        "ListSubscriptionsByTopic": {"TopicArn": topic},
        "ListTagsForResource": {"ResourceArn": topic},
        "ListTopics": {},
        "Publish": {"TopicArn": topic, "Message": "m"},
        "PublishBatch": {"TopicArn": topic, "PublishBatchRequestEntries": batch},
        "SetSubscriptionAttributes": {"SubscriptionArn": subscription, "AttributeName": "RawMessageDelivery", "AttributeValue": "true"},
        "SetTopicAttributes": {"TopicArn": topic, "AttributeName": "DisplayName", "AttributeValue": "d"},
        "Subscribe": {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn("sqs", "q")},
        "TagResource": {"ResourceArn": topic, "Tags": [{"Key": "a", "Value": "b"}]},
        "Unsubscribe": {"SubscriptionArn": subscription},
        "UntagResource": {"ResourceArn": topic, "TagKeys": ["a"]},
    }
    for name, members in fine.items():
        case(name, "AuthorizationErrorException", as_=(key["AccessKeyId"], key["SecretAccessKey"]), **members)
        declared = {shape.name for shape in model.operation_model(name).error_shapes}
        named = next((member for member in ("TopicArn", "SubscriptionArn", "ResourceArn") if member in members), None)
        if named and "NotFoundException" in declared:
            lost = none if named == "TopicArn" else f"{none}:0-0"
            case(name, "NotFoundException", **members | {named: lost})
        if named and "ResourceNotFoundException" in declared:
            case(name, "ResourceNotFoundException", **members | {named: none})
        if named and "InvalidParameterException" in declared:
            case(name, "InvalidParameterException", **members | {named: "x"})
    never["DeleteTopic", "NotFoundException"] = "deleting what is not there is done at once"
    never["Unsubscribe", "NotFoundException"] = "ending what is not there is done at once"
    cases[:] = [one for one in cases if (one[0], one[1]) not in never]
    case("CreateTopic", "InvalidParameterException", Name="a b")
    tags = [{"Key": str(n), "Value": "v"} for n in range(51)]
    case("CreateTopic", "TagLimitExceededException", Name="n", Tags=tags)
    case("TagResource", "TagLimitExceededException", ResourceArn=topic, Tags=tags)
    empty = {"a": {"DataType": "String", "StringValue": ""}}
    case("Publish", "InvalidParameterValueException", TopicArn=topic, Message="m", MessageAttributes=empty)
    never["PublishBatch", "InvalidParameterValueException"] = "an entry that is refused is in the answer"
    several = lambda *ids: [{"Id": id, "Message": "m"} for id in ids]
    for error, entries in [
        ("EmptyBatchRequestException", []),
        ("BatchEntryIdsNotDistinctException", several("a", "a")),
        ("InvalidBatchEntryIdException", several("a b")),
        ("TooManyEntriesInBatchRequestException", several(*map(str, range(11)))),
        ("BatchRequestTooLongException", [{"Id": str(n), "Message": "x" * 200_000} for n in range(2)]),
    ]:
        case("PublishBatch", error, TopicArn=topic, PublishBatchRequestEntries=entries)
    crowded = client.create_topic(Name="crowded")["TopicArn"]
    for n in range(200):
        filtered = {"FilterPolicy": json.dumps({"a": [str(n)]})}
        client.subscribe(TopicArn=crowded, Protocol="sqs", Endpoint=arn("sqs", f"q{n}"), Attributes=filtered)
    last = client.subscribe(TopicArn=crowded, Protocol="sqs", Endpoint=arn("sqs", "r"), ReturnSubscriptionArn=True)["SubscriptionArn"]
    one_more = {"FilterPolicy": json.dumps({"a": ["x"]})}
    error = "FilterPolicyLimitExceededException"
    case("Subscribe", error, TopicArn=crowded, Protocol="sqs", Endpoint=arn("sqs", "s"), Attributes=one_more)
    case("SetSubscriptionAttributes", error, SubscriptionArn=last, AttributeName="FilterPolicy", AttributeValue=one_more["FilterPolicy"])


def events():
    never.update(
        {
            "InternalException": "only a fault of the platform",
            "ConcurrentModificationException": "changes are repeated until they go through",
            "ManagedRuleException": "no service has rules of its own",
            "OperationDisabledException": "partners and global endpoints are absent",
            "ThrottlingException": "requests are not throttled",
            "AccessDeniedException": "secrets lie with the connection, not in another service",
            "InvalidStateException": "partners are absent",
            ("DescribeArchive", "ResourceAlreadyExistsException"): "looking at one makes none",
            ("ListArchives", "ResourceNotFoundException"): "archives of no bus are none",
            ("ListReplays", "ResourceNotFoundException"): "replays of no archive are none",
        }
    )
    for name in ["CreateApiDestination", "UpdateApiDestination", "CreateArchive", "UpdateArchive", "CreateConnection", "UpdateConnection", "StartReplay"]:
        never[name, "LimitExceededException"] = "bounded by the disk"
    bus = client.create_event_bus(Name="b")["EventBusArn"]
    client.put_rule(Name="r", EventPattern='{"a":["b"]}')
    pattern = {"EventPattern": '{"a":['}
    lost = "ResourceNotFoundException"
    target = {"Id": "t", "Arn": arn("sqs", "q")}
    each("DescribeRule DisableRule EnableRule", lost, Name="none")
    never["DeleteRule", lost] = "deleting what is not there is done at once"
    case("PutRule", lost, Name="r", EventBusName="none", EventPattern='{"a":["b"]}')
    case("ListRules", lost, EventBusName="none")
    case("ListTargetsByRule", lost, Rule="none")
    case("PutTargets", lost, Rule="none", Targets=[target])
    case("RemoveTargets", lost, Rule="none", Ids=["t"])
    case("ListRuleNamesByTarget", lost, TargetArn=arn("sqs", "q"), EventBusName="none")
    case("DescribeEventBus", lost, Name="none")
    case("UpdateEventBus", lost, Name="none", Description="d")
    never["CreateEventBus", lost] = "partners are absent"
    case("PutPermission", lost, EventBusName="none", Action="events:PutEvents", Principal=ACCOUNT, StatementId="s")
    case("RemovePermission", lost, StatementId="s")
    case("PutPermission", "PolicyLengthExceededException", Policy=json.dumps({"Statement": [{"Sid": "s" * 11_000, "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus}]}))
    each("DescribeArchive UpdateArchive DeleteArchive", lost, ArchiveName="none")
    case("CreateArchive", lost, ArchiveName="x", EventSourceArn=arn("events", "event-bus/none"))
    each("DescribeReplay CancelReplay", lost, ReplayName="none")
    client.create_archive(ArchiveName="a", EventSourceArn=bus)
    times = {"EventStartTime": 1, "EventEndTime": 2, "Destination": {"Arn": bus}}
    archive = arn("events", "archive/a")
    case("StartReplay", lost, ReplayName="x", EventSourceArn=arn("events", "archive/none"), **times)
    client.start_replay(ReplayName="p", EventSourceArn=archive, **times)
    while client.describe_replay(ReplayName="p")["State"] != "COMPLETED":
        pass
    case("CancelReplay", "IllegalStatusException", ReplayName="p")
    exists = "ResourceAlreadyExistsException"
    case("StartReplay", exists, ReplayName="p", EventSourceArn=archive, **times)
    case("CreateArchive", exists, ArchiveName="a", EventSourceArn=bus)
    case("CreateEventBus", exists, Name="b")
    basic = {"AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "u", "Password": "p"}}}
    connection = client.create_connection(Name="c", **basic)["ConnectionArn"]
    web = {"ConnectionArn": connection, "InvocationEndpoint": "https://localhost/", "HttpMethod": "POST"}
    client.create_api_destination(Name="d", **web)
    case("CreateConnection", exists, Name="c", **basic)
    case("CreateApiDestination", exists, Name="d", **web)
    each("DescribeConnection UpdateConnection DeauthorizeConnection DeleteConnection", lost, Name="none")
    each("DescribeApiDestination UpdateApiDestination DeleteApiDestination", lost, Name="none")
    case("CreateApiDestination", lost, Name="x", **web | {"ConnectionArn": arn("events", "connection/none/0")})
    never["CreateConnection", lost] = "private connectivity is absent"
    case("ListTagsForResource", lost, ResourceARN=arn("events", "rule/none"))
    case("TagResource", lost, ResourceARN=arn("events", "rule/none"), Tags=[{"Key": "a", "Value": "b"}])
    case("UntagResource", lost, ResourceARN=arn("events", "rule/none"), TagKeys=["a"])
    broken = "InvalidEventPatternException"
    case("PutRule", broken, Name="r", **pattern)
    case("CreateArchive", broken, ArchiveName="x", EventSourceArn=bus, **pattern)
    case("UpdateArchive", broken, ArchiveName="a", **pattern)
    case("TestEventPattern", broken, Event='{"id":"i","account":"1","source":"s","time":"2026-01-01T00:00:00Z","region":"r","resources":[],"detail-type":"d"}', **pattern)
    never["StartReplay", broken] = "a replay has no pattern of its own"
    limit = "LimitExceededException"
    client.put_targets(Rule="r", Targets=[target | {"Id": str(n)} for n in range(5)])
    case("PutTargets", limit, Rule="r", Targets=[target | {"Id": "6"}])
    for n in range(300):
        client.put_rule(Name=f"r{n}", EventBusName="b", EventPattern='{"a":["b"]}')
    case("PutRule", limit, Name="one-more", EventBusName="b", EventPattern='{"a":["b"]}')
    for n in range(98):
        client.create_event_bus(Name=f"b{n}")
    case("CreateEventBus", limit, Name="one-more")


def scheduler():
    never.update(
        {
            "InternalServerException": "only a fault of the platform",
            "ThrottlingException": "requests are not throttled",
            ("CreateScheduleGroup", "ServiceQuotaExceededException"): "bounded by the disk",
            ("TagResource", "ConflictException"): "changes are repeated until they go through",
            ("UntagResource", "ConflictException"): "changes are repeated until they go through",
            ("DeleteSchedule", "ConflictException"): "changes are repeated until they go through",
            ("UpdateSchedule", "ConflictException"): "changes are repeated until they go through",
            ("DeleteScheduleGroup", "ConflictException"): "one that is being deleted is deleted",
        }
    )
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))
    fine = {
        "ScheduleExpression": "rate(1 hour)",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": arn("sqs", "q"), "RoleArn": role},
    }
    client.create_schedule(Name="s", **fine)
    client.create_schedule_group(Name="g")
    group, lost = arn("scheduler", "schedule-group/none"), "ResourceNotFoundException"
    case("CreateSchedule", lost, Name="x", GroupName="none", **fine)
    case("UpdateSchedule", lost, Name="none", **fine)
    each("GetSchedule DeleteSchedule GetScheduleGroup DeleteScheduleGroup", lost, Name="none")
    case("ListSchedules", lost, GroupName="none")
    case("ListTagsForResource", lost, ResourceArn=group)
    case("TagResource", lost, ResourceArn=group, Tags=[{"Key": "a", "Value": "b"}])
    case("UntagResource", lost, ResourceArn=group, TagKeys=["a"])
    case("CreateSchedule", "ConflictException", Name="s", **fine)
    case("CreateScheduleGroup", "ConflictException", Name="g")
    large = fine | {"Target": fine["Target"] | {"Input": "x" * 300_000}}
    case("CreateSchedule", "ServiceQuotaExceededException", Name="x", **large)
    bad = "ValidationException"
    case("CreateSchedule", bad, Name="a b", **fine)
    case("UpdateSchedule", bad, Name="s", **fine | {"ScheduleExpression": "rate(0 hours)"})
    each("GetSchedule DeleteSchedule GetScheduleGroup DeleteScheduleGroup CreateScheduleGroup", bad, Name="a b")
    case("ListSchedules", bad, MaxResults=101)
    case("ListScheduleGroups", bad, MaxResults=101)
    each("ListTagsForResource", bad, ResourceArn="x")
    case("TagResource", bad, ResourceArn="x", Tags=[{"Key": "a", "Value": "b"}])
    case("UntagResource", bad, ResourceArn="x", TagKeys=["a"])


def zipped(code):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.js", f"exports.handler = async () => {code}")
    return buffer.getvalue()


def codedeploy():
    servers = "of servers and containers, whose members are refused"
    never.update(
        {
            name: servers
            for name in ("InvalidMinimumHealthyHostValueException InvalidZonalDeploymentConfigurationException InvalidEC2TagException InvalidTagException "
                         "InvalidAutoScalingGroupException LifecycleHookLimitExceededException InvalidLoadBalancerInfoException "
                         "InvalidBlueGreenDeploymentConfigurationException InvalidEC2TagCombinationException InvalidOnPremisesTagCombinationException "
                         "TagSetListLimitExceededException InvalidECSServiceException InvalidTargetGroupPairException ECSServiceMappingLimitExceededException "
                         "InvalidTargetInstancesException InvalidFileExistsBehaviorException InvalidUpdateOutdatedInstancesOnlyValueException "
                         "InvalidIgnoreApplicationStopFailuresValueException InvalidGitHubAccountTokenException RevisionDoesNotExistException "
                         "InvalidInstanceNameException InvalidInstanceStatusException InvalidInstanceTypeException InvalidDeploymentInstanceTypeException "
                         "InvalidTargetFilterNameException UnsupportedActionForDeploymentTypeException").split()
        }
        | {
            "ThrottlingException": "requests are not throttled",
            "InvalidInputException": "what is malformed has an error of its own",
            "InvalidExternalIdException": "any text is one",
            "DeploymentNotStartedException": "targets are known before",
            "ApplicationLimitExceededException": "a thousand",
            "DeploymentGroupLimitExceededException": "a thousand",
            "DeploymentConfigLimitExceededException": "a thousand",
            ("ListDeployments", "DeploymentGroupNameRequiredException"): "an application alone is enough",
            ("CreateDeployment", "InvalidRoleException"): "the group's role was looked at before",
            ("DeleteApplication", "InvalidRoleException"): "no role is taken on",
            ("DeleteDeploymentGroup", "InvalidRoleException"): "no role is taken on",
            ("CreateDeployment", "InvalidTrafficRoutingConfigurationException"): "configurations were looked at before",
            ("CreateDeploymentGroup", "InvalidTrafficRoutingConfigurationException"): "configurations were looked at before",
            ("UpdateDeploymentGroup", "InvalidTrafficRoutingConfigurationException"): "configurations were looked at before",
            ("GetDeploymentConfig", "InvalidComputePlatformException"): "it is not asked for",
            ("GetDeploymentGroup", "DeploymentConfigDoesNotExistException"): "one that is in use stays",
            ("StopDeployment", "DeploymentGroupDoesNotExistException"): "a deployment has all that it needs of its group",
            ("TagResource", "DeploymentConfigDoesNotExistException"): "configurations have no tags",
            ("UntagResource", "DeploymentConfigDoesNotExistException"): "configurations have no tags",
            ("UntagResource", "InvalidTagsToAddException"): "none are added",
        }
    )
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "codedeploy.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))
    group = {"applicationName": "a", "deploymentGroupName": "g", "serviceRoleArn": role}
    for name in ("a", "b"):
        client.create_application(applicationName=name, computePlatform="Lambda")
    client.create_deployment_config(deploymentConfigName="c", computePlatform="Lambda")
    client.create_deployment_group(**group, deploymentConfigName="c")
    client.create_deployment_group(**group | {"deploymentGroupName": "h"})
    target = {"Name": "f", "Alias": "l", "CurrentVersion": "1", "TargetVersion": "2"}
    spec = json.dumps({"version": 0.0, "Resources": [{"f": {"Type": "AWS::Lambda::Function", "Properties": target}}]})
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": spec}}
    deployment = {"applicationName": "a", "deploymentGroupName": "g", "revision": revision}
    # It fails at once: there is no such function.
    done = client.create_deployment(**deployment)["deploymentId"]
    while client.get_deployment(deploymentId=done)["deploymentInfo"]["status"] != "Failed":
        pass
    named = "CreateApplication GetApplication DeleteApplication UpdateApplication ListDeploymentGroups ListDeployments"
    of_group = "CreateDeploymentGroup GetDeploymentGroup DeleteDeploymentGroup"
    each(named.replace(" ListDeployments", ""), "ApplicationNameRequiredException")
    each(of_group + " CreateDeployment", "ApplicationNameRequiredException", deploymentGroupName="g")
    case("ListDeployments", "ApplicationNameRequiredException", deploymentGroupName="g")
    case("UpdateDeploymentGroup", "ApplicationNameRequiredException", currentDeploymentGroupName="g")
    each(named, "InvalidApplicationNameException", applicationName="a b")
    each(of_group + " CreateDeployment", "InvalidApplicationNameException", applicationName="a b", deploymentGroupName="g")
    case("UpdateDeploymentGroup", "InvalidApplicationNameException", applicationName="a b", currentDeploymentGroupName="g")
    each("GetApplication UpdateApplication ListDeploymentGroups ListDeployments", "ApplicationDoesNotExistException", applicationName="none")
    each("GetDeploymentGroup CreateDeployment", "ApplicationDoesNotExistException", applicationName="none", deploymentGroupName="g")
    case("CreateDeploymentGroup", "ApplicationDoesNotExistException", **group | {"applicationName": "none"})
    case("UpdateDeploymentGroup", "ApplicationDoesNotExistException", applicationName="none", currentDeploymentGroupName="g")
    case("CreateApplication", "ApplicationAlreadyExistsException", applicationName="a", computePlatform="Lambda")
    case("UpdateApplication", "ApplicationAlreadyExistsException", applicationName="b", newApplicationName="a")
    case("CreateApplication", "InvalidComputePlatformException", applicationName="x", computePlatform="ECS")
    case("CreateDeploymentConfig", "InvalidComputePlatformException", deploymentConfigName="x", computePlatform="Server")
    tags = [{"Key": "aws:x", "Value": ""}]
    case("CreateApplication", "InvalidTagsToAddException", applicationName="x", computePlatform="Lambda", tags=tags)
    case("CreateDeploymentGroup", "InvalidTagsToAddException", **group | {"deploymentGroupName": "x"}, tags=tags)
    app = arn("codedeploy", "application:a")
    case("TagResource", "InvalidTagsToAddException", ResourceArn=app, Tags=tags)
    each(of_group + " CreateDeployment", "DeploymentGroupNameRequiredException", applicationName="a")
    case("UpdateDeploymentGroup", "DeploymentGroupNameRequiredException", applicationName="a")
    each(of_group + " CreateDeployment ListDeployments", "InvalidDeploymentGroupNameException", applicationName="a", deploymentGroupName="a b")
    case("UpdateDeploymentGroup", "InvalidDeploymentGroupNameException", applicationName="a", currentDeploymentGroupName="a b")
    each("GetDeploymentGroup CreateDeployment ListDeployments", "DeploymentGroupDoesNotExistException", applicationName="a", deploymentGroupName="none")
    case("UpdateDeploymentGroup", "DeploymentGroupDoesNotExistException", applicationName="a", currentDeploymentGroupName="none")
    case("CreateDeploymentGroup", "DeploymentGroupAlreadyExistsException", **group)
    case("UpdateDeploymentGroup", "DeploymentGroupAlreadyExistsException", applicationName="a", currentDeploymentGroupName="g", newDeploymentGroupName="h")
    case("CreateDeploymentGroup", "RoleRequiredException", applicationName="a", deploymentGroupName="x")
    other = {"applicationName": "a", "currentDeploymentGroupName": "g"}
    new = group | {"deploymentGroupName": "x"}
    for error, more in {
        "InvalidRoleException": {"serviceRoleArn": role + "none"},
        "InvalidDeploymentConfigNameException": {"deploymentConfigName": "a b"},
        "DeploymentConfigDoesNotExistException": {"deploymentConfigName": "none"},
        "InvalidAlarmConfigException": {"alarmConfiguration": {"enabled": True, "alarms": []}},
        "AlarmsLimitExceededException": {"alarmConfiguration": {"alarms": [{"name": str(i)} for i in range(11)]}},
        "InvalidAutoRollbackConfigException": {"autoRollbackConfiguration": {"enabled": True}},
        "InvalidDeploymentStyleException": {"deploymentStyle": {"deploymentType": "IN_PLACE"}},
        "InvalidTriggerConfigException": {"triggerConfigurations": [{"triggerName": "t"}]},
        "TriggerTargetsLimitExceededException": {"triggerConfigurations": [{"triggerName": str(i)} for i in range(11)]},
    }.items():
        case("CreateDeploymentGroup", error, **new | more)
        case("UpdateDeploymentGroup", error, **other | more)
    case("CreateDeployment", "RevisionRequiredException", applicationName="a", deploymentGroupName="g")
    case("CreateDeployment", "InvalidRevisionException", **deployment | {"revision": {"revisionType": "AppSpecContent", "appSpecContent": {"content": "{}"}}})
    case("CreateDeployment", "InvalidDeploymentConfigNameException", **deployment, deploymentConfigName="a b")
    case("CreateDeployment", "DeploymentConfigDoesNotExistException", **deployment, deploymentConfigName="none")
    case("CreateDeployment", "DescriptionTooLongException", **deployment, description="x" * 1025)
    case("CreateDeployment", "InvalidAlarmConfigException", **deployment, overrideAlarmConfiguration={"enabled": True})
    case("CreateDeployment", "AlarmsLimitExceededException", **deployment, overrideAlarmConfiguration={"alarms": [{"name": str(i)} for i in range(11)]})
    case("CreateDeployment", "InvalidAutoRollbackConfigException", **deployment, autoRollbackConfiguration={"enabled": True, "events": ["X"]})
    configs = "CreateDeploymentConfig GetDeploymentConfig DeleteDeploymentConfig"
    each(configs, "DeploymentConfigNameRequiredException")
    each("GetDeploymentConfig DeleteDeploymentConfig", "InvalidDeploymentConfigNameException", deploymentConfigName="a b")
    case("CreateDeploymentConfig", "InvalidDeploymentConfigNameException", deploymentConfigName="CodeDeployDefault.x", computePlatform="Lambda")
    case("CreateDeploymentConfig", "DeploymentConfigAlreadyExistsException", deploymentConfigName="c", computePlatform="Lambda")
    case("CreateDeploymentConfig", "InvalidTrafficRoutingConfigurationException", deploymentConfigName="x", computePlatform="Lambda",
         trafficRoutingConfig={"type": "TimeBasedCanary"})
    case("GetDeploymentConfig", "DeploymentConfigDoesNotExistException", deploymentConfigName="none")
    case("DeleteDeploymentConfig", "DeploymentConfigInUseException", deploymentConfigName="c")
    case("DeleteDeploymentConfig", "InvalidOperationException", deploymentConfigName="CodeDeployDefault.LambdaAllAtOnce")
    ids = "GetDeployment GetDeploymentTarget ListDeploymentTargets StopDeployment"
    each(ids + " BatchGetDeployments", "DeploymentIdRequiredException")
    each(ids, "InvalidDeploymentIdException", deploymentId="x")
    each(ids, "DeploymentDoesNotExistException", deploymentId="d-ABCDEFGHI")
    case("BatchGetDeployments", "InvalidDeploymentIdException", deploymentIds=["x"])
    case("BatchGetDeployments", "BatchLimitExceededException", deploymentIds=["d-ABCDEFGHI"] * 26)
    case("GetDeploymentTarget", "DeploymentTargetIdRequiredException", deploymentId=done)
    case("GetDeploymentTarget", "InvalidDeploymentTargetIdException", deploymentId=done, targetId="x")
    case("GetDeploymentTarget", "DeploymentTargetDoesNotExistException", deploymentId=done, targetId="x:y")
    case("StopDeployment", "DeploymentAlreadyCompletedException", deploymentId=done)
    hook = {"lifecycleEventHookExecutionId": "x", "status": "Succeeded"}
    report = "PutLifecycleEventHookExecutionStatus"
    case(report, "DeploymentIdRequiredException", **hook)
    case(report, "InvalidDeploymentIdException", deploymentId="x", **hook)
    case(report, "DeploymentDoesNotExistException", deploymentId="d-ABCDEFGHI", **hook)
    case(report, "InvalidLifecycleEventHookExecutionIdException", deploymentId=done, status="Succeeded")
    case(report, "InvalidLifecycleEventHookExecutionStatusException", deploymentId=done, **hook | {"status": "Skipped"})
    case(report, "LifecycleEventAlreadyCompletedException", deploymentId=done, **hook)
    each("ListApplications ListDeploymentConfigs ListDeployments", "InvalidNextTokenException", nextToken="x")
    case("ListDeploymentGroups", "InvalidNextTokenException", applicationName="a", nextToken="x")
    case("ListDeploymentTargets", "InvalidNextTokenException", deploymentId=done, nextToken="x")
    case("ListDeployments", "InvalidTimeRangeException", createTimeRange={"start": 2, "end": 1})
    case("ListDeployments", "InvalidDeploymentStatusException", includeOnlyStatuses=["Late"])
    tag, keys = {"Tags": [{"Key": "a", "Value": "b"}]}, {"TagKeys": ["a"]}
    for operation, more in (("TagResource", tag), ("UntagResource", keys), ("ListTagsForResource", {})):
        case(operation, "ResourceArnRequiredException", **more)
        case(operation, "InvalidArnException", ResourceArn="x", **more)
        case(operation, "ArnNotSupportedException", ResourceArn=arn("codedeploy", "deploymentconfig:c"), **more)
        if more:
            case(operation, "TagRequiredException", ResourceArn=app, **{name: [] for name in more})
            case(operation, "ApplicationDoesNotExistException", ResourceArn=arn("codedeploy", "application:none"), **more)
            case(operation, "DeploymentGroupDoesNotExistException", ResourceArn=arn("codedeploy", "deploymentgroup:a/none"), **more)
    # The last one: it keeps its group busy.
    slow = {"deploymentConfigName": "CodeDeployDefault.LambdaCanary10Percent5Minutes"}
    function = boto3.client("lambda")
    boto3.client("iam").put_role_policy(RoleName="r", PolicyName="all", PolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
    trust["Statement"][0]["Principal"]["Service"] = "lambda.amazonaws.com"
    boto3.client("iam").create_role(RoleName="l", AssumeRolePolicyDocument=json.dumps(trust))
    for code in ("1", "2"):
        try:
            function.create_function(FunctionName="f", Runtime=os.environ["NODE_RUNTIME"], Handler="index.handler", Role=role[:-1] + "l",
                                     Code={"ZipFile": zipped(code)})
        except function.exceptions.ResourceConflictException:
            function.update_function_code(FunctionName="f", ZipFile=zipped(code))
        function.publish_version(FunctionName="f")
    function.create_alias(FunctionName="f", Name="l", FunctionVersion="1")
    client.create_deployment(**deployment, **slow)
    case("CreateDeployment", "DeploymentLimitExceededException", **deployment)


globals()[service]()
problems = []
for operation, error, members in cases:
    given = dict(members)
    as_ = given.pop("as_", None)
    caller = client
    if as_:
        caller = boto3.client(service, aws_access_key_id=as_[0], aws_secret_access_key=as_[1])
    try:
        getattr(caller, method(operation).__name__)(**given)
        got = "done"
    except ClientError as refused:
        got = type(refused).__name__
        got = refused.response["Error"]["Code"] if got == "ClientError" else got
    if got != error:
        problems.append(f"{operation}: {got} instead of {error} for {str(given)[:150]}")
    if caller is client and (operation, error) in never:
        problems.append(f"{operation}: {error} is said never to come")
built = set(sys.argv[2].split(","))
known = {(operation, error) for operation, error, _ in cases}
for operation in built:
    for shape in model.operation_model(operation).error_shapes:
        pair = (operation, shape.name)
        if pair not in known and pair not in never and shape.name not in never:
            problems.append(f"{operation}: {shape.name} has no case")
print(f"{len(cases)} cases of {service}")
if problems:
    raise SystemExit("\n".join(sorted(problems)))
