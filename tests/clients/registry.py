"""A registry of container images for the tests, on a port of 127.0.0.1 that it prints: it serves a folder, NAME/manifests/REFERENCE
and NAME/blobs/DIGEST. What a name begins with says how: basic, token (Docker's tokens), moved (blobs lie elsewhere), astray (they
lie where nobody may be sent), short (they are cut off on the way), down. Who asked for what goes to the folder's file `log`."""
import base64
import json
import pathlib
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOLDER = pathlib.Path(sys.argv[1])
BASIC = "Basic " + base64.b64encode(b"user:word").decode()
TOKEN = "given-to-user"


class Registry(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", short=0, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) + short))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        port = self.server.server_port
        path, _, query = self.path.partition("?")
        given = self.headers.get("Authorization")
        with open(FOLDER / "log", "a") as log:
            log.write(f"{path} {given}\n")
        if path == "/token":
            asked = urllib.parse.parse_qs(query)
            whole = asked.get("service") == ["the registry"] and asked["scope"][0].startswith("repository:token/")
            if not whole or given != BASIC:
                return self.answer(401)
            return self.answer(200, json.dumps({"token": TOKEN}).encode())
        if path.startswith("/elsewhere/"):
            if given:
                return self.answer(400)
            return self.file(pathlib.Path(urllib.parse.unquote(path.removeprefix("/elsewhere/"))))
        name, kind, reference = path.removeprefix("/v2/").rsplit("/", 2)
        how = name.split("/")[0]
        if how == "down":
            return self.answer(503)
        if how in ("basic", "moved") and given != BASIC:
            return self.answer(401, WWW_Authenticate='Basic realm="here"')
        if how == "token" and given != f"Bearer {TOKEN}":
            realm = f'Bearer realm="http://127.0.0.1:{port}/token",service="the registry",scope="repository:{name}:pull"'
            return self.answer(401, WWW_Authenticate=realm)
        file = pathlib.Path(name) / kind / reference
        if kind == "blobs" and how == "moved":
            return self.answer(307, Location=f"http://localhost:{port}/elsewhere/{urllib.parse.quote(str(file))}")
        if kind == "blobs" and how == "astray":
            return self.answer(302, Location=f"http://127.0.0.2:{port}/elsewhere/{file}")
        self.file(file, short=100 if kind == "blobs" and how == "short" else 0)

    def file(self, path, short=0):
        if not (FOLDER / path).is_file():
            return self.answer(404, b'{"errors": []}')
        self.answer(200, (FOLDER / path).read_bytes(), short)


server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
print(server.server_port, flush=True)
server.serve_forever()
