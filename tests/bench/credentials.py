"""The provider every system trusts in a run: its key in each system's format, its tokens, its two documents."""

import datetime
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from joserfc import jwk, jwt

AUDIENCE = "portcullis"
PERSON = "alice"
USERNAME = f"{PERSON}@example.com"
GROUPS = ("bench", "dev", "oncall")
KEY_ID = "bench-1"
TOKEN_LIFETIME_S = 3600


@dataclass(frozen=True, slots=True)
class Credentials:
    """A provider's RSA key pair (2048 bits) and the tokens it signs with RS256.

    `token` is good for an hour, `expired` was good until an hour ago, `forged` has the claims of `token` under
    another key's signature. `public_key_file` is PEM, `certificate_file` a self-signed X.509 certificate of the same
    key, `jwks` the same as RFC 7517 has it. `fresh_token` signs one more good token, with the `jti` it is given;
    `token_of` one for the person it is given.
    """

    issuer: str
    token: str
    expired: str
    forged: str
    jwks: str
    public_key_file: Path
    certificate_file: Path
    fresh_token: Callable[[str], str]
    token_of: Callable[[str], str]


def make_credentials(issuer: str, directory: Path) -> Credentials:
    """Make a key and its tokens, and write the key's public half below `directory`."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public_key_file = directory / "issuer.pem"
    public_key_file.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    certificate_file = directory / "issuer.crt"
    certificate_file.write_bytes(_self_signed(private).public_bytes(serialization.Encoding.PEM))
    now = int(time.time())
    return Credentials(
        issuer=issuer,
        token=_signed_token(private, issuer, issued_at=now),
        expired=_signed_token(private, issuer, issued_at=now - 2 * TOKEN_LIFETIME_S),
        forged=_signed_token(stranger, issuer, issued_at=now),
        jwks=json.dumps({"keys": [_public_jwk(private)]}),
        public_key_file=public_key_file,
        certificate_file=certificate_file,
        fresh_token=lambda jwt_id: _signed_token(private, issuer, issued_at=now, jwt_id=jwt_id),
        token_of=lambda person: _signed_token(private, issuer, issued_at=now, person=person),
    )


def _signed_token(
    private: rsa.RSAPrivateKey, issuer: str, *, issued_at: int, jwt_id: str = "bench", person: str = PERSON
) -> str:
    """Return an RFC 9068 access token for the bench's caller, signed with RS256; times are Unix seconds."""
    claims: dict[str, object] = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": person,
        "client_id": "bench",
        "email": f"{person}@example.com",
        "email_verified": True,
        "groups": list(GROUPS),
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + TOKEN_LIFETIME_S,
        "jti": jwt_id,
    }
    header = {"alg": "RS256", "typ": "at+jwt", "kid": KEY_ID}
    return jwt.encode(header, claims, _signing_key(private), algorithms=["RS256"])


def _signing_key(private: rsa.RSAPrivateKey) -> jwk.RSAKey:
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return jwk.RSAKey.import_key(pem)


def _public_jwk(private: rsa.RSAPrivateKey) -> dict[str, object]:
    return {**_signing_key(private).as_dict(private=False), "kid": KEY_ID, "use": "sig", "alg": "RS256"}


def _self_signed(private: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(private, hashes.SHA256())
    )


@contextmanager
def serving_provider(directory: Path) -> Iterator[Credentials]:
    """Serve a provider's discovery document and keys on loopback until the block ends."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _ProviderDocuments)
    issuer = f"http://127.0.0.1:{server.server_port}"
    credentials = make_credentials(issuer, directory)
    server.RequestHandlerClass = type("_Documents", (_ProviderDocuments,), {"documents": _documents(credentials)})
    thread = threading.Thread(target=server.serve_forever, name="provider", daemon=True)
    thread.start()
    try:
        yield credentials
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _documents(credentials: Credentials) -> dict[str, bytes]:
    discovery = {
        "issuer": credentials.issuer,
        "jwks_uri": f"{credentials.issuer}/jwks",
        "authorization_endpoint": f"{credentials.issuer}/authorize",
        "token_endpoint": f"{credentials.issuer}/token",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
    return {
        "/.well-known/openid-configuration": json.dumps(discovery).encode(),
        "/jwks": credentials.jwks.encode(),
    }


class _ProviderDocuments(http.server.BaseHTTPRequestHandler):
    documents: dict[str, bytes] = {}

    def do_GET(self) -> None:
        body = self.documents.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the table is the only output of a run."""
