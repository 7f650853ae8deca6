"""As many parts as an upload may have, each durable; none too many, none left. Argument: the data folder."""
import boto3, http.client, json, sys, threading, time, urllib.parse
from pathlib import Path
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
B, MANY = "parts", 10_000
s3.create_bucket(Bucket=B)
s3.delete_public_access_block(Bucket=B)
# Signing them in Python would take most of the time.
allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{B}/*"}
s3.put_bucket_policy(Bucket=B, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
at = {"Bucket": B, "Key": "k"}
at["UploadId"] = s3.create_multipart_upload(**at)["UploadId"]
host, tags, numbers, lock = urllib.parse.urlparse(s3.meta.endpoint_url).netloc, {}, iter(range(1, MANY + 1)), threading.Lock()


def upload():
    connection = http.client.HTTPConnection(host, timeout=60)
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        connection.request("PUT", f"/{B}/k?partNumber={number}&uploadId={at['UploadId']}", str(number))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        tags[number] = answer.getheader("etag")


threads = [threading.Thread(target=upload) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(tags) == MANY
listed = [part for page in s3.get_paginator("list_parts").paginate(**at) for part in page["Parts"]]
assert [part["PartNumber"] for part in listed] == list(range(1, MANY + 1))
assert all(part["ETag"] == tags[part["PartNumber"]] and part["Size"] == len(str(part["PartNumber"])) for part in listed)
folder = Path(sys.argv[1]) / "blobs" / "stream"
assert len(list(folder.iterdir())) == MANY


def refused(code, call, **parameters):
    try:
        getattr(s3, call)(**at, **parameters)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e.response
    else:
        raise AssertionError(f"{call} was done")


refused("InvalidArgument", "upload_part", PartNumber=MANY + 1, Body=b"")
every = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
refused("EntityTooSmall", "complete_multipart_upload", MultipartUpload={"Parts": every})
refused("InvalidPart", "complete_multipart_upload", MultipartUpload={"Parts": [*every, {"PartNumber": MANY + 1, "ETag": tags[1]}]})
s3.abort_multipart_upload(**at)
assert not s3.list_multipart_uploads(Bucket=B).get("Uploads")
until = time.monotonic() + 60
while left := len(list(folder.iterdir())):
    assert time.monotonic() < until, left
    time.sleep(0.05)
s3.delete_bucket(Bucket=B)
