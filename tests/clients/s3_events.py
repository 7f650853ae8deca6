"""S3's events in queues, by functions and on the bus, as boto3 reads them."""
import io
import json
import sys
import time
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
sqs, lambdas, iam = boto3.client("sqs"), boto3.client("lambda"), boto3.client("iam")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error.response)
        return
    raise AssertionError(f"{code} was expected")


B = "bucket-with-events"
s3.create_bucket(Bucket=B)


def queue(name, source):
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    if source:
        statement = {"Effect": "Allow", "Principal": {"Service": source}, "Action": "sqs:SendMessage", "Resource": arn}
        if source.startswith("s3."):
            statement["Condition"] = {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{B}"}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def receive(url, count):
    """So many messages, in the order of their sequencers where they have one."""
    found, until = [], time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < until, found
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    assert len(found) == count, found
    return found


def records(url, count):
    found = [record for message in receive(url, count) for record in message["Records"]]
    return sorted(found, key=lambda record: record["s3"]["object"]["sequencer"])


def configure(*queues, **further):
    s3.put_bucket_notification_configuration(Bucket=B, NotificationConfiguration={"QueueConfigurations": list(queues), **further})


# A queue that does not let S3 send is no destination.
url, arn = queue("all-events", None)
everything = {"Id": "everything", "QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*"]}
try:
    configure(everything)
    raise AssertionError("a destination that refuses was taken")
except ClientError as error:
    assert error.response["Error"]["Code"] == "InvalidArgument", error.response
url, arn = queue("all-events", "s3.amazonaws.com")
configure(everything)
(test,) = receive(url, 1)
assert test["Event"] == "s3:TestEvent" and test["Bucket"] == B and test["Service"] == "Amazon S3", test
shown = s3.get_bucket_notification_configuration(Bucket=B)["QueueConfigurations"]
assert shown == [everything], shown

key = "in/a b+ü.txt"
put = s3.put_object(Bucket=B, Key=key, Body=b"12345")
(record,) = records(url, 1)
assert record["eventVersion"].startswith("2.") and record["eventSource"] == "aws:s3" and record["awsRegion"] == "us-east-1"
assert record["eventName"] == "ObjectCreated:Put" and record["s3"]["s3SchemaVersion"] == "1.0"
assert record["s3"]["configurationId"] == "everything" and record["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{B}"
found = record["s3"]["object"]
assert found["key"] == "in/a+b%2B%C3%BC.txt" and found["size"] == 5 and found["eTag"] == put["ETag"].strip('"') and "versionId" not in found
assert record["responseElements"]["x-amz-request-id"] == put["ResponseMetadata"]["RequestId"]
assert record["requestParameters"]["sourceIPAddress"] == "127.0.0.1" and record["userIdentity"]["principalId"].startswith("AWS:")

s3.copy_object(Bucket=B, Key="copied", CopySource={"Bucket": B, "Key": key})
upload = s3.create_multipart_upload(Bucket=B, Key="parts")["UploadId"]
tag = s3.upload_part(Bucket=B, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
s3.complete_multipart_upload(Bucket=B, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
s3.put_object_tagging(Bucket=B, Key="parts", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
s3.delete_object(Bucket=B, Key="parts")
s3.delete_object(Bucket=B, Key="was-never-there")
s3.put_bucket_versioning(Bucket=B, VersioningConfiguration={"Status": "Enabled"})
version = s3.put_object(Bucket=B, Key="v", Body=b"")["VersionId"]
marker = s3.delete_object(Bucket=B, Key="v")["VersionId"]
s3.delete_object(Bucket=B, Key="v", VersionId=version)
seen = [(r["eventName"], r["s3"]["object"]["key"], r["s3"]["object"].get("versionId")) for r in records(url, 7)]
assert seen == [
    ("ObjectCreated:Copy", "copied", None),
    ("ObjectCreated:CompleteMultipartUpload", "parts", None),
    ("ObjectTagging:Put", "parts", None),
    ("ObjectRemoved:Delete", "parts", None),
    ("ObjectCreated:Put", "v", version),
    ("ObjectRemoved:DeleteMarkerCreated", "v", marker),
    ("ObjectRemoved:Delete", "v", version),
], seen

# Filters, and what cannot be.
texts = {"Id": "texts", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".txt"}]}}}
configure(texts)
for name in ("in/1.txt", "in/2.png", "out/3.txt", "in/4.txt"):
    s3.put_object(Bucket=B, Key=name, Body=b"")
