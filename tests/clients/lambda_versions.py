"""boto3: versions, aliases, canaries, layers, logging, tenants and provisioned instances of a running cloud."""
import io
import json
import os
import time
import zipfile

import boto3
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/test"
lam, logs = boto3.client("lambda"), boto3.client("logs")


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            archive.writestr(info, text)
    return data.getvalue()


def create(name, text, **more):
    settings = {"Runtime": os.environ["RUNTIME"], "Handler": "app.handler", "Role": ROLE} | more
    return lam.create_function(FunctionName=name, Code={"ZipFile": zipped({"app.py": text})}, **settings)


def call(name, event=None, **more):
    answer = lam.invoke(FunctionName=name, Payload=json.dumps(event or {}), **more)
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload, answer["ExecutedVersion"]


def until(what, holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)


def refused(code, act):
    try:
        act()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error
    raise AssertionError(f"{code} was expected")


# Versions keep their code, aliases move, a canary takes its share.
VERSION = "import os\ndef handler(event, context):\n    return [{n}, os.environ['AWS_LAMBDA_FUNCTION_VERSION'], context.invoked_function_arn]\n"
create("v", VERSION.format(n=1), Publish=True)
lam.get_waiter("published_version_active").wait(FunctionName="v", Qualifier="1")
two = lam.update_function_code(FunctionName="v", ZipFile=zipped({"app.py": VERSION.format(n=2)}), Publish=True)
assert two["Version"] == "2", two
assert [v["Version"] for p in lam.get_paginator("list_versions_by_function").paginate(FunctionName="v") for v in p["Versions"]] == ["$LATEST", "1", "2"]
arn = lam.create_alias(FunctionName="v", Name="live", FunctionVersion="1")["AliasArn"]
assert call("v", Qualifier="1")[0][:2] == [1, "1"]
assert call("v:2")[0][:2] == [2, "2"]
assert call(arn) == ([1, "1", arn], "1")
assert call("v")[1] == "$LATEST"
lam.update_alias(FunctionName="v", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
seen = {call(arn)[1] for _ in range(40)}
assert seen == {"1", "2"}, seen
refused("ResourceConflictException", lambda: lam.delete_function(FunctionName="v", Qualifier="2"))
refused("ResourceNotFoundException", lambda: call("v:no"))

# Provisioned: there before the call.
lam.put_provisioned_concurrency_config(FunctionName="v", Qualifier="2", ProvisionedConcurrentExecutions=2)
get = lambda: lam.get_provisioned_concurrency_config(FunctionName="v", Qualifier="2")
until("two instances are ready", lambda: get()["Status"] == "READY")
assert get()["AvailableProvisionedConcurrentExecutions"] == 2

# A reservation is of all versions together.
lam.put_function_concurrency(FunctionName="v", ReservedConcurrentExecutions=0)
refused("TooManyRequestsException", lambda: call("v:1"))
lam.delete_function_concurrency(FunctionName="v")
assert call("v:1")[1] == "1"

# Layers at /opt, the later one on top.
layer = lambda name, files: lam.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(files)})["LayerVersionArn"]
lower = layer("lower", {"python/shared.py": "WHO = 'lower'", "python/only.py": "WHO = 'lower'", "bin/tool": "#!/bin/sh\necho tool"})
upper = layer("upper", {"python/shared.py": "WHO = 'upper'"})
LAYERED = "import only, shared, subprocess\ndef handler(e, c):\n    return [only.WHO, shared.WHO, subprocess.run(['tool'], capture_output=True, text=True).stdout]\n"
create("layered", LAYERED, Layers=[lower, upper])
assert call("layered")[0] == ["lower", "upper", "tool\n"]
lam.delete_layer_version(LayerName="lower", VersionNumber=1)
lam.update_function_configuration(FunctionName="layered", Timeout=9)
assert call("layered")[0][0] == "lower", "what a function uses it keeps"
wrapper = layer("wrapper", {"wrap": "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n"})
create("wrapped", "import os\ndef handler(e, c):\n    return os.environ.get('WRAPPED')\n", Layers=[wrapper], Environment={"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}})
assert call("wrapped")[0] == "yes"
boot = layer("boot", {"bootstrap": "#!/bin/sh\nexec /usr/bin/python3 /opt/serve.py\n", "serve.py": """
import json, os, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as event:
        id, tenant = event.headers["Lambda-Runtime-Aws-Request-Id"], event.headers["Lambda-Runtime-Aws-Tenant-Id"]
    urllib.request.urlopen(urllib.request.Request(api + id + "/response", json.dumps(["layer", tenant]).encode(), method="POST"))
"""})
create("custom", "", Runtime="provided.al2023", Layers=[boot], TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
assert call("custom", TenantId="blue")[0] == ["layer", "blue"]

# Tenants do not share instances.
create("tenants", "count = 0\ndef handler(e, context):\n    global count\n    count += 1\n    return [context.tenant_id, count]\n", TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
assert call("tenants", TenantId="a")[0] == ["a", 1]
assert call("tenants", TenantId="b")[0] == ["b", 1]
assert call("tenants", TenantId="a")[0] == ["a", 2]
refused("InvalidParameterValueException", lambda: call("tenants"))

# Lines as objects, and only those of the level.
TALKS = "import logging\nlog = logging.getLogger()\ndef handler(e, c):\n    log.info('quiet')\n    log.warning('loud')\n"
create("talks", TALKS, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "/mine/talks"})
call("talks")
events = lambda: [e["message"] for e in logs.filter_log_events(logGroupName="/mine/talks")["events"]]


def group_is_there():
    try:
        return any("platform.report" in e for e in events())
    except logs.exceptions.ResourceNotFoundException:
        return False


until("the report is in the log", group_is_there)
lines = [json.loads(line) for line in events()]
assert [line["message"] for line in lines if "level" in line] == ["loud"], lines
report = next(line for line in lines if line.get("type") == "platform.report")
assert report["record"]["status"] == "success" and report["record"]["metrics"]["billedDurationMs"] >= 1, report

# A generator answers piece by piece.
create("yields", "def handler(event, context):\n    yield 'one;'\n    yield b'two;'\n    yield {'three': 3}\n    if event.get('fail'):\n        raise ValueError('late')\n")
stream = lambda **event: list(lam.invoke_with_response_stream(FunctionName="yields", Payload=json.dumps(event))["EventStream"])
pieces = [e["PayloadChunk"]["Payload"] for e in stream() if "PayloadChunk" in e]
assert b"".join(pieces) == b'one;two;{"three": 3}\n', pieces
assert stream(fail=True)[-1]["InvokeComplete"]["ErrorCode"] == "ValueError"

# Its first piece is here while it runs: it goes on only when another function has made a file.
point = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"
mount = {"FileSystemConfigs": [{"Arn": point, "LocalMountPath": "/mnt/shared"}], "Timeout": 20}
create("waits", "import os, time\ndef handler(event, context):\n    yield 'one;'\n    while not os.path.exists('/mnt/shared/go'):\n        time.sleep(0.005)\n    yield 'two'\n", **mount)
create("goes-on", "def handler(event, context):\n    open('/mnt/shared/go', 'w').close()\n", **mount)
pieces = (e["PayloadChunk"]["Payload"] for e in lam.invoke_with_response_stream(FunctionName="waits")["EventStream"] if "PayloadChunk" in e)
assert next(pieces) == b"one;"
call("goes-on")
assert b"".join(pieces) == b"two"

# A configuration has the same digest in whatever version it is, and another one has another.
sha = lambda **more: lam.get_function_configuration(FunctionName="waits", **more)["ConfigSha256"]
before = sha()
version = lam.publish_version(FunctionName="waits")["Version"]
assert sha(Qualifier=version) == before
lam.update_function_configuration(FunctionName="waits", Timeout=21)
assert sha() != before and sha(Qualifier=version) == before
