"""A DPoP client: a key, and the proofs that it signs (RFC 9449).

key = ProofKey()                                    # ES256; any other algorithm of a proof by its name
token = issuer.token("alice", cnf={"jkt": key.thumbprint})
httpx.get(url, headers=key.headers("GET", public_url + "/logs/x", token))
"""

import base64
import hashlib
import json
import secrets
import time
from typing import Any

from joserfc import jwk
from joserfc.jwa import JWS_ALGORITHMS

_MODELS = {model.name: model for model in JWS_ALGORITHMS}


class ProofKey:
    """One client's key."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        if algorithm in ("RS256", "PS256"):
            self.key: Any = jwk.RSAKey.generate_key(2048)
        elif algorithm in ("ES256", "ES384"):
            self.key = jwk.ECKey.generate_key({"ES256": "P-256", "ES384": "P-384"}[algorithm])
        else:
            self.key = jwk.OKPKey.generate_key("Ed25519")

    @property
    def public(self) -> dict[str, Any]:
        """The public key, as a proof's header has it."""
        return {name: value for name, value in self.key.as_dict(private=False).items() if name != "kid"}

    @property
    def thumbprint(self) -> str:
        """What a token bound to this key has in `cnf.jkt`."""
        thumbprint: str = self.key.thumbprint()
        return thumbprint

    def proof(self, method: str, url: str, token: str | None = None, **claims: object) -> str:
        """Return a proof, a good one but for the changes; what is changed to None is left out."""
        payload: dict[str, object] = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": _digest(token) if token is not None else None,
        }
        head = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.public}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, _without_none(payload | claims)))
        return f"{signed}.{_encoded(_MODELS[self.algorithm].sign(signed.encode(), self.key))}"

    def headers(self, method: str, url: str, token: str, **claims: object) -> dict[str, str]:
        """Return the headers of a request with a token that is bound to this key."""
        return {"Authorization": f"DPoP {token}", "DPoP": self.proof(method, url, token, **claims)}


def _digest(token: str) -> str:
    return _encoded(hashlib.sha256(token.encode()).digest())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
