"""Extensions in Python and JavaScript beside functions, through boto3: what they are told, in which order, and what becomes of
a function whose extension fails."""
import http.client
import io
import json
import os
import pathlib
import sys
import time
import zipfile

import boto3

FOLDER = pathlib.Path(__file__).parent / "extensions"
ROLE = "arn:aws:iam::000000000000:role/test"
functions = boto3.client("lambda")
logs = boto3.client("logs")


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            zipped.writestr(info, data)
    return out.getvalue()


def layer(*names):
    files = {f"extensions/{name}": (FOLDER / name).read_bytes() for name in names}
    made = functions.publish_layer_version(LayerName="-".join(names), Content={"ZipFile": archive(files)})
    return made["LayerVersionArn"]


def create(name, code, layers, variables=None, runtime=None, handler="app.handler", **more):
    functions.create_function(
        FunctionName=name, Runtime=runtime or os.environ["RUNTIME"], Role=ROLE, Handler=handler,
        Code={"ZipFile": archive(code)}, Layers=layers, Timeout=10,
        Environment={"Variables": variables or {}}, **more,
    )


def invoke(name, event=None):
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event or {}), LogType="Tail")
    return answer, json.loads(answer["Payload"].read())


def lines(name):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
    try:
        return [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def eventually(what, look):
    deadline = time.monotonic() + 20
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def told(name):
    """Types and records of the telemetry that the observer printed."""
    prefix = "OBSERVER GOT "
    got = [line[len(prefix):].split(" ", 1) for line in lines(name) if line.startswith(prefix)]
    return [(kind, json.loads(record)) for kind, record in got]


PYTHON = {"app.py": """
import os
def handler(event, context):
    print('handled', event['n'])
    if event['n'] < 0:
        os._exit(3)
    with open('/tmp/marks', 'a') as file:
        file.write('x')
    observed = len(open('/tmp/observed').read()) if os.path.exists('/tmp/observed') else 0
    return {'observed': observed, 'n': event['n'], 'api': os.environ['AWS_LAMBDA_RUNTIME_API']}
"""}


def beside(both):
    create("beside", PYTHON, [both])
    for n in range(3):
        answer, result = invoke("beside", {"n": n})
        assert "FunctionError" not in answer, result
        assert (result["n"], result["api"]) == (n, "127.0.0.1:9001"), result
    # Every invocation before this one was seen to its end.
    assert result["observed"] >= 2, result
    functions.update_function_configuration(FunctionName="beside", Description="another revision")
    eventually("the observer is told of the end", lambda: any("OBSERVER SHUTDOWN" in line for line in lines("beside")))
    said = lines("beside")
    registered = next(line for line in said if line.startswith("OBSERVER REGISTERED"))
    assert '"functionName": "beside"' in registered and '"accountId": "000000000000"' in registered, registered
    assert registered.endswith("handler: None"), registered
    ready = [line for line in said if line.startswith("EXTENSION\t")]
    assert sorted(ready) == [
        "EXTENSION\tName: counter\tState: Ready\tEvents: [INVOKE]",
        "EXTENSION\tName: observer\tState: Ready\tEvents: [INVOKE, SHUTDOWN]",
    ], ready
    assert [line for line in said if line.startswith("COUNTER")] == [f"COUNTER {n} INVOKE" for n in (1, 2, 3)], said
    ends = [json.loads(line.split(" ", 2)[2]) for line in said if line.startswith("OBSERVER SHUTDOWN")]
    assert [end["shutdownReason"] for end in ends] == ["spindown"] and ends[0]["deadlineMs"] > 0, ends
    invokes = [json.loads(line.split(" ", 2)[2]) for line in said if line.startswith("OBSERVER INVOKE")]
    assert all(event["invokedFunctionArn"].endswith(":function:beside") and event["requestId"] for event in invokes)
    assert invokes[0]["tracing"]["type"] == "X-Amzn-Trace-Id", invokes
    events = told("beside")
    kinds = [kind for kind, _ in events]
    first = ["platform.initStart", "platform.telemetrySubscription", "platform.initRuntimeDone"]
    assert [kind for kind in kinds if kind in first][:3] == first or kinds[0] == first[0], kinds
    for kind in ["platform.initReport", "platform.extension", "platform.start", "platform.runtimeDone", "platform.report"]:
        assert kind in kinds, (kind, kinds)
    assert [record for kind, record in events if kind == "function"] == [f"handled {n}" for n in range(3)], events
    reports = [record for kind, record in events if kind == "platform.report"]
    assert len(reports) == 3 and reports[0]["metrics"]["initDurationMs"] > 0 and reports[0]["status"] == "success", reports
    assert [span["name"] for span in reports[0]["spans"]] == ["extensionOverhead"], reports
    done = [record for kind, record in events if kind == "platform.runtimeDone"]
    assert [span["name"] for span in done[0]["spans"]] == ["responseLatency", "responseDuration"], done
    # What the handler answers, without blanks or with them.
    assert all(len(json.dumps(result, separators=(",", ":"))) <= one["metrics"]["producedBytes"] <= len(json.dumps(result)) for one in done), done
    traces = {record["tracing"]["value"] for kind, record in events if kind in ("platform.start", "platform.runtimeDone", "platform.report")}
    assert len(traces) == 3 and all(trace.startswith("Root=1-") for trace in traces), traces
    init = next(record for kind, record in events if kind == "platform.initReport")
    assert (init["status"], init["phase"], init["initializationType"]) == ("success", "init", "on-demand") and init["metrics"]["durationMs"] > 0
    begun = next(record for kind, record in events if kind == "platform.initStart")
    assert begun["functionName"] == "beside" and begun["instanceMaxMemory"] % (1 << 20) == 0 and begun["instanceId"], begun
    assert "platform.end" not in kinds
    instances = [line for line in lines("beside") if line.startswith("REPORT")]
    assert len(instances) == 3, instances


def older(both):
    create("older", PYTHON, [both], {"OBSERVER_SCHEMA": "2021-03-18"})
    invoke("older", {"n": 1})
    assert invoke("older", {"n": -1})[1]["errorType"] == "Runtime.ExitError"
    functions.update_function_configuration(FunctionName="older", Description="another revision")
    eventually("the Logs API tells of the end", lambda: any("OBSERVER SHUTDOWN" in line for line in lines("older")))

    def is_told():
        # Telemetry of an instance that ends has a moment, as on Lambda: on a busy machine one may be too late with it.
        if any(kind == "platform.fault" for kind, _ in told("older")):
            return True
        invoke("older", {"n": -1})
        return False

    eventually("the Logs API tells of the fault", is_told)
    kinds = [kind for kind, _ in told("older")]
    faults = [record for kind, record in told("older") if kind == "platform.fault"]
    assert all(fault.endswith("Error: Runtime exited with error: exit status 3") for fault in faults), faults
    for kind in ["platform.logsSubscription", "platform.start", "function", "platform.end", "platform.report"]:
        assert kind in kinds, (kind, kinds)
    assert not [kind for kind in kinds if kind.startswith("platform.init")], kinds


def failures(both):
    def check(name, variables, kind, layers=None):
        create(name, PYTHON, layers or [both], variables)
        answer, result = invoke(name, {"n": 0})
        assert answer["FunctionError"] == "Unhandled" and result["errorType"] == kind, result

    check("fails-init", {"OBSERVER_FAILS": "init"}, "Extension.InitError")
    broken = functions.publish_layer_version(
        LayerName="broken", Content={"ZipFile": archive({"extensions/none": "#!/no/such/interpreter\n"})}
    )
    check("no-launch", {}, "Extension.LaunchError", [broken["LayerVersionArn"]])
    # The function's own initialisation, of which the extension is told.
    create("breaks", {"app.py": "import none"}, [both])
    assert invoke("breaks")[1]["errorType"] == "Runtime.ImportModuleError"
    eventually("the extension is told", lambda: any(kind == "platform.initReport" for kind, _ in told("breaks")))
    init = next(record for kind, record in told("breaks") if kind == "platform.initReport")
    assert (init["status"], init["errorType"]) == ("error", "Runtime.ImportModuleError"), init
    assert any(line.startswith("INIT_REPORT Init Duration: ") and line.endswith("Status: error\tError Type: Runtime.ImportModuleError") for line in lines("breaks")), lines("breaks")
    # One that ends after the answer: the caller has it, and the next one meets a new instance.
    create("ends", PYTHON, [both], {"OBSERVER_FAILS": "invoke"})
    for n in range(2):
        answer, result = invoke("ends", {"n": n})
        if "FunctionError" in answer:
            assert result["errorType"] == "Extension.Crash", result
        else:
            assert result["n"] == n
    eventually("the crash is in the log", lambda: any("Extension.Crash" in line for line in lines("ends")))


def within():
    """Extensions of the runtime's own process: on a plain start, and where it would have been a clone."""
    code = {"app.py": """
import json, os, threading, urllib.request, urllib.error
API = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2020-01-01/extension/'
seen = []
def register(name, events):
    body = json.dumps({'events': events}).encode()
    return urllib.request.urlopen(urllib.request.Request(API + 'register', body, {'Lambda-Extension-Name': name}))
try:
    register('greedy', ['SHUTDOWN'])
except urllib.error.HTTPError as error:
    refused = [error.code, json.loads(error.read())['errorType']]
me = register('inner', ['INVOKE']).headers['Lambda-Extension-Identifier']
def loop():
    while True:
        request = urllib.request.Request(API + 'event/next', headers={'Lambda-Extension-Identifier': me})
        seen.append(json.loads(urllib.request.urlopen(request).read())['requestId'])
threading.Thread(target=loop, daemon=True).start()
def handler(event, context):
    return {'seen': seen[:], 'refused': refused}
"""}
    for mode in ("on", "runtime", "off"):
        create(f"within-{mode}", code, [], {"CUMULET_CLONE": mode})
        for n in range(3):
            answer, result = invoke(f"within-{mode}")
            assert "FunctionError" not in answer, (mode, result)
        assert result["refused"] == [403, "Extension.InvalidEventType"], result
        assert len(result["seen"]) >= 2, result


def program_layer(name, **others):
    """The tests' program in Rust as an extension of this name."""
    files = {f"extensions/{name}": pathlib.Path(os.environ["PROGRAM"]).read_bytes(), **others}
    made = functions.publish_layer_version(LayerName=name, Content={"ZipFile": archive(files)})
    return made["LayerVersionArn"]


def rust():
    """The crate lambda-extension, beside a function with the crate lambda_runtime."""
    program = {"bootstrap": pathlib.Path(os.environ["PROGRAM"]).read_bytes()}
    create("rust", program, [program_layer("rust-extension")], runtime="provided.al2023")
    for n in range(2):
        answer, result = invoke("rust", {"n": n})
        assert "FunctionError" not in answer and result["echo"]["n"] == n, result
    functions.update_function_configuration(FunctionName="rust", Description="another revision")
    eventually("the end is told", lambda: any(line == "RUST SHUTDOWN SPINDOWN" or line == "RUST SHUTDOWN spindown" for line in lines("rust")))
    said = lines("rust")
    assert len([line for line in said if line.startswith("RUST INVOKE")]) == 2, said
    assert len([line for line in said if line.startswith("RUST TELEMETRY report")]) == 2, said


def over_url(name, path, method="GET", body=None):
    made = functions.create_function_url_config(FunctionName=name, AuthType="NONE")
    functions.add_permission(
        FunctionName=name, StatementId="all", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE"
    )
    host = made["FunctionUrl"].split("//")[1].strip("/")
    door = os.environ["AWS_ENDPOINT_URL"].split("//")[1]
    connection = http.client.HTTPConnection(door, timeout=30)
    connection.request(method, path, body, {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def web():
    """A plain web server that knows nothing of Lambda, behind an extension that is its runtime."""
    wrapper = """#!/bin/sh
cd "$LAMBDA_TASK_ROOT" && exec "./$_HANDLER"
"""
    code = {
        "run.sh": "#!/bin/sh\nexec node server.js\n",
        "server.js": """
require('node:http').createServer((request, response) => {
  let body = '';
  request.on('data', (piece) => { body += piece; });
  request.on('end', () => {
    console.log('SERVED', request.url);
    response.writeHead(request.url === '/no' ? 404 : 200);
    response.end(`${request.method} ${request.url} ${body}`);
  });
}).listen(8080, '127.0.0.1');
""",
    }
    adapter = program_layer("web-adapter", bootstrap=wrapper)
    create(
        "web", code, [adapter], {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap"}, os.environ["NODE_RUNTIME"], "run.sh"
    )
    assert over_url("web", "/orders?n=1", "POST", "some") == (200, "POST /orders?n=1 some")
    answer, _ = invoke("web", {
        "version": "2.0", "rawPath": "/no", "rawQueryString": "", "headers": {"host": "x"}, "isBase64Encoded": False,
        "requestContext": {"http": {"method": "GET", "path": "/no"}, "domainName": "x", "stage": "$default"},
    })
    assert "FunctionError" not in answer, answer
    eventually("the server's lines are in the log", lambda: any(line == "SERVED /no" for line in lines("web")))


def crate_http():
    """The crate lambda_http behind a function URL."""
    program = {"bootstrap": pathlib.Path(os.environ["PROGRAM"]).read_bytes()}
    create("greeter", program, [], {"ROLE": "http"}, "provided.al2023")
    status, text = over_url("greeter", "/a/b?who=you", "POST", '{"x":1}')
    answer = json.loads(text)
    assert (status, answer["hello"], answer["path"]) == (200, "you", "/a/b"), (status, text)


both = layer("observer", "counter")
{"rust": rust, "web": web, "crate_http": crate_http, "beside": lambda: beside(both), "older": lambda: older(both), "failures": lambda: failures(both), "within": within}[sys.argv[1]]()
