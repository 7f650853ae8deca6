"""A container image, built as builders build it."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile


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
    "config": {"User": "0:0", "Entrypoint": ["function"], "Cmd": ["of", "image"], "WorkingDir": "/work", "Env": ["PATH=/bin", "OF_IMAGE=yes"]},
    "rootfs": {"type": "layers", "diff_ids": []},
}


def gzipped(data):
    return gzip.compress(data, 1)


def zstandard(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


def layout(folder):
    """An OCI layout, its layers packed in every way there is."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data, kind):
        (blobs / digest(data)).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest(data)}", "size": len(data)}

    kind = "application/vnd.oci.image."
    ways = [(gzipped, "+gzip"), (zstandard, "+zstd"), (bytes, "")]
    packed = [blob(way(layer), f"{kind}layer.v1.tar{name}") for layer, (way, name) in zip(layers(), ways)]
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
    for layer, way in zip(layers(), (zstandard, bytes, gzipped)):
        layer = way(layer)
        names.append(f"{digest(layer)}/layer.tar")
        items.append((names[-1], layer, 0o644))
    manifest = [{"Config": f"{digest(configuration)}.json", "RepoTags": ["team/saved:latest"], "Layers": names}]
    path.write_bytes(tar_of(items + [("manifest.json", json.dumps(manifest).encode(), 0o644)]))
