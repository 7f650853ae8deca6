"""Kinds of functions beside zips in Node.js and Python: container images, functions with files of their own, Ruby; and what
the operator sets. The image is built here, as builders build it."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

import boto3
from botocore.exceptions import ClientError

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


def tar_of(items):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data, mode in items:
            info = tarfile.TarInfo(name)
            info.mode = mode
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif isinstance(data, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, data[0]
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layers():
    """A program with the libraries it is linked to, and a layer that takes away and adds."""
    program = pathlib.Path(os.environ["PROGRAM"])
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = sorted(set(re.findall(r"(/\S+\.so\S*)", listed)))
    base = [("usr/bin/function", program.read_bytes(), 0o755), ("bin", ("usr/bin",), 0o777)]
    base += [(path.lstrip("/"), pathlib.Path(path).read_bytes(), 0o755) for path in libraries]
    base += [("data/kept", b"kept", 0o600), ("data/gone", b"gone", 0o644), ("data/old/file", b"old", 0o644)]
    above = [("data/.wh.gone", b"", 0o644), ("data/old/.wh..wh..opq", b"", 0o644), ("data/old/new", b"new", 0o644)]
    above += [("work", None, 0o755), ("opt/extensions/observer", b"#!/no/such\n", 0o755), ("opt/extensions/.wh.observer", b"", 0o644)]
    # The extension is taken away again, by a third layer.
    return [tar_of(base), tar_of(above[:-1]), tar_of(above[-1:])]


def digest(data):
    return hashlib.sha256(data).hexdigest()


CONFIGURATION = {
    "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
    "os": "linux",
    "config": {"Entrypoint": ["function"], "Cmd": ["of", "image"], "WorkingDir": "/work", "Env": ["PATH=/bin", "OF_IMAGE=yes"]},
    "rootfs": {"type": "layers", "diff_ids": []},
}


def layout(folder):
    """An OCI layout, its layers packed."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data, kind):
        (blobs / digest(data)).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest(data)}", "size": len(data)}

    kind = "application/vnd.oci.image."
    packed = [blob(gzip.compress(layer, 1), kind + "layer.v1.tar+gzip") for layer in layers()]
    configuration = blob(json.dumps(CONFIGURATION).encode(), kind + "config.v1+json")
    manifest = {"schemaVersion": 2, "config": configuration, "layers": packed}
    named = blob(json.dumps(manifest).encode(), kind + "manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return named["digest"]


def saved(path):
    """An archive as `docker save` writes it."""
    configuration = json.dumps(CONFIGURATION).encode()
    items = [(f"{digest(configuration)}.json", configuration, 0o644)]
    names = []
    for layer in layers():
        names.append(f"{digest(layer)}/layer.tar")
        items.append((names[-1], layer, 0o644))
    manifest = [{"Config": f"{digest(configuration)}.json", "RepoTags": ["team/saved:latest"], "Layers": names}]
    path.write_bytes(tar_of(items + [("manifest.json", json.dumps(manifest).encode(), 0o644)]))


def image():
    folder = pathlib.Path(os.environ["IMAGES"])
    wanted = layout(folder / "app")
    (folder / "team").mkdir()
    saved(folder / "team" / "saved.tar")
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
    for uri in ("none:v1", "app:v2", "../secret", f"{host}/team/saved:other"):
        assert "does not exist" in refused(invalid, create, name="no", uri=uri)
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


part, *rest = sys.argv[1:]
{"image": image, "files": files, "ruby": ruby, "limits": limits}[part](*rest)