assert [r["s3"]["object"]["key"] for r in records(url, 2)] == ["in/1.txt", "in/4.txt"]
for bad in (
    [texts, {**texts, "Id": "again"}],
    [{**texts, "QueueArn": "arn:aws:sqs:us-east-1:000000000000:no-such-queue"}],
    [{**texts, "QueueArn": "nonsense"}],
    [{**texts, "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "a"}, {"Name": "prefix", "Value": "b"}]}}}],
):
    try:
        configure(*bad)
        raise AssertionError(bad)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidArgument", error.response

# A function that S3 may invoke copies what is put, out of reach of its own event.
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
role = iam.create_role(RoleName="s3-events", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}]}
iam.put_role_policy(RoleName="s3-events", PolicyName="send", PolicyDocument=json.dumps(allowed))
heard_url, _ = queue("heard", None)
code = io.BytesIO()
with zipfile.ZipFile(code, "w") as archive:
    archive.writestr("index.mjs", """
export const handler = async (event) => {
  const r = event.Records[0];
  console.log(JSON.stringify({heard: r.s3.object.key}));
  return r.s3.object.key;
};
""")
# Its code is fetched from the bucket, which is what other services need S3 for.
s3.put_object(Bucket=B, Key="code.zip", Body=code.getvalue())
function = lambdas.create_function(FunctionName="hears", Runtime=sys.argv[1], Handler="index.handler", Role=role, Code={"S3Bucket": B, "S3Key": "code.zip"})["FunctionArn"]
hearing = {"Id": "hears", "LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "for-function/"}]}}}
try:
    configure(LambdaFunctionConfigurations=[hearing])
    raise AssertionError("a function that S3 may not invoke was taken")
except ClientError as error:
    assert error.response["Error"]["Code"] == "InvalidArgument", error.response
lambdas.add_permission(FunctionName="hears", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com", SourceArn=f"arn:aws:s3:::{B}")
busses = boto3.client("events")
bus_url, bus_arn = queue("from-bus", "events.amazonaws.com")
busses.put_rule(Name="objects", EventPattern=json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [B]}}}))
busses.put_targets(Rule="objects", Targets=[{"Id": "1", "Arn": bus_arn}])
configure(LambdaFunctionConfigurations=[hearing], EventBridgeConfiguration={})
s3.put_object(Bucket=B, Key="for-function/x", Body=b"abc")
logs, until = boto3.client("logs"), time.monotonic() + 30
while True:
    try:
        lines = [e["message"] for e in logs.filter_log_events(logGroupName="/aws/lambda/hears")["events"]]
    except ClientError:
        lines = []
    if any('"heard":"for-function/x"' in line for line in lines):
        break
    assert time.monotonic() < until, lines
    time.sleep(0.1)
(event,) = receive(bus_url, 1)
assert event["source"] == "aws.s3" and event["detail-type"] == "Object Created" and event["resources"] == [f"arn:aws:s3:::{B}"], event
assert event["detail"]["object"]["key"] == "for-function/x" and event["detail"]["reason"] == "PutObject" and event["detail"]["object"]["size"] == 3

# A topic, by prefix and suffix; and the bus, where the rule's pattern is the filter.
sns = boto3.client("sns")
topic = sns.create_topic(Name="objects")["TopicArn"]
published = {"Id": "published", "TopicArn": topic, "Events": ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"], "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "pictures/"}, {"Name": "Suffix", "Value": ".jpg"}]}}}
try:
    configure(TopicConfigurations=[published])
    raise AssertionError("a topic that S3 may not publish to was taken")
except ClientError as error:
    assert error.response["Error"]["Code"] == "InvalidArgument", error.response
may = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sns:Publish", "Resource": topic, "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{B}"}}}
sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps({"Version": "2012-10-17", "Statement": [may]}))
topic_url, topic_arn = queue("from-topic", "sns.amazonaws.com")
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=topic_arn, Attributes={"RawMessageDelivery": "true"})
pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [B]}, "object": {"key": [{"prefix": "films/"}], "size": [{"numeric": [">", 2]}]}}}
busses.put_rule(Name="films", EventPattern=json.dumps(pattern))
films_url, films_arn = queue("films", "events.amazonaws.com")
busses.put_targets(Rule="films", Targets=[{"Id": "1", "Arn": films_arn}])
pattern["detail"]["object"] = {"key": [{"suffix": ".jpg"}]}
busses.put_rule(Name="jpgs", EventPattern=json.dumps(pattern))
jpgs_url, jpgs_arn = queue("jpgs", "events.amazonaws.com")
busses.put_targets(Rule="jpgs", Targets=[{"Id": "1", "Arn": jpgs_arn}])
configure(TopicConfigurations=[published], EventBridgeConfiguration={})
(test,) = receive(topic_url, 1)
assert test["Event"] == "s3:TestEvent", test
for name in ("pictures/1.png", "pictures/2.jpg", "films/3.avi", "films/4.jpg", "2.jpg"):
    s3.put_object(Bucket=B, Key=name, Body=b"123")
s3.put_object(Bucket=B, Key="films/short", Body=b"1")
s3.copy_object(Bucket=B, Key="pictures/copy.jpg", CopySource={"Bucket": B, "Key": "2.jpg"})
s3.delete_object(Bucket=B, Key="pictures/2.jpg")
told = [(r["eventName"], r["s3"]["object"]["key"], r["s3"]["configurationId"]) for r in records(topic_url, 2)]
assert told == [("ObjectCreated:Put", "pictures/2.jpg", "published"), ("ObjectRemoved:DeleteMarkerCreated", "pictures/2.jpg", "published")], told
heard = lambda url, count: sorted((event["detail-type"], event["detail"]["object"]["key"]) for event in receive(url, count))
assert heard(films_url, 2) == [("Object Created", "films/3.avi"), ("Object Created", "films/4.jpg")]
jpgs = heard(jpgs_url, 5)
assert jpgs == [("Object Created", "2.jpg"), ("Object Created", "films/4.jpg"), ("Object Created", "pictures/2.jpg"), ("Object Created", "pictures/copy.jpg"), ("Object Deleted", "pictures/2.jpg")], jpgs
