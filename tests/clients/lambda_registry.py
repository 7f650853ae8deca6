"""Container images from a registry: fetched with and without credentials, held against their digests, and what is refused."""
import base64
import io
import json
import os
import pathlib
import tarfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import images

FOLDER = pathlib.Path(os.environ["FOLDER"])
HOST = os.environ["REGISTRY"]
# What the registry is too busy for is answered as on AWS, and tried again by clients; here it is looked at.
functions = boto3.client("lambda", config=Config(retries={"total_max_attempts": 1}))
KIND = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


class Repository:
    def __init__(self, name):
        self.name, self.folder = name, FOLDER / name
        for part in ("blobs", "manifests"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)

    def blob(self, data, kind, stored=None):
        wanted = f"sha256:{images.digest(data)}"
        (self.folder / "blobs" / wanted).write_bytes(data if stored is None else stored)
        return {"mediaType": kind, "digest": wanted, "size": len(data)}

    def manifest(self, document, *tags):
        data = json.dumps(document).encode()
        wanted = f"sha256:{images.digest(data)}"
        for reference in (wanted, *tags):
            (self.folder / "manifests" / reference).write_bytes(data)
        return {"mediaType": document.get("mediaType", ""), "digest": wanted, "size": len(data)}

    def image(self, layers, *tags, docker=False, **configuration):
        document = json.dumps({**images.CONFIGURATION, **configuration}).encode()
        config = self.blob(document, DOCKER + "container.image.v1+json" if docker else KIND + "config.v1+json")
        kind = DOCKER + "distribution.manifest.v2+json" if docker else KIND + "manifest.v1+json"
        return self.manifest({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}, *tags)


GZIP, ZSTD, PLAIN = (f"{KIND}layer.v1.tar{name}" for name in ("+gzip", "+zstd", ""))
layers = images.layers()


def put(name, *tags, **more):
    repository = Repository(name)
    first = repository.blob(images.gzipped(layers[0]), GZIP)
    second = repository.blob(images.zstandard(layers[1]), ZSTD)
    return repository, repository.image([first, second, repository.blob(layers[2], PLAIN)], *tags, **more)


def create(name, uri, **more):
    return functions.create_function(
        FunctionName=name, Role="arn:aws:iam::000000000000:role/test", PackageType="Image", Code={"ImageUri": uri}, Timeout=20,
        MemorySize=256, **more,
    )


def look(name, path):
    answer = functions.invoke(FunctionName=name, Payload=json.dumps({"look": path}))
    result = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return result["text"]


def works(name, uri):
    create(name, uri)
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    assert look(name, "/data/kept") == "kept" and look(name, "/data/old/new") == "new"
    assert look(name, "/data/gone") is None and look(name, "/data/old/file") is None


def refused(uri, code, status, part):
    try:
        create("no", uri)
    except ClientError as error:
        got = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        message = error.response["Error"]["Message"]
        assert got == (code, status) and part in message, (uri, got, message)
        assert "word" not in message and "given-to" not in message, message
        return
    raise AssertionError(f"{uri} was taken")


def log_in(password):
    text = base64.b64encode(f"user:{password}".encode()).decode()
    (FOLDER / "credentials.json").write_text(json.dumps({"auths": {f"http://{HOST}/v1/": {"auth": text}}}))


def asked():
    lines = (FOLDER / "log").read_text().splitlines()
    (FOLDER / "log").write_text("")
    return [line.split(" ", 1) for line in lines]


log_in("word")
_, found = put("open/app", "v1", "latest")
works("open", f"{HOST}/open/app:v1")
code = functions.get_function(FunctionName="open")["Code"]
assert code["ImageUri"] == f"{HOST}/open/app:v1", code
assert code["ResolvedImageUri"] == f"{HOST}/open/app@{found['digest']}", code
assert all(given == "None" for _, given in asked()), "nobody had asked for credentials"
# Resolved, with a tag that is not there, and with none.
for name, uri in (("by-digest", code["ResolvedImageUri"]), ("both", f"{HOST}/open/app:none@{found['digest']}"), ("latest", f"{HOST}/open/app")):
    works(name, uri)
