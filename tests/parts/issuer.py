"""A small OpenID provider for tests that need many tokens, odd tokens, or a provider that fails on demand.

    with Issuer() as issuer:
        issuer.url                                   # the issuer identifier
        issuer.token("alice", groups=["developers"]) # an RFC 9068 access token for the audience `portcullis`

Discovery and keys are served over HTTP on a free port; tokens are signed here.
"""

import http.server
import json
import threading
import time
from types import TracebackType
from typing import Any, Self

from joserfc import jwk, jwt

AUDIENCE = "portcullis"


class Issuer:
    """One provider with one signing key; `name` is what the gateway's configuration calls it."""

    def __init__(self, name: str = "corp", algorithm: str = "RS256", port: int = 0) -> None:
        self.name = name
        self.algorithm = algorithm
        self.requests: list[str] = []
        self.rotate()
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests.append(self.path)
                documents = {
                    "/.well-known/openid-configuration": issuer.metadata,
                    "/jwks": {"keys": [key.as_dict(private=False) for key in issuer.published]},
                }
                body = json.dumps(documents.get(self.path, {})).encode()
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler, bind_and_activate=False)
        self._server.server_bind()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def rotate(self) -> None:
        """Replace the signing key; only the new one is published from now on."""
        parameters: Any = {"kid": f"key-{time.monotonic_ns()}", "use": "sig", "alg": self.algorithm}
        if self.algorithm.startswith(("RS", "PS")):
            self.key: Any = jwk.RSAKey.generate_key(2048, parameters)
        elif self.algorithm.startswith("ES"):
            self.key = jwk.ECKey.generate_key({"ES256": "P-256", "ES384": "P-384"}[self.algorithm], parameters)
        else:
            self.key = jwk.OKPKey.generate_key("Ed25519", parameters)
        self.published = [self.key]

    @property
    def metadata(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
        }

    @property
    def settings(self) -> dict[str, Any]:
        """This provider's entry in the gateway's configuration."""
        return {
            "name": self.name,
            "issuer": self.url,
            "audiences": [AUDIENCE],
            "username_claim": "email",
            "groups_claim": "groups",
            "algorithms": [self.algorithm],
        }

    def token(self, username: str, *, groups: list[str] | None = None, lifetime_s: int = 600, **claims: object) -> str:
        """Return an access token for `username`@example.com; `claims` replace or add claims."""
        now = int(time.time())
        payload = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": f"sub-{username}",
            "client_id": "tests",
            "email": f"{username}@example.com",
            "email_verified": True,
            "groups": groups or [],
            "iat": now,
            "exp": now + lifetime_s,
            "jti": f"{time.monotonic_ns()}",
            **claims,
        }
        header = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.key.kid}
        return jwt.encode(header, payload, self.key, algorithms=[self.algorithm])

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._server.server_activate()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
