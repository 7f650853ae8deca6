"""Browsers' forms: what they answer, what is refused, and that files stream. Argument: the pid of the cloud."""
import base64, boto3, http.client, json, re, sys, threading, urllib.parse
from botocore.config import Config

PATHS = Config(s3={"addressing_style": "path"}, signature_version="s3v4")
s3 = boto3.client("s3", config=PATHS)
B = "forms"
s3.create_bucket(Bucket=B)
host = urllib.parse.urlparse(s3.meta.endpoint_url).netloc


def body_of(fields, content=b"posted", name="f.txt"):
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n' for field, value in fields.items()]
    head = f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    return "".join([*parts, head]).encode() + content + b"\r\n--edge--\r\n"


def send(body, bucket=B):
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("POST", f"/{bucket}", body, {"content-type": "multipart/form-data; boundary=edge"})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def form(key, client=s3, conditions=(), content=b"posted", **fields):
    """Signed for the fields that it has."""
    allowed = [*conditions, *({name: value} for name, value in fields.items())]
    made = client.generate_presigned_post(B, key, Fields=fields, Conditions=allowed)
    return body_of(made["fields"], content)


def code(answer):
    return f"{answer[0]} " + answer[2].partition("<Code>")[2].partition("</Code>")[0]


# What is answered.
status, headers, text = send(form("plain"))
tag = s3.head_object(Bucket=B, Key="plain")["ETag"]
assert (status, text, headers["etag"], headers["location"]) == (204, "", tag, f"http://{host}/{B}/plain"), (status, headers, text)
assert send(form("ok", success_action_status="200"))[::2] == (200, "")
status, _, text = send(form("a b&c", success_action_status="201"))
assert status == 201, text
told = dict(re.findall(r"<(Location|Bucket|Key|ETag)>([^<]*)</", text))
assert told == {"Location": f"http://{host}/{B}/a%20b%26c", "Bucket": B, "Key": "a b&amp;c", "ETag": tag.replace('"', "&quot;")}, text
status, headers, _ = send(form("moved", success_action_redirect="http://example.com/done?x=1"))
query = urllib.parse.parse_qs(urllib.parse.urlparse(headers["location"]).query)
assert (status, query) == (303, {"x": ["1"], "bucket": [B], "key": ["moved"], "etag": [tag]}), headers
assert send(form("no address", success_action_redirect="nowhere"))[0] == 204

# What an object gets from its fields.
tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"
fields = {"Content-Type": "text/x", "Cache-Control": "no-store", "x-amz-meta-Name": "value", "tagging": tagging, "x-amz-storage-class": "STANDARD_IA"}
assert send(form("full/${filename}", **fields))[0] == 204
found = s3.get_object(Bucket=B, Key="full/f.txt")
assert (found["ContentType"], found["CacheControl"], found["Metadata"], found["StorageClass"]) == ("text/x", "no-store", {"name": "value"}, "STANDARD_IA"), found
assert found["Body"].read() == b"posted"
assert s3.get_object_tagging(Bucket=B, Key="full/f.txt")["TagSet"] == [{"Key": "a", "Value": "b c"}]
older = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, signature_version="s3"))
made = older.generate_presigned_post(B, "older")["fields"]
assert "signature" in made and send(body_of(made))[0] == 204
assert code(send(body_of({**made, "signature": "AAAA"}))) == "403 SignatureDoesNotMatch"