# What is kept of an image is not fetched again.
assert not [path for path, _ in asked() if any(f"blobs/sha256:{images.digest(way(layer))}" in path
            for layer, way in zip(layers, (images.gzipped, images.zstandard, bytes)))]

for name in ("basic/app", "token/team/app", "moved/app"):
    repository, _ = put(name, "v1", docker=name.startswith("moved"))
    # A layer of its own, that has to be fetched.
    own = repository.blob(images.gzipped(images.tar_of([("data/own", name.encode(), 0o644), ("work", None, 0o755)])), GZIP)
    repository.image([repository.blob(layers[0], PLAIN), own], "own")
    create(name.replace("/", "-"), f"{HOST}/{name}:own")
    assert look(name.replace("/", "-"), "/data/own") == name
seen = asked()
assert ["/elsewhere/moved/app/blobs/" + own["digest"].replace(":", "%3A"), "None"] in seen, seen

# Of several machines' images this one's, within an index of Docker's in one of the OCI's.
repository, ours = put("open/several")
other = {"x86_64": "arm64"}.get(os.uname().machine, "amd64")
place = lambda machine: {"platform": {"architecture": machine, "os": "linux"}}
broken = repository.manifest({"schemaVersion": 2, "config": {"digest": "x"}, "layers": []})
inner = repository.manifest({
    "schemaVersion": 2, "mediaType": DOCKER + "distribution.manifest.list.v2+json",
    "manifests": [{**broken, **place(other)}, {**broken, "platform": {"architecture": other, "os": "windows"}},
                  {**ours, **place(images.CONFIGURATION["architecture"])}],
})
repository.manifest({"schemaVersion": 2, "mediaType": KIND + "index.v1+json", "manifests": [inner]}, "v1")
works("several", f"{HOST}/open/several:v1")
shown = functions.get_function(FunctionName="several")["Code"]["ResolvedImageUri"]
assert shown == f"{HOST}/open/several@{ours['digest']}", shown

functions.update_function_code(FunctionName="open", ImageUri=f"{HOST}/basic/app:own")
assert look("open", "/data/own") == "basic/app"

# What an image says that cannot be run.
repository, _ = put("open/unfit")
one = [repository.blob(layers[0], PLAIN)]
for tag, config, kind, message in (
    ("directory", {"Entrypoint": ["function"], "Env": ["PATH=/bin"], "WorkingDir": "/none"}, "InvalidWorkingDir", "chdir /none: no such file"),
    ("program", {"Entrypoint": ["/bin/none"]}, "InvalidEntrypoint", "fork/exec /bin/none: no such file"),
    ("data", {"Entrypoint": ["/data/kept"]}, "InvalidEntrypoint", "fork/exec /data/kept: permission denied"),
):
    repository.image(one, tag, config=config)
    create(tag, f"{HOST}/open/unfit:{tag}")
    answer = functions.invoke(FunctionName=tag, Payload="{}")
    error = json.loads(answer["Payload"].read())
    assert (answer["FunctionError"], error["errorType"]) == ("Unhandled", f"Runtime.{kind}"), error
    assert message in error["errorMessage"] and error["errorMessage"].startswith("RequestId: "), error

INVALID = "InvalidParameterValueException"
refused(f"{HOST}/open/app:none", INVALID, 400, "does not exist")
refused(f"{HOST}/open/none:v1", INVALID, 400, "does not exist")
refused(f"{HOST}/open/app@sha256:{'0' * 64}", INVALID, 400, "does not exist")
refused(f"{HOST}/open/app@sha256:0", INVALID, 400, "is not valid")
refused(f"{HOST}/open/../app:v1", INVALID, 400, "is not valid")
refused("127.0.0.1:1/open/app:v1", INVALID, 400, "is not one of --registries")
refused("169.254.169.254/open/app:v1", INVALID, 400, "is not one of --registries")
refused(f"{HOST}/down/app:v1", "ServiceException", 500, "503")
log_in("another word")
for name in ("basic/app", "token/team/app"):
    refused(f"{HOST}/{name}:v1", "AccessDeniedException", 403, "does not have permission to access the ECR image")
