"""Kinds of functions beside zips in Node.js and Python: container images, functions with files of their own, Ruby, a program in C; and what
the operator sets."""
import io
import json
import os
import pathlib
import subprocess
import sys
import zipfile

import boto3
from botocore.exceptions import ClientError

import images

ROLE = "arn:aws:iam::000000000000:role/test"
functions = boto3.client("lambda")


def archive(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o755 << 16
            zipped.writestr(info, data)
    return out.getvalue()


def invoke(name, event=None, fails=False):
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event or {}))
    result = json.loads(answer["Payload"].read())
    assert ("FunctionError" in answer) == fails, result
    return result


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{arguments} was taken")


def image():
    folder = pathlib.Path(os.environ["IMAGES"])
    wanted = images.layout(folder / "app")
    (folder / "team").mkdir()
    images.saved(folder / "team" / "saved.tar")
    host = "000000000000.dkr.ecr.us-east-1.amazonaws.com"

    def create(name, uri, **more):
        return functions.create_function(
            FunctionName=name, Role=ROLE, PackageType="Image", Code={"ImageUri": uri}, Timeout=20, MemorySize=256, **more
        )

    made = create("layout", f"{host}/app:v1")
    assert (made["PackageType"], made.get("Runtime"), made.get("Handler")) == ("Image", None, None), made
    functions.get_waiter("function_active_v2").wait(FunctionName="layout", WaiterConfig={"Delay": 1})
    code = functions.get_function(FunctionName="layout")["Code"]
    assert code["RepositoryType"] == "ECR" and code["ImageUri"] == f"{host}/app:v1", code
    assert code["ResolvedImageUri"] == f"{host}/app@{wanted}", code

    def look(name, path):
        return invoke(name, {"look": path})

    seen = look("layout", "/data/kept")
    assert seen == {
        "text": "kept", "directory": "/work", "arguments": ["/bin/function", "of", "image"], "variable": "yes",
        "written": False,
    }, seen
    assert look("layout", "/data/gone")["text"] is None and look("layout", "/data/old/file")["text"] is None
    assert look("layout", "/data/old/new")["text"] == "new"
    assert look("layout", "/etc/passwd")["text"] is None, "the host's files are not the image's"
    # The image says another, as whom nothing runs on Lambda either.
    assert "Uid:\t0\t" not in look("layout", "/proc/self/status")["text"]
    # What the archive held stays when it is gone.
    for path in sorted((folder / "app").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    functions.update_function_configuration(
        FunctionName="layout", ImageConfig={"Command": ["mine"], "WorkingDirectory": "/data"}, MemorySize=300,
        Environment={"Variables": {"OF_IMAGE": "mine"}},
    )
    seen = look("layout", "/nothing")
    assert (seen["directory"], seen["arguments"][1:], seen["variable"]) == ("/data", ["mine"], "mine"), seen
    shown = functions.get_function_configuration(FunctionName="layout")["ImageConfigResponse"]["ImageConfig"]
    assert shown == {"Command": ["mine"], "WorkingDirectory": "/data"}, shown
    functions.update_function_code(FunctionName="layout", ImageUri="team/saved")
    assert look("layout", "/data/old/new")["text"] == "new"
    version = functions.publish_version(FunctionName="layout")["Version"]
    assert invoke(f"layout:{version}", {"look": "/data/kept"})["text"] == "kept"
    invalid = "InvalidParameterValueException"
    for uri in ("none:v1", "app:v2", f"{host}/team/saved:other", f"team/saved@sha256:{'0' * 64}"):
        assert "does not exist" in refused(invalid, create, name="no", uri=uri)
    for uri in ("../secret", "/etc/passwd", "app:", f"{host}/app@sha256:0"):
        assert "is not valid" in refused(invalid, create, name="no", uri=uri)
    refused(invalid, create, name="no", uri="team/saved", Layers=["arn:aws:lambda:us-east-1:000000000000:layer:x:1"])
    refused(invalid, functions.update_function_code, FunctionName="layout", ZipFile=archive({"a": ""}))
    refused(invalid, functions.update_function_configuration, FunctionName="layout", Handler="a.b")


POINT = "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0"


def files(step):
    code = archive({"app.py": """
import os
def handler(event, context):
    path = '/mnt/shared/' + event['file']
    if 'text' in event:
        with open(path, 'a') as file:
            file.write(event['text'])
    return open(path).read() if os.path.exists(path) else None
"""})
    mount = [{"Arn": POINT, "LocalMountPath": "/mnt/shared"}]
    if step == "before":
        for name in ("one", "two"):
            made = functions.create_function(
                FunctionName=name, Runtime=os.environ["RUNTIME"], Role=ROLE, Handler="app.handler", Code={"ZipFile": code},
                FileSystemConfigs=mount, Timeout=10,
            )
            assert made["FileSystemConfigs"] == mount, made
        assert invoke("one", {"file": "a", "text": "1"}) == "1"
        assert invoke("two", {"file": "a", "text": "2"}) == "12"
        invalid = "ValidationException"
        for wrong in (
            [{"Arn": POINT, "LocalMountPath": "/var/x"}], [{"Arn": POINT, "LocalMountPath": "/mnt/a/b"}],
            [{"Arn": POINT, "LocalMountPath": "/mnt/.."}], [{"Arn": POINT[:-1], "LocalMountPath": "/mnt/x"}], mount * 2,
        ):
            refused(invalid, functions.update_function_configuration, FunctionName="one", FileSystemConfigs=wrong)
        return
    assert invoke("two", {"file": "a"}) == "12"
    functions.update_function_configuration(FunctionName="two", FileSystemConfigs=[])
    assert "FileSystemConfigs" not in functions.get_function_configuration(FunctionName="two")
    assert invoke("two", {"file": "a"}) is None


def ruby():
    code = archive({
        "app.rb": """
require 'json'
require_relative 'lib/helper'
def handler(event:, context:)
  puts "asked for #{event['what']}"
  raise ArgumentError, 'no' if event['what'] == 'fail'
  { what: event['what'], id: context.aws_request_id, left: context.get_remaining_time_in_millis > 0,
    name: context.function_name, helped: helped('ü') }
end
module Deep
  class Here
    def self.process(event:, context:)
      [event, context.memory_limit_in_mb]
    end
  end
end
""",
        "lib/helper.rb": "def helped(text)\n  text * 2\nend\n",
    })

    def create(name, handler):
        functions.create_function(
            FunctionName=name, Runtime="ruby3.3", Role=ROLE, Handler=handler, Code={"ZipFile": code}, Timeout=10
        )

    create("plain", "app.handler")
    for what in ("one", "two"):
        got = invoke("plain", {"what": what})
        assert (got["what"], got["left"], got["name"], got["helped"]) == (what, True, "plain", "üü"), got
    error = invoke("plain", {"what": "fail"}, fails=True)
    assert (error["errorType"], error["errorMessage"]) == ("Function<ArgumentError>", "no") and error["stackTrace"], error
    assert invoke("plain", {"what": "three"})["what"] == "three"
    create("deep", "app.Deep::Here.process")
    assert invoke("deep", {"a": [1, None]}) == [{"a": [1, None]}, 128]
    for name, handler in (("no-file", "none.handler"), ("no-method", "app.none"), ("no-form", "handler")):
        create(name, handler)
        error = invoke(name, {}, fails=True)
        assert error["errorType"].startswith("Init<"), error


def limits():
    def create(name, seconds):
        functions.create_function(
            FunctionName=name, Runtime=os.environ["RUNTIME"], Role=ROLE, Handler="app.handler", Timeout=seconds,
            Code={"ZipFile": archive({"app.py": "def handler(event, context):\n    return context.get_remaining_time_in_millis()\n"})},
        )

    create("long", 5000)
    assert 900_000 < invoke("long") <= 5_000_000
    assert "less than or equal to 5000" in refused("ValidationException", create, name="no", seconds=5001)
    functions.publish_version(FunctionName="long")
    functions.put_function_scaling_config(
        FunctionName="long", Qualifier="1", FunctionScalingConfig={"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 2}
    )
    shown = functions.get_function_scaling_config(FunctionName="long", Qualifier="1")
    assert shown["AppliedFunctionScalingConfig"] == {"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 2}, shown
    assert 900_000 < invoke("long:1")
    functions.put_function_scaling_config(
        FunctionName="long", Qualifier="1", FunctionScalingConfig={"MaxExecutionEnvironments": 0}
    )
    refused("TooManyRequestsException", functions.invoke, FunctionName="long", Qualifier="1")


def compiled():
    """Any program that speaks to the Runtime API is a function."""
    program = pathlib.Path(os.environ["FOLDER"]) / "bootstrap"
    source = pathlib.Path(__file__).with_name("bootstrap.c")
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    for runtime in ("provided.al2", "provided.al2023"):
        name = runtime.replace(".", "-")
        functions.create_function(
            FunctionName=name, Runtime=runtime, Role=ROLE, Handler="any.thing", Code={"ZipFile": archive({"bootstrap": program.read_bytes()})},
        )
        for n in range(1, 4):
            assert invoke(name, {"n": n}) == {"count": n, "handler": "any.thing", "event": {"n": n}}


part, *rest = sys.argv[1:]
{"image": image, "compiled": compiled, "files": files, "ruby": ruby, "limits": limits}[part](*rest)
