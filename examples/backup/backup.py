"""Copies a table into a bucket, as lines of DynamoDB's JSON. The same tick twice writes the same object anew; memory holds
a page of the table and a part of the object, however large both are."""

import base64
import gzip
import json
import os

import boto3

TABLE, BUCKET = os.environ["TABLE"], os.environ["BUCKET"]
PART_BYTES = 8 * 1024 * 1024

dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")


def handler(event, context):
    key = f"notes/{event['due']}.json.gz"
    items = 0
    with Upload(key) as upload, gzip.GzipFile(fileobj=upload, mode="wb") as lines:
        for page in dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True):
            for item in page["Items"]:
                lines.write(json.dumps({"Item": item}, default=plain).encode() + b"\n")
                items += 1
    print(f"{items} items in s3://{BUCKET}/{key}")
    return {"key": key, "items": items}


def plain(value):
    """Bytes as DynamoDB's JSON has them."""
    return base64.b64encode(value).decode()


class Upload:
    """A file for writing that becomes an object when it is closed without an error, and nothing otherwise."""

    def __init__(self, key):
        self.at = {"Bucket": BUCKET, "Key": key}
        self.parts, self.pending = [], bytearray()

    def __enter__(self):
        self.at["UploadId"] = s3.create_multipart_upload(**self.at, ContentType="application/gzip")["UploadId"]
        return self

    def write(self, data):
        self.pending += data
        if len(self.pending) >= PART_BYTES:
            self.flush_part()
        return len(data)

    def flush_part(self):
        number = len(self.parts) + 1
        part = s3.upload_part(**self.at, PartNumber=number, Body=bytes(self.pending))
        self.parts.append({"PartNumber": number, "ETag": part["ETag"]})
        self.pending.clear()

    def __exit__(self, kind, error, trace):
        if kind is not None:
            s3.abort_multipart_upload(**self.at)
            return
        self.flush_part()
        s3.complete_multipart_upload(**self.at, MultipartUpload={"Parts": self.parts})
