"""An issuer of tokens: its discovery document and its keys. Says its address, then prints a token for each line of claims it
is given: JSON, with the seconds until the token expires as `lives`, and `key` for one that is not the issuer's."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

own, foreign = (rsa.generate_private_key(65537, 2048) for _ in range(2))
public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key())) | {"kid": "k1", "alg": "RS256", "use": "sig"}


class Issuer(BaseHTTPRequestHandler):
    def do_GET(self):
        documents = {
            "/.well-known/openid-configuration": {"issuer": address, "jwks_uri": f"{address}/keys"},
            "/keys": {"keys": [public]},
        }
        body = json.dumps(documents.get(self.path, {})).encode()
        self.send_response(200 if self.path in documents else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
address = f"http://127.0.0.1:{server.server_port}"
threading.Thread(target=server.serve_forever, daemon=True).start()
print(address, flush=True)
for line in sys.stdin:
    claims = json.loads(line)
    key = foreign if claims.pop("key", None) else own
    now = int(time.time())
    token = {"iss": address, "iat": now - 5, "exp": now + claims.pop("lives", 60), **claims}
    print(jwt.encode(token, key, algorithm="RS256", headers={"kid": "k1"}), flush=True)
