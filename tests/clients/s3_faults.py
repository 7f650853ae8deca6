"""S3 with clients that break off, lie about lengths and sums, live at another time, and name things awkwardly.
Argument: the cloud's data folder, to see that nothing is left of what was refused."""
import base64
import datetime
import hashlib
import http.client
import os
import re
import socket
import sys
import threading
import time
import zlib
from pathlib import Path
from urllib.parse import quote

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
HOST, PORT = ENDPOINT.removeprefix("http://").split(":")
BLOBS = Path(sys.argv[1]) / "blobs" / "stream"
s3 = boto3.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
B = "bucket-of-faults"
s3.create_bucket(Bucket=B)


def eventually(what, holds):
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, (code, error.response)
        return
    raise AssertionError(f"{code} was expected")


def nothing_left(what):
    eventually(f"nothing is left of {what}", lambda: not list(BLOBS.iterdir()))


def signed(method, path, sha="UNSIGNED-PAYLOAD", **headers):
    """The headers of a request, signed; `headers` with underscores for dashes."""
    request = AWSRequest(method, ENDPOINT + path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    request.headers["x-amz-content-sha256"] = sha
    # The signer keeps a digest that is there.
    request.context["payload_signing_enabled"] = True
    auth = S3SigV4Auth(Credentials("test", "test"), "s3", "us-east-1")
    auth.payload = lambda request: sha
    auth.add_auth(request)
    return dict(request.headers.items())


def raw(method, path, headers, body, closes=False):
    """Sends exactly this; answers the status and S3's code, or nothing where the connection is cut before the end."""
    with socket.create_connection((HOST, int(PORT)), timeout=30) as connection:
        lines = [f"{method} {path} HTTP/1.1", f"host: {HOST}:{PORT}", *(f"{name}: {value}" for name, value in headers.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        if closes:
            return None
        response = http.client.HTTPResponse(connection)
        response.begin()
        text = response.read().decode()
        code = re.search("<Code>(.*?)</Code>", text)
        return response.status, code and code.group(1)


def check(expect, *request, **more):
    answer = raw(*request, **more)
    assert answer == expect, (expect, answer, request[1])


# A connection that is cut in the middle, of an object and of a part; small enough for the store, and not.
upload = s3.create_multipart_upload(Bucket=B, Key="torn")["UploadId"]
for path in (f"/{B}/torn", f"/{B}/torn?partNumber=1&uploadId={upload}"):
    for size in (1000, 3_000_000):
        raw("PUT", path, signed("PUT", path, content_length=str(size)), b"x" * (size - 1), closes=True)
nothing_left("torn uploads")
refused("404", s3.head_object, Bucket=B, Key="torn")
assert "Parts" not in s3.list_parts(Bucket=B, Key="torn", UploadId=upload)
s3.abort_multipart_upload(Bucket=B, Key="torn", UploadId=upload)
# An overwrite that is torn leaves what was there.
s3.put_object(Bucket=B, Key="whole", Body=b"whole")
raw("PUT", f"/{B}/whole", signed("PUT", f"/{B}/whole", content_length="2000000"), b"x" * 1_000_000, closes=True)
nothing_left("a torn overwrite")
assert s3.get_object(Bucket=B, Key="whole")["Body"].read() == b"whole"

# Lengths. Bytes beyond the length said are another request, and a bad one.
path = f"/{B}/length"
check((200, None), "PUT", path, signed("PUT", path, content_length="3"), b"abcdef")
assert s3.get_object(Bucket=B, Key="length")["Body"].read() == b"abc"
check((411, "MissingContentLength"), "PUT", path, {**signed("PUT", path), "transfer-encoding": "chunked"}, b"3\r\nabc\r\n0\r\n\r\n")
for length in ("-1", "abc", "1, 2"):
    status, _ = raw("PUT", path, {**signed("PUT", path), "content-length": length}, b"abc")
    assert status == 400, (length, status)


def chunked(data, trailer=b"", size=None):
    return f"{len(data) if size is None else size:x}\r\n".encode() + data + b"\r\n0\r\n" + trailer + b"\r\n"


def streaming(data, decoded, trailer, sha="STREAMING-UNSIGNED-PAYLOAD-TRAILER", size=None):
    body = chunked(data, trailer, size)
    more = {"x_amz_trailer": "x-amz-checksum-crc32"} if trailer else {}
    headers = signed("PUT", path, sha, content_length=str(len(body)), content_encoding="aws-chunked", x_amz_decoded_content_length=str(decoded), **more)
    return "PUT", path, headers, body


data = b"some data" * 20_000
crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big"))
good = b"x-amz-checksum-crc32:" + crc + b"\r\n"
check((200, None), *streaming(data, len(data), good))
check((400, "IncompleteBody"), *streaming(data, len(data) + 1, good))
check((400, "IncompleteBody"), *streaming(data, len(data) - 1, good))
check((400, "BadDigest"), *streaming(data, len(data), b"x-amz-checksum-crc32:AAAAAA==\r\n"))
check((400, "IncompleteBody"), *streaming(data, len(data), good, size=len(data) + 5))
assert s3.get_object(Bucket=B, Key="length")["Body"].read() == data
s3.delete_object(Bucket=B, Key="length")
nothing_left("what is deleted")

# Sums, in the two ways a body is taken in: held, and streamed to the disk.
for data in (b"small", b"large" * 100_000):
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    wrong = {"content_md5": base64.b64encode(bytes(16)).decode()}
    length = {"content_length": str(len(data))}
    put = lambda **headers: ("PUT", path, signed("PUT", path, **length, **headers), data)
    check((200, None), *put(content_md5=md5))
    check((400, "BadDigest"), *put(**wrong))
    check((400, "InvalidDigest"), *put(content_md5="not base64"))
    check((400, "InvalidDigest"), *put(content_md5="AAAA"))
    for name, value in (("crc32", bytes(4)), ("crc32c", bytes(4)), ("crc64nvme", bytes(8)), ("sha1", bytes(20)), ("sha256", bytes(32))):
        check((400, "BadDigest"), *put(**{f"x_amz_checksum_{name}": base64.b64encode(value).decode()}))
        check((400, "InvalidRequest"), *put(**{f"x_amz_checksum_{name}": "nonsense"}))
    other = hashlib.sha256(b"other").hexdigest()
    check((400, "XAmzContentSHA256Mismatch"), "PUT", path, signed("PUT", path, other, **length), data)
    assert s3.get_object(Bucket=B, Key="length")["Body"].read() == data
s3.delete_object(Bucket=B, Key="length")
nothing_left("wrong sums")

# Another time.
for minutes, expect in ((-14, (200, None)), (14, (200, None)), (-16, (403, "RequestTimeTooSkewed")), (16, (403, "RequestTimeTooSkewed"))):
    import botocore.auth

    class Skewed(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + datetime.timedelta(minutes=minutes)

        @classmethod
        def utcnow(cls):
            return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(minutes=minutes)

    now = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *a, **k: now(*a, **k) + datetime.timedelta(minutes=minutes)
    try:
        headers = signed("GET", f"/{B}/whole")
    finally:
        botocore.auth.get_current_datetime = now
    check(expect, "GET", f"/{B}/whole", headers, b"")

# Names.
AWKWARD = [
    " ", "  leading", "trailing ", "a/b", "a//b", "/slash", "//", "a/", ".", "..", "../x", "./x", "a/../b", "a/./b", "%", "%41", "%2F", "a%00b",
    "+", "a+b c", "&", "&amp;", "<x>", "\"quoted\"", "'", "\\", "a\\b", "?", "a?b=c", "#", "a#b", ":", "a:b", ";", "=", "@", "!", "*", "$", ",",
    "(x)", "[x]", "{x}", "|", "^", "`", "~", "ü", "u\u0308", "日本語", "🦀", "\u200b", "\u202e", "\ufeff", "\U0010ffff", "\t", "a\nb", "a\rb", "\x01", "\x7f", "\u0085",
    "x" * 1024, "é" * 512, "/".join("ab" * 250), "CON", "nul", "soap", "a.b.c", "versionId=null", "?uploads", "~user", "-rf", "null",
]
for n, key in enumerate(AWKWARD):
    s3.put_object(Bucket=B, Key="n/" + key if len(key.encode()) < 1000 else key, Body=str(n).encode())
prefixed = ["n/" + key if len(key.encode()) < 1000 else key for key in AWKWARD]
assert len(set(prefixed)) == len(prefixed)
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=B, PaginationConfig={"PageSize": 7})
listed = [found["Key"] for page in pages for found in page["Contents"]]
assert listed == sorted([*prefixed, "whole"], key=lambda key: key.encode()), set(prefixed) ^ set(listed)
for n, key in enumerate(prefixed):
    assert s3.get_object(Bucket=B, Key=key)["Body"].read() == str(n).encode(), key
    s3.copy_object(Bucket=B, Key="copied", CopySource={"Bucket": B, "Key": key})
    assert s3.get_object(Bucket=B, Key="copied")["Body"].read() == str(n).encode(), key
    assert s3.list_objects_v2(Bucket=B, Prefix=key)["Contents"][0]["Key"] == key
for key in ("x" * 1025, "é" * 513, "x" * 5000):
    refused("KeyTooLongError", s3.put_object, Bucket=B, Key=key, Body=b"")
check((400, "InvalidURI"), "GET", f"/{B}/%ff%fe", signed("GET", f"/{B}/%ff%fe"), b"")
for key in prefixed:
    s3.delete_object(Bucket=B, Key=key)
assert [found["Key"] for found in s3.list_objects_v2(Bucket=B)["Contents"]] == ["copied", "whole"]

# Listings while others write: what was there all the time is on every one, once and in order.
steady = [f"steady/{n:04}" for n in range(0, 300)]
for key in steady:
    s3.put_object(Bucket=B, Key=key, Body=b"")
ends = threading.Event()


def churn(name):
    while not ends.is_set():
        for n in range(0, 300, 3):
            s3.put_object(Bucket=B, Key=f"steady/{n:04}-{name}", Body=b"x")
            if ends.is_set():
                return
        for n in range(0, 300, 3):
            s3.delete_object(Bucket=B, Key=f"steady/{n:04}-{name}")


writers = [threading.Thread(target=churn, args=(name,)) for name in "ab"]
[writer.start() for writer in writers]
for kind in ("list_objects", "list_objects_v2", "list_objects_v2", "list_object_versions"):
    pages = s3.get_paginator(kind).paginate(Bucket=B, Prefix="steady/", PaginationConfig={"PageSize": 41})
    keys = [found["Key"] for page in pages for found in page.get("Contents", page.get("Versions", []))]
    assert keys == sorted(set(keys)), "once, and in order"
    assert [key for key in keys if key in set(steady)] == steady
ends.set()
[writer.join() for writer in writers]

# Many at one key: each is answered, and the last one stands; what they say of the object beside its bytes meets no refusal either.
one_try = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=64, s3={"addressing_style": "path"}))
wrong = []


def hammer(n):
    try:
        for turn in range(4):
            one_try.put_object(Bucket=B, Key="hot", Body=f"{n} {turn}".encode())
            one_try.put_object_tagging(Bucket=B, Key="hot", Tagging={"TagSet": [{"Key": "n", "Value": str(n)}]})
    except ClientError as error:
        wrong.append(error)


hammers = [threading.Thread(target=hammer, args=(n,)) for n in range(64)]
[one.start() for one in hammers]
[one.join() for one in hammers]
assert not wrong, wrong[:3]
assert s3.get_object(Bucket=B, Key="hot")["Body"].read().decode() in {f"{n} 3" for n in range(64)}
s3.delete_object(Bucket=B, Key="hot")

# Parts: as many as there may be, and not one more.
upload = s3.create_multipart_upload(Bucket=B, Key="many")["UploadId"]
for number in (0, 10_001, -1):
    refused("InvalidArgument", s3.upload_part, Bucket=B, Key="many", UploadId=upload, PartNumber=number, Body=b"x")
    refused("InvalidArgument", s3.upload_part_copy, Bucket=B, Key="many", UploadId=upload, PartNumber=number, CopySource={"Bucket": B, "Key": "whole"})
piece = os.urandom(5 * 1024 * 1024)
s3.put_object(Bucket=B, Key="piece", Body=piece)
numbers = [1, 2, 5000, 9999]
made = [(n, s3.upload_part_copy(Bucket=B, Key="many", UploadId=upload, PartNumber=n, CopySource={"Bucket": B, "Key": "piece"})["CopyPartResult"]["ETag"]) for n in numbers]
made.append((10_000, s3.upload_part(Bucket=B, Key="many", UploadId=upload, PartNumber=10_000, Body=b"end")["ETag"]))
parts = [{"PartNumber": number, "ETag": tag} for number, tag in made]
complete = lambda parts: {"Bucket": B, "Key": "many", "UploadId": upload, "MultipartUpload": {"Parts": parts}}
refused("InvalidPartOrder", s3.complete_multipart_upload, **complete(parts[::-1]))
refused("EntityTooSmall", s3.complete_multipart_upload, **complete([{"PartNumber": n, "ETag": s3.upload_part(Bucket=B, Key="many", UploadId=upload, PartNumber=n, Body=b"small")["ETag"]} for n in (3, 4)]))
s3.complete_multipart_upload(**complete(parts))
got = s3.get_object(Bucket=B, Key="many")
assert got["ContentLength"] == len(numbers) * len(piece) + 3 and got["ETag"].endswith(f'-{len(parts)}"')
hashed = hashlib.sha256(piece * len(numbers) + b"end").hexdigest()
assert hashlib.sha256(got["Body"].read()).hexdigest() == hashed
edge = 3 * len(piece)
assert s3.get_object(Bucket=B, Key="many", Range=f"bytes={edge - 2}-{edge + 1}")["Body"].read() == piece[-2:] + piece[:2]
for key in ("many", "piece"):
    s3.delete_object(Bucket=B, Key=key)
nothing_left("parts")