(FOLDER / "credentials.json").write_text("{")
refused(f"{HOST}/basic/app:v1", "ServiceException", 500, "credentials")
(FOLDER / "credentials.json").write_text("{}")
refused(f"{HOST}/basic/app:v1", "AccessDeniedException", 403, "permission")
log_in("word")

repository, other_image = put("open/bad")
manifests = repository.folder / "manifests"
(manifests / f"sha256:{'1' * 64}").write_bytes((manifests / other_image["digest"]).read_bytes())
refused(f"{HOST}/open/bad@sha256:{'1' * 64}", INVALID, 400, "has another digest")
(manifests / "text").write_text("no document")
refused(f"{HOST}/open/bad:text", INVALID, 400, "cannot be used")
(manifests / "old").write_text(json.dumps({"schemaVersion": 1, "name": "a", "fsLayers": []}))
refused(f"{HOST}/open/bad:old", INVALID, 400, "is not supported")
repository.manifest({"manifests": [{**other_image, **place(other)}]}, "machine")
refused(f"{HOST}/open/bad:machine", INVALID, 400, "There is no image for")
repository.image([], "architecture", architecture=other)
refused(f"{HOST}/open/bad:architecture", INVALID, 400, f"is for {other}")
endless = repository.manifest({"manifests": []}, "endless")
deep = repository.manifest({"manifests": [endless]})
for _ in range(5):
    deep = repository.manifest({"manifests": [deep]}, "deep")
refused(f"{HOST}/open/bad:deep", INVALID, 400, "indexes within indexes")


def bad_layer(tag, data, part, kind=GZIP, stored=None, name="open/bad"):
    repository = Repository(name)
    repository.image([repository.blob(data, kind, stored)], tag)
    refused(f"{HOST}/{name}:{tag}", INVALID, 400, part)


def fresh(text):
    return images.tar_of([(f"data/{text}", text.encode() * 1000, 0o644)])


def link(name, target):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.LNKTYPE, target
        archive.addfile(info)
    return out.getvalue()


bad_layer("damaged", images.gzipped(fresh("a")), "is damaged", stored=images.gzipped(fresh("b")))
bad_layer("less", images.gzipped(fresh("c")), "is damaged", stored=images.gzipped(fresh("c"))[:-20])
bad_layer("cut", images.gzipped(fresh("d"))[:-20], "cannot be read")
bad_layer("cut-zstd", images.zstandard(fresh("e"))[:-20], "cannot be read", ZSTD)
bad_layer("out", images.gzipped(images.tar_of([("../../../etc/passwd", b"x", 0o644)])), "leads nowhere")
bad_layer("linked", images.gzipped(link("passwd", "../../../etc/passwd")), "leads nowhere")
bad_layer("kind", b"x", "is not supported", KIND + "layer.v1.tar+encrypted")
bad_layer("foreign", b"x", "is not supported", DOCKER + "image.rootfs.foreign.diff.tar.gzip")
bad_layer("away", images.gzipped(fresh("f")), "leads where it may not", name="astray/app")
repository.image([{**repository.blob(fresh("g"), PLAIN), "size": 300 << 20}], "large")
refused(f"{HOST}/open/bad:large", INVALID, 400, "more than")
repository.image([{"mediaType": GZIP, "digest": f"sha256:{'2' * 64}", "size": 1}], "lost")
refused(f"{HOST}/open/bad:lost", INVALID, 400, "a part of it is not there")
repository.image([{"mediaType": GZIP, "digest": "sha256:../../secret", "size": 1}], "climbing")
refused(f"{HOST}/open/bad:climbing", INVALID, 400, "is no digest")
repository = Repository("short/app")
repository.image([repository.blob(fresh("h"), PLAIN)], "v1")
refused(f"{HOST}/short/app:v1", "ServiceException", 500, "was not fetched")

# Functions keep running when the registry has forgotten their images.
for path in sorted((FOLDER / "open" / "several").rglob("*"), reverse=True):
    path.unlink() if path.is_file() else path.rmdir()
functions.update_function_configuration(FunctionName="several", MemorySize=300)
assert look("several", "/data/kept") == "kept"
print("images of a registry are fetched")
