"""Topics with HTTPS endpoints: one that is trusted is asked, told, told again after failures; what it refuses, what it never
takes, and what is for a stranger's certificate lies in the dead letter queue."""

import http.server
import json
import queue
import ssl
import sys
import threading
import urllib.request

import boto3

folder = sys.argv[1]
sns, sqs = boto3.client("sns"), boto3.client("sqs")
came = queue.Queue()
attempts = {}


class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        attempts[body] = attempts.get(body, 0) + 1
        answers = {"late": 200 if attempts[body] > 2 else 500, "never": 503, "refused": 404}
        answer = answers.get(body, 200)
        self.send_response(answer)
        self.send_header("content-length", "0")
        self.end_headers()
        if answer == 200:
            came.put(body)

    def log_message(self, *_):
        pass


def serve(name):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"https://127.0.0.1:{server.server_address[1]}/hook"


dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": dead_arn}
sqs.set_queue_attributes(QueueUrl=dead, Attributes={"Policy": json.dumps({"Statement": allow})})
policy = {"healthyRetryPolicy": {"minDelayTarget": 1, "maxDelayTarget": 1, "numRetries": 3, "numNoDelayRetries": 3}}
attributes = {
    "DeliveryPolicy": json.dumps(policy),
    "RawMessageDelivery": "true",
    "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn}),
}


def letter():
    got = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=20, MessageAttributeNames=["All"])["Messages"][0]
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=got["ReceiptHandle"])
    return got["Body"], got["MessageAttributes"]["ErrorCode"]["StringValue"]


topic = sns.create_topic(Name="told")["TopicArn"]
pending = sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=serve("trusted"), Attributes=attributes)
assert pending["SubscriptionArn"] == "pending confirmation"
asked = json.loads(came.get(timeout=60))
assert asked["Type"] == "SubscriptionConfirmation"
urllib.request.urlopen(asked["SubscribeURL"]).read()
sns.publish(TopicArn=topic, Message="at once")
assert came.get(timeout=60) == "at once"
sns.publish(TopicArn=topic, Message="late")
assert came.get(timeout=60) == "late" and attempts["late"] == 3
sns.publish(TopicArn=topic, Message="refused")
assert letter() == ("refused", "404") and attempts["refused"] == 1
sns.publish(TopicArn=topic, Message="never")
assert letter() == ("never", "503") and attempts["never"] == 4

# Nobody trusts the stranger, so it is not even asked; a subscription that was confirmed keeps its letters.
strange = sns.create_topic(Name="strange")["TopicArn"]
sns.subscribe(TopicArn=strange, Protocol="https", Endpoint=serve("stranger"), Attributes=attributes)
sns.publish(TopicArn=topic, Message="after")
assert came.get(timeout=60) == "after" and came.empty()
listed = sns.list_subscriptions_by_topic(TopicArn=strange)["Subscriptions"]
assert [one["SubscriptionArn"] for one in listed] == ["PendingConfirmation"], listed
