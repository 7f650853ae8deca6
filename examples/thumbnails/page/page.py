"""The page, and what its script asks for: a form to upload with, and the way to the thumbnail once it is there."""

import json
import os
import uuid
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = os.environ["BUCKET"]
HTML = Path(__file__).with_name("index.html").read_text()
UPLOAD_BYTES_MAX = 10 * 1024 * 1024

# Without it, boto3 presigns for a host of one's own in the way of before 2014.
CONFIG = Config(signature_version="s3v4", s3={"addressing_style": "path"})
s3 = boto3.client("s3", config=CONFIG)


def handler(event, context):
    match event["routeKey"]:
        case "GET /":
            return {"statusCode": 200, "headers": {"content-type": "text/html; charset=utf-8"}, "body": HTML}
        case "POST /images":
            return answer(201, begin(event))
        case "GET /images/{id}":
            return look(event, event["pathParameters"]["id"])


def begin(event):
    """A form that takes one image, of this name and no other, for five minutes."""
    image = uuid.uuid4().hex
    form = browsers(event).generate_presigned_post(
        BUCKET,
        f"uploads/{image}",
        Fields={"success_action_status": "201"},
        Conditions=[
            {"success_action_status": "201"},
            ["starts-with", "$Content-Type", "image/"],
            ["content-length-range", 1, UPLOAD_BYTES_MAX],
        ],
        ExpiresIn=300,
    )
    return {"id": image, **form}


def look(event, image):
    key = f"thumbnails/{image}"
    try:
        found = s3.head_object(Bucket=BUCKET, Key=key)
    except ClientError as e:
        if e.response["Error"]["Code"] != "404":
            raise
        return answer(404, {"error": "there is no such thumbnail, or not yet"})
    address = browsers(event).generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, ExpiresIn=300)
    return answer(200, {"url": address, "was": found["Metadata"]["was"]})


def browsers(event):
    """S3 as the browser reaches it: on AWS where everyone does, elsewhere at the host whose page it is on."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        return s3
    host = event["headers"]["host"].split(".execute-api.")[-1]
    return boto3.client("s3", endpoint_url=f"http://s3.{host}", config=CONFIG)


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
