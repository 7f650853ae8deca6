"""A function that writes down durably what it was given, without any library: the table `seen` gets one item per record."""

import datetime
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.request


def call(service, target, members):
    body = json.dumps(members).encode()
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    host = endpoint.split("://")[1].rstrip("/")
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": host,
        "x-amz-date": now,
        "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
        "x-amz-target": target,
    }
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["POST", "/", "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, hashlib.sha256(body).hexdigest()]
    )
    scope = f"{now[:8]}/{os.environ['AWS_REGION']}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    who = f"Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={signature}"
    request = urllib.request.Request(endpoint, body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"{}")


def write(id, detail):
    item = {"id": {"S": id}, "detail": {"S": json.dumps(detail)}}
    call("dynamodb", "DynamoDB_20120810.PutItem", {"TableName": "seen", "Item": item})


def write_first(id, detail):
    """Not over what is there already."""
    item = {"id": {"S": id}, "detail": {"S": json.dumps(detail)}}
    members = {"TableName": "seen", "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
    try:
        call("dynamodb", "DynamoDB_20120810.PutItem", members)
    except urllib.error.HTTPError as error:
        if "ConditionalCheckFailed" not in error.read().decode():
            raise


def handler(event, context):
    failed = []
    for record in event["Records"]:
        if "dynamodb" in record:
            change = record["dynamodb"]
            name = change["Keys"]["id"]["S"]
            if name.startswith("bad"):
                raise ValueError(f"{name} is bad")
            write(f"{name}/{record['eventName']}/{change['SequenceNumber']}", record)
        else:
            body = record["body"]
            if "poison" in body:
                failed.append({"itemIdentifier": record["messageId"]})
                continue
            if "broken" in body:
                raise ValueError("broken")
            write(body, {"record": record, "batch": len(event["Records"])})
    return {"batchItemFailures": failed}
