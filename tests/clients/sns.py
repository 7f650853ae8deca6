"""SNS as boto3 sees it: queues, a web endpoint that checks signatures with OpenSSL, filters, FIFO."""

import base64
import http.server
import json
import os
import queue
import subprocess
import tempfile
import threading
import urllib.request

import boto3

sns, sqs = boto3.client("sns"), boto3.client("sqs")
topic = sns.create_topic(Name="orders", Attributes={"DisplayName": "Orders"}, Tags=[{"Key": "a", "Value": "1"}])["TopicArn"]
assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "Orders"
assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "1"}]
assert [t["TopicArn"] for t in sns.list_topics()["Topics"]] == [topic]


def queue_of(name, topic, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def receive(url, count):
    got = []
    while len(got) < count:
        answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        assert "Messages" in answer, f"{len(got)} of {count}"
        got += answer["Messages"]
        for message in answer["Messages"]:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return got


plain, plain_arn = queue_of("plain", topic)
raw, raw_arn = queue_of("raw", topic)
sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=plain_arn)
filtered = sns.subscribe(
    TopicArn=topic, Protocol="sqs", Endpoint=raw_arn, ReturnSubscriptionArn=True,
    Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"kind": [{"prefix": "pa"}]})},
)["SubscriptionArn"]
assert sns.get_subscription_attributes(SubscriptionArn=filtered)["Attributes"]["RawMessageDelivery"] == "true"
for kind in ["paid", "open"]:
    attribute = {"kind": {"DataType": "String", "StringValue": kind}}
    sns.publish(TopicArn=topic, Message=kind, Subject="state", MessageAttributes=attribute)
[only] = receive(raw, 1)
assert only["Body"] == "paid" and only["MessageAttributes"]["kind"]["StringValue"] == "paid"
both = [json.loads(m["Body"]) for m in receive(plain, 2)]
assert sorted(m["Message"] for m in both) == ["open", "paid"]
assert all(m["Type"] == "Notification" and m["TopicArn"] == topic and m["Subject"] == "state" for m in both)

# A web endpoint: asked, confirmed by its link, then told; every message's signature holds.
came = queue.Queue()


class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        # The second attempt is the one that goes well.
        answer = 503 if b"again" in body and not seen.get("again") else 200
        seen["again"] = seen.get("again") or b"again" in body
        self.send_response(answer)
        self.end_headers()
        if answer == 200:
            came.put((dict(self.headers), body.decode()))

    def log_message(self, *_):
        pass


seen = {}
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = f"http://127.0.0.1:{server.server_address[1]}/hook"


def check(message, names, digest):
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key, signature = (os.path.join(folder, name) for name in ["c", "k", "s"])
        with open(certificate, "wb") as file:
            file.write(urllib.request.urlopen(message["SigningCertURL"]).read())
        with open(signature, "wb") as file:
            file.write(base64.b64decode(message["Signature"]))
        with open(key, "wb") as file:
            file.write(subprocess.check_output(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"]))
        verify = ["openssl", "dgst", f"-{digest}", "-verify", key, "-signature", signature]
        subprocess.run(verify, input=text.encode(), check=True, stdout=subprocess.DEVNULL)


retry = json.dumps({"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 5, "numNoDelayRetries": 5}})
pending = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint, Attributes={"DeliveryPolicy": retry})
assert pending["SubscriptionArn"] == "pending confirmation"
headers, body = came.get(timeout=60)
asked = json.loads(body)
assert headers["x-amz-sns-message-type"] == "SubscriptionConfirmation" and asked["Type"] == "SubscriptionConfirmation"
check(asked, ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"], "sha1")
assert b"<SubscriptionArn>" in urllib.request.urlopen(asked["SubscribeURL"]).read()
order = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
for version, digest, text in [("1", "sha1", "one"), ("2", "sha256", "again")]:
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    sns.publish(TopicArn=topic, Message=text)
    headers, body = came.get(timeout=60)
    told = json.loads(body)
    assert told["Message"] == text and told["SignatureVersion"] == version
    assert headers["x-amz-sns-topic-arn"] == topic
    check(told, order, digest)
web = next(s for s in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] if s["Protocol"] == "http")
sns.set_subscription_attributes(SubscriptionArn=web["SubscriptionArn"], AttributeName="RawMessageDelivery", AttributeValue="true")
sns.publish(TopicArn=topic, Message="as it is")
headers, body = came.get(timeout=60)
assert body == "as it is" and headers["x-amz-sns-rawdelivery"] == "true"
urllib.request.urlopen(told["UnsubscribeURL"]).read()
assert all(s["Protocol"] == "sqs" for s in sns.list_subscriptions()["Subscriptions"])

# FIFO to FIFO.
fifo = sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true", "ContentBasedDeduplication": "true"})["TopicArn"]
line, line_arn = queue_of("line.fifo", fifo, FifoQueue="true")
sns.subscribe(TopicArn=fifo, Protocol="sqs", Endpoint=line_arn, Attributes={"RawMessageDelivery": "true"})
entries = [{"Id": str(i), "Message": f"{i:02}", "MessageGroupId": "g"} for i in range(10)]
assert len(sns.publish_batch(TopicArn=fifo, PublishBatchRequestEntries=entries)["Successful"]) == 10
assert len(sns.publish_batch(TopicArn=fifo, PublishBatchRequestEntries=entries)["Successful"]) == 10
assert [m["Body"] for m in receive(line, 10)] == [f"{i:02}" for i in range(10)]

sns.unsubscribe(SubscriptionArn=filtered)
sns.delete_topic(TopicArn=topic)
for call, code in [
    (lambda: sns.publish(TopicArn=topic, Message="x"), "NotFound"),
    (lambda: sns.publish(TopicArn=fifo, Message="x"), "InvalidParameter"),
    (lambda: sns.subscribe(TopicArn=fifo, Protocol="sms", Endpoint="+1"), "NotImplemented"),
]:
    try:
        call()
        raise SystemExit(f"{code} was expected")
    except sns.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
