"""What a public native client says to the gateway's OAuth endpoints, and how it reads the answers.

RFC 6749, 7009, 7636 (S256 only), 8252, 8693 and 9207. Authlib builds the authorization request, httpx carries the rest:
docs/decisions/0002-authlib-and-httpx.md says why.
"""

import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from authlib.oauth2.client import OAuth2Client

from gateway.cli.authorization_server import AuthorizationServer, discover
from gateway.cli.gateway_client import UnreachableError
from gateway.cli.output import CommandError
from gateway.cli.token_store import Login

CLIENT_ID = "portcullis-cli"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
_JWT = "urn:ietf:params:oauth:token-type:jwt"


class RefusedError(CommandError):
    """The gateway refused; `code` is the OAuth error code (RFC 6749 section 5.2), `reason` its words."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"the gateway gave no token ({reason}): run `portcullis login` again")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a token endpoint gave; `expires_at` is seconds since the Unix epoch by this machine's clock."""

    access_token: str = field(repr=False)
    expires_at: int | None
    refresh_token: str | None = field(repr=False)

    def login(self, gateway: str, server: AuthorizationServer) -> Login:
        """Return these tokens as the login at a gateway."""
        return Login(gateway, server.issuer, self.access_token, self.expires_at, self.refresh_token)


class CodeFlow:
    """One login: `url` is where the browser goes, `finish` turns what it came back with into tokens.

    `state` is unguessable and used once. `parameters` are further ones of the authorization request.
    """

    def __init__(
        self,
        http: httpx.Client,
        server: AuthorizationServer,
        redirect_uri: str,
        state: str,
        parameters: Mapping[str, str],
    ) -> None:
        self._http = http
        self._server = server
        self._redirect_uri = redirect_uri
        self._state = state
        self._verifier = secrets.token_urlsafe(64)
        client = OAuth2Client(http, client_id=CLIENT_ID, redirect_uri=redirect_uri, code_challenge_method="S256")
        url, _ = client.create_authorization_url(
            server.authorization_endpoint, state=state, code_verifier=self._verifier, **parameters
        )
        self.url = str(url)

    def finish(self, answer: Mapping[str, str]) -> Tokens:
        """Return the tokens that the authorization response `answer` leads to; raises CommandError."""
        if not hmac.compare_digest(answer.get("state", "").encode(), self._state.encode()):
            raise CommandError("the answer belongs to another login: run `portcullis login` again")
        if answer.get("iss") != self._server.issuer:
            raise CommandError(f"the answer does not come from {self._server.issuer}: the login was stopped (RFC 9207)")
        if "error" in answer:
            raise CommandError(f"the login did not work: {answer.get('error_description') or answer['error']}")
        if not answer.get("code"):
            raise CommandError("the gateway sent no code: run `portcullis login` again")
        return request_tokens(
            self._http,
            self._server,
            {
                "grant_type": "authorization_code",
                "client_id": CLIENT_ID,
                "code": answer["code"],
                "code_verifier": self._verifier,
                "redirect_uri": self._redirect_uri,
            },
        )


def renewed(http: httpx.Client, login: Login) -> Login:
    """Return the login with new tokens, got with its refresh token, which is used up by it.

    Raises UnreachableError where the gateway can't say now, RefusedError where the login is over.
    """
    server = discover(login.gateway)
    if server.issuer != login.issuer or login.refresh_token is None:
        raise CommandError(f"the login at {login.gateway} is of another version: run `portcullis login` again")
    fields = {"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": login.refresh_token}
    return request_tokens(http, server, fields).login(login.gateway, server)


def exchanged(
    http: httpx.Client,
    server: AuthorizationServer,
    *,
    subject_token: str,
    actor_token: str | None,
    backends: Sequence[str],
    actions: Sequence[str],
) -> Tokens:
    """Return a token for less than `subject_token` is good for (RFC 8693), in the hands of `actor_token`'s owner.

    Backends are named by their address at the gateway (`resource`), action patterns by scope values.
    """
    fields: dict[str, str | Sequence[str]] = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": subject_token,
        "subject_token_type": _token_type(subject_token),
        "requested_token_type": _ACCESS_TOKEN,
    }
    if actor_token is not None:
        fields |= {"actor_token": actor_token, "actor_token_type": _token_type(actor_token)}
    if backends:
        fields["resource"] = [f"{server.issuer}/{backend}" for backend in backends]
    if actions:
        fields["scope"] = " ".join(f"action:{action}" for action in actions)
    return request_tokens(http, server, fields)


def revoke(http: httpx.Client, login: Login) -> None:
    """End the login at its gateway, all of its tokens included (RFC 7009); raises CommandError where that failed."""
    server = discover(login.gateway)
    if server.issuer != login.issuer:
        raise CommandError(f"the login at {login.gateway} is of another gateway: nothing was sent to it")
    token, hint = login.token, "access_token"
    if login.refresh_token is not None:
        token, hint = login.refresh_token, "refresh_token"
    fields = {"client_id": CLIENT_ID, "token": token, "token_type_hint": hint}
    response = post(http, server.revocation_endpoint, fields)
    if response.status_code != 200:
        raise CommandError(f"the gateway answered {response.status_code} to the revocation")


def request_tokens(
    http: httpx.Client, server: AuthorizationServer, fields: Mapping[str, str | Sequence[str]]
) -> Tokens:
    """Ask the token endpoint; raises UnreachableError, RefusedError, or CommandError for what is no token answer."""
    asked_at = time.time()
    response = post(http, server.token_endpoint, fields)
    answer = json_object(response)
    if isinstance(answer.get("error"), str):
        raise RefusedError(answer["error"], str(answer.get("error_description") or answer["error"]))
    token, life_s, refresh_token = answer.get("access_token"), answer.get("expires_in"), answer.get("refresh_token")
    if response.status_code != 200 or not isinstance(token, str) or not token:
        raise CommandError(
            f"the gateway gave no token: {answer.get('detail') or f'it answered {response.status_code}'}"
        )
    if str(answer.get("token_type")).lower() != "bearer":
        raise CommandError(f"the gateway gave a token of the type {answer.get('token_type')!r}: update portcullis")
    return Tokens(
        access_token=token,
        expires_at=int(asked_at + life_s) if isinstance(life_s, int | float) else None,
        refresh_token=refresh_token if isinstance(refresh_token, str) and refresh_token else None,
    )


def post(http: httpx.Client, endpoint: str, fields: Mapping[str, str | Sequence[str]]) -> httpx.Response:
    """Send a form to one of the gateway's endpoints; raises UnreachableError where it has no answer now.

    A public client authenticates with nothing: it names itself by `client_id` (RFC 6749 section 2.3.1).
    """
    try:
        response = http.post(endpoint, data=dict(fields), headers={"Accept": "application/json"})
    except httpx.HTTPError as error:
        raise UnreachableError(f"{endpoint} can't be reached: {error}") from error
    if response.status_code == 429 or response.status_code >= 500:
        raise UnreachableError(f"{endpoint} can't answer now ({response.status_code}): try again later")
    return response


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object in an answer, an empty one where it holds none."""
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _token_type(token: str) -> str:
    return _JWT if token.count(".") == 2 else _ACCESS_TOKEN
