"""Counts errors by the stream they were written to. An event's id is counted once, however often it is delivered."""

import base64
import gzip
import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event, _context):
    message = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    ids = {line["id"] for line in message["logEvents"]}
    table.update_item(
        Key={"stream": message["logStream"]},
        UpdateExpression="ADD ids :ids SET last_line = :line",
        ExpressionAttributeValues={":ids": ids, ":line": message["logEvents"][-1]["message"]},
    )
