"""Functions that use the libraries people use, in JavaScript and in Python, deployed with boto3 as they are."""
import http.client
import io
import json
import os
import pathlib
import sys
import time
import zipfile

import boto3

FOLDER = pathlib.Path(__file__).parent / "functions"
functions = boto3.client("lambda")
logs = boto3.client("logs")
# The platform brings these, and a debugger is not wanted.
LEFT_OUT = {"botocore", "boto3", "s3transfer", "bin", "debugpy"}


def archive(app, packages, prefix=""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        zipped.write(FOLDER / "apps" / app, app)
        for path in sorted((FOLDER / packages).rglob("*")):
            name = path.relative_to(FOLDER / packages)
            if path.is_file() and name.parts[0] not in LEFT_OUT and "__pycache__" not in name.parts:
                zipped.write(path, f"{prefix}{name}")
    return out.getvalue()


def create(name, runtime, handler, zipped, **variables):
    functions.create_function(
        FunctionName=name, Runtime=runtime, Role="arn:aws:iam::000000000000:role/table", Handler=handler,
        Code={"ZipFile": zipped}, Timeout=30, MemorySize=512, Environment={"Variables": variables},
    )


def invoke(name, event):
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event))
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return result


def lines(name):
    return [event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]


def eventually(what, look):
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def table():
    boto3.client("iam").create_role(RoleName="table", AssumeRolePolicyDocument=json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }))
    boto3.client("iam").put_role_policy(RoleName="table", PolicyName="all", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}],
    }))
    dynamodb = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName="idempotency", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    dynamodb.get_waiter("table_exists").wait(TableName="idempotency", WaiterConfig={"Delay": 1})


def powertools(name, runtime, handler, zipped):
    create(name, runtime, handler, zipped)
    first = invoke(name, {"order": "a"})
    # Asked again, the answer comes from the table.
    assert invoke(name, {"order": "a"}) == first
    assert invoke(name, {"order": "b"})["order"] == "b"

    def objects():
        found = []
        for line in lines(name):
            try:
                found.append(json.loads(line))
            except ValueError:
                pass
        return [one for one in found if isinstance(one, dict)]

    eventually("all is logged", lambda: sum(1 for one in objects() if one.get("message") == "ordered") == 2)
    said = [one for one in objects() if one.get("message") == "ordered"]
    assert {one["order"] for one in said} == {"a", "b"}, said
    assert all(one["function_name"] == name and one["function_request_id"] and one["service"] == "orders" for one in said)
    assert all(one["xray_trace_id"] for one in said), said
    measured = [one for one in objects() if "_aws" in one]
    orders = [one for one in measured if "orders" in one]
    assert len(orders) == 2 and orders[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "shop", measured
    assert [one for one in measured if "ColdStart" in one], measured
    return first


def over_url(name, path, method="GET", body=None):
    url = functions.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    functions.add_permission(
        FunctionName=name, StatementId="all", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE"
    )
    host = url.split("//")[1].strip("/")

    def request(path, method="GET", body=None):
        connection = http.client.HTTPConnection(os.environ["AWS_ENDPOINT_URL"].split("//")[1], timeout=60)
        connection.request(method, path, body, {"Host": host, "Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    return request


def site(name, expect_binary):
    request = over_url(name, "/")
    status, headers, body = request("/orders/7?q=x", "POST", '{"amount":3}')
    answer = json.loads(body)
    assert (status, answer["id"], answer["q"]) == (201, answer["id"], "x") and str(answer["id"]) == "7", (status, body)
    assert {key.lower(): value for key, value in headers.items()}["x-kept"] == "yes", headers
    assert request("/else")[0] == 404
    if expect_binary:
        assert request("/binary")[2] == bytes([0, 255, 128])


def javascript():
    runtime = os.environ["NODE_RUNTIME"]
    table()
    zipped = archive("powertools.js", "node_modules", "node_modules/")
    first = powertools("powertools-js", runtime, "powertools.handler", zipped)
    assert first["traced"], first
    zipped = archive("express.js", "node_modules", "node_modules/")
    for name in ("http", "vendia"):
        create(f"express-{name}", runtime, f"express.{name}", zipped)
        site(f"express-{name}", True)


def python():
    runtime = os.environ["RUNTIME"]
    table()
    powertools("powertools-py", runtime, "powertools_app.handler", archive("powertools_app.py", "python"))
    create("fastapi", runtime, "web.handler", archive("web.py", "python"))
    site("fastapi", False)


{"javascript": javascript, "python": python}[sys.argv[1]]()
