"""What functions do wrong, as Lambda's error types say it."""
import io
import json
import os
import zipfile

import boto3

functions = boto3.client("lambda")
NODE, PYTHON = os.environ["NODE"], os.environ["PYTHON"]


def check(runtime, handler, name, text, kind, part, mode=0o755):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, text)
    made = functions.create_function(
        FunctionName=f"f{check.count}", Runtime=runtime, Handler=handler, Timeout=2, Code={"ZipFile": out.getvalue()},
        Role="arn:aws:iam::000000000000:role/test",
    )
    check.count += 1
    answer = functions.invoke(FunctionName=made["FunctionName"], Payload="{}")
    error = json.loads(answer["Payload"].read())
    assert answer.get("FunctionError") == "Unhandled", (name, text, error)
    assert error["errorType"] == kind and part in error["errorMessage"], (name, text, error)


check.count = 0
check(NODE, "index.handler", "index.js", "exports.handler = async () => { throw new TypeError('no') }", "TypeError", "no")
check(NODE, "index.handler", "other.js", "", "Runtime.ImportModuleError", "Cannot find module 'index'")
check(NODE, "index.handler", "index.js", "exports.handler = (", "Runtime.UserCodeSyntaxError", "SyntaxError")
check(NODE, "index.nope", "index.js", "exports.handler = 1", "Runtime.HandlerNotFound", "index.nope is undefined or not exported")
forever = "exports.handler = () => new Promise(() => setTimeout(() => {}, 60000))"
check(NODE, "index.handler", "index.js", forever, "Sandbox.Timedout", "Task timed out after 2.00 seconds")
check(NODE, "index.handler", "index.js", "exports.handler = async () => process.exit(7)", "Runtime.ExitError", "exit status 7")
check(PYTHON, "app.handler", "app.py", "def handler(e, c):\n    raise ValueError('no')\n", "ValueError", "no")
check(PYTHON, "app.handler", "app.py", "import absent\n", "Runtime.ImportModuleError", "No module named 'absent'")
check(PYTHON, "app.handler", "app.py", "def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'")
check(PYTHON, "app.nope", "app.py", "x = 1\n", "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'app'")
PROVIDED, ENTRY = "provided.al2023", "Runtime.InvalidEntrypoint"
check(PROVIDED, "x", "other", "", ENTRY, "Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]")
check(PROVIDED, "x", "bootstrap", "#!/bin/sh\n", ENTRY, "Error: fork/exec /var/task/bootstrap: permission denied", 0o644)
check(PROVIDED, "x", "bootstrap", "#!/no/such\n", ENTRY, "Error: fork/exec /var/task/bootstrap: no such file or directory")
check(PROVIDED, "x", "bootstrap", "no program", ENTRY, "Error: fork/exec /var/task/bootstrap: exec format error")
check(PROVIDED, "x", "bootstrap", "#!/bin/sh\nexit 3\n", "Runtime.ExitError", "exit status 3")
check(PROVIDED, "x", "bootstrap", "#!/bin/sh\n", "Runtime.ExitError", "Runtime exited without providing a reason")