# What is refused.
made = s3.generate_presigned_post(B, "x")["fields"]
without = lambda name: {field: value for field, value in made.items() if field != name}
policy = lambda text: base64.b64encode(text.encode()).decode()
for wanted, body in {
    "403 AccessDenied": body_of({**made, "x-amz-meta-extra": "1"}),
    "400 InvalidArgument": body_of(without("key")),
    "400 InvalidArgument ": body_of(without("policy")),
    "400 InvalidArgument  ": body_of(without("x-amz-credential")),
    "400 InvalidArgument   ": body_of({**made, "x-amz-date": "19990101T000000Z"}),
    "400 InvalidPolicyDocument": body_of({**made, "policy": policy("[")}),
    "400 InvalidPolicyDocument ": body_of({**made, "policy": policy('{"expiration": "soon", "conditions": []}')}),
    "400 MalformedPOSTRequest": b"--other\r\n",
    "400 MalformedPOSTRequest ": body_of(made)[:-20],
    "400 IncorrectNumberOfFilesInPostRequest": body_of(made).partition(b'--edge\r\nContent-Disposition: form-data; name="file"')[0] + b"--edge--\r\n",
    "400 MaxPostPreDataLengthExceededError": body_of({**made, "x-ignore-it": "x" * 20_000}),
    "400 BadDigest": form("x", **{"Content-MD5": base64.b64encode(b"0" * 16).decode()}),
    "400 EntityTooLarge": form("x", conditions=[["content-length-range", 0, 5]]),
    "400 EntityTooSmall": form("x", conditions=[["content-length-range", 7, 9]]),
    "501 NotImplemented": form("x", **{"x-amz-server-side-encryption": "aws:fsx"}),
    "400 InvalidTag": form("x", tagging="<Tagging><TagSet><Tag><Key>aws:x</Key><Value>b</Value></Tag></TagSet></Tagging>"),
    "400 MalformedXML": form("x", tagging="<Tag"),
}.items():
    seen = code(send(body))
    assert seen == wanted.strip(), (wanted, seen, body)
assert code(send(body_of({"key": "x"}))) == "403 AccessDenied"
assert code(send(form("x"), "no-such-bucket")) == "403 AccessDenied", "the policy is another bucket's"
assert not [o for o in s3.list_objects_v2(Bucket=B)["Contents"] if o["Key"] == "x"]

# Everyone's, where the bucket lets them.
s3.delete_public_access_block(Bucket=B)
allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{B}/everyones/*"}
s3.put_bucket_policy(Bucket=B, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
assert send(body_of({"key": "everyones/a"}))[0] == 204
assert code(send(body_of({"key": "mine/a"}))) == "403 AccessDenied"

# Who may not is told before the file has come.
body = body_of({**made, "key": "another"}, b"x" * 2**20)
connection = http.client.HTTPConnection(host, timeout=60)
connection.putrequest("POST", f"/{B}")
connection.putheader("content-type", "multipart/form-data; boundary=edge")
connection.putheader("content-length", str(2**40))
connection.endheaders()
connection.send(body)
answer = connection.getresponse()
assert answer.status == 403 and b"Policy Condition failed" in answer.read()


# Files stream: many at a time, all of them under way, in the memory of a few pieces each.
def memory_kb(what):
    return int(re.search(rf"{what}:\s+(\d+)", open(f"/proc/{sys.argv[1]}/status").read())[1])


MANY, SIZE = 16, 24 * 2**20
before = memory_kb("VmRSS")
ready, go, answers = threading.Barrier(MANY + 1, timeout=60), threading.Event(), {}


def stream(n):
    content = bytes([n]) * SIZE
    body = form(f"streamed/{n}", conditions=[["content-length-range", SIZE, SIZE]], content=content)
    connection = http.client.HTTPConnection(host, timeout=120)
    connection.putrequest("POST", f"/{B}")
    connection.putheader("content-type", "multipart/form-data; boundary=edge")
    connection.putheader("content-length", str(len(body)))
    connection.endheaders()
    for at in range(0, len(body) - 100, 2**16):
        connection.send(body[at:min(at + 2**16, len(body) - 100)])
    ready.wait()
    go.wait()
    connection.send(body[-100:])
    answers[n] = connection.getresponse().status


threads = [threading.Thread(target=stream, args=(n,)) for n in range(MANY)]
for thread in threads:
    thread.start()
ready.wait()
grown = memory_kb("VmHWM") - before
go.set()
for thread in threads:
    thread.join()
assert answers == {n: 204 for n in range(MANY)}, answers
for n in range(MANY):
    assert s3.get_object(Bucket=B, Key=f"streamed/{n}")["Body"].read() == bytes([n]) * SIZE, n
assert grown < MANY * SIZE // 1024 // 3, f"{grown} KiB for {MANY} forms of {SIZE} bytes"
