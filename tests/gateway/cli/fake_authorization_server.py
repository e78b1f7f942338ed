"""A gateway's OAuth endpoints as the command line sees them, with faults that a test can choose.

Everybody who comes is alice, logged in at once. Codes are used once, PKCE is checked, refresh tokens rotate and a used
one ends its session; the real gateway's own tests hold that it does the same.
"""

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

Form = Mapping[str, list[str]]
Answer = tuple[int, dict[str, Any]]

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
REDIRECT = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):[0-9]+/callback")


@dataclass
class Session:
    """One login: its claims, its refresh token in force, and those used up."""

    id: str
    claims: dict[str, Any]
    refresh_token: str = ""
    used: set[str] = field(default_factory=set)
    ended: bool = False


class FakeAuthorizationServer:
    """`acr` and `age_s` are what the next login has; `refusal` is the OAuth error that ends it instead."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.sent_issuer = issuer
        self.lifetime_s = 600
        self.acr = "pwd"
        self.age_s = 0
        self.refusal: str | None = None
        self.interval_s = 1
        self.polls: list[str] = []
        self.requests: list[dict[str, str]] = []
        self.sessions: dict[str, Session] = {}
        self.exchanges: list[dict[str, list[str]]] = []
        self._codes: dict[str, tuple[str, str, Session]] = {}
        self._devices: dict[str, tuple[str, Session]] = {}
        self._allowed: set[str] = set()

    def metadata(self) -> dict[str, Any]:
        endpoints = {
            "authorization_endpoint": "authorize",
            "token_endpoint": "token",
            "device_authorization_endpoint": "device_authorization",
            "revocation_endpoint": "revoke",
        }
        return {"issuer": self.issuer, **{key: f"{self.issuer}/-/oauth/{path}" for key, path in endpoints.items()}}

    def authorize(self, query: Mapping[str, str]) -> str:
        """Return where the browser goes next."""
        assert query["client_id"] == "portcullis-cli"
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert REDIRECT.fullmatch(query["redirect_uri"])
        self.requests.append(dict(query))
        answer = {"state": query["state"], "iss": self.sent_issuer}
        if self.refusal:
            answer |= {"error": self.refusal, "error_description": "no\x1b[2J<b>"}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = (query["code_challenge"], query["redirect_uri"], self._session(query))
            answer["code"] = code
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def device_authorization(self, form: Form) -> Answer:
        fields = {name: values[0] for name, values in form.items()}
        assert fields["client_id"] == "portcullis-cli"
        self.requests.append(fields)
        device_code, user_code = secrets.token_urlsafe(32), f"WDJB-{secrets.randbelow(10_000):04}"
        self._devices[device_code] = (user_code, self._session(fields))
        return 200, {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": f"{self.issuer}/-/device",
            "verification_uri_complete": f"{self.issuer}/-/device?user_code={user_code}",
            "expires_in": 600,
            "interval": self.interval_s,
        }

    def allow_device(self, user_code: str) -> None:
        self._allowed.add(user_code)

    def token(self, form: Form) -> Answer:
        fields = {name: values[0] for name, values in form.items()}
        if fields["grant_type"] == EXCHANGE_GRANT:
            return self._exchange(form)
        if fields["client_id"] != "portcullis-cli":
            return 401, {"error": "invalid_client"}
        if fields["grant_type"] == "authorization_code":
            return self._code(fields)
        return self._device(fields) if fields["grant_type"] == DEVICE_GRANT else self._refresh(fields)

    def revoke(self, form: Form) -> Answer:
        [token] = form["token"]
        for session in self.sessions.values():
            if token == session.refresh_token:
                session.ended = True
        return 200, {}

    def _code(self, fields: Mapping[str, str]) -> Answer:
        challenge, redirect_uri, session = self._codes.pop(fields["code"], ("", "", None))
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if session is None or proof != challenge or redirect_uri != fields["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "the code is not good"}
        return 200, self._tokens(session)

    def _device(self, fields: Mapping[str, str]) -> Answer:
        user_code, session = self._devices[fields["device_code"]]
        if self.polls:
            return 400, {"error": self.polls.pop(0)}
        if user_code not in self._allowed:
            return 400, {"error": "authorization_pending"}
        return 200, self._tokens(session)

    def _refresh(self, fields: Mapping[str, str]) -> Answer:
        token = fields["refresh_token"]
        for session in self.sessions.values():
            if token in session.used:
                session.ended = True
                return 400, {"error": "invalid_grant", "error_description": "the refresh token was used before"}
            if token == session.refresh_token and not session.ended:
                session.used.add(token)
                return 200, self._tokens(session)
        return 400, {"error": "invalid_grant", "error_description": "the session has ended"}

    def _exchange(self, form: Form) -> Answer:
        self.exchanges.append({name: list(values) for name, values in form.items()})
        if self.refusal:
            return 400, {"error": self.refusal, "error_description": "not so"}
        token = jwt({"sub": "user:alice", "aud": form.get("resource", [self.issuer])})
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 300}

    def _session(self, fields: Mapping[str, str]) -> Session:
        session = Session(
            secrets.token_urlsafe(16),
            {
                "sub": "user:alice",
                "idp": fields.get("provider", "corp"),
                "acr": self.acr,
                "auth_time": int(time.time()) - self.age_s,
            },
        )
        self.sessions[session.id] = session
        return session

    def _tokens(self, session: Session) -> dict[str, Any]:
        session.refresh_token = secrets.token_urlsafe(32)
        claims = {"iss": self.issuer, "sid": session.id, "jti": secrets.token_urlsafe(8), **session.claims}
        return {
            "access_token": jwt(claims),
            "token_type": "Bearer",
            "expires_in": self.lifetime_s,
            "refresh_token": session.refresh_token,
        }


def jwt(claims: Mapping[str, Any]) -> str:
    """Return a token of that shape; only the gateway would look at its signature."""
    parts = ({"alg": "ES256", "typ": "at+jwt"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])
