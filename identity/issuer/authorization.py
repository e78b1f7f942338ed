"""The authorization endpoint's part of the code flow (RFC 6749, section 4.1; PKCE, RFC 7636; `iss`, RFC 9207).

What is wrong with a request is told to the client by a redirect only where client and redirect URI are good; else an
attacker could have people sent anywhere from the gateway's own address.

Stored format of a code: JSON with the members of `_StoredCode`, for a minute. A code that an older version has stored
may be refused: the person logs in again.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import urlencode

from identity.base64url import encode_base64url
from identity.issuer.clients import Client, client_of
from identity.issuer.narrowing import requested_limits
from identity.issuer.oauth_error import OAuthError
from identity.issuer.parameters import Parameters
from identity.issuer.sessions import Sessions
from identity.principal import Confirmation, Limits
from identity.secret_digest import secret_digest
from identity.state import CodeStore, Grant

CODE_LIFE_S: Final = 60

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_AGE = re.compile(r"[0-9]{1,9}")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PROMPTS: Final = frozenset(("none", "login", "consent", "select_account"))
_BAD_CODE: Final = "the code is not good (any more): begin the login again"


@dataclass(frozen=True, slots=True)
class LoginWish:
    """How a client wants its person to log in. `provider` names one; `max_age` is seconds, None for any."""

    provider: str | None
    acr_values: str | None
    max_age: int | None


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request to log a person in for a client, checked. `limits` is what the client asks to be limited to.

    `prompt` holds the values of that parameter (OpenID Connect Core 1.0, section 3.1.2.1), `none` only ever alone.
    `proof_key` is the key that the code is to be bound to (`dpop_jkt`, RFC 9449, section 10).
    """

    client: Client
    redirect_uri: str
    state: str | None
    challenge: str
    limits: Limits
    wish: LoginWish
    prompt: frozenset[str]
    proof_key: str | None


class BadAuthorizationRequestError(Exception):
    """A request is refused. `redirect` is where the browser goes with the error, None: it stays and is told here."""

    def __init__(self, error: OAuthError, redirect: str | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.redirect = redirect


@dataclass(frozen=True, slots=True)
class _StoredCode:
    grant_id: str
    client: str
    redirect_uri: str
    challenge: str
    proof_key: str | None


class Authorization:
    """Reads authorization requests, answers them, and takes codes back; belongs to one event loop."""

    def __init__(
        self, codes: CodeStore, sessions: Sessions, *, issuer: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._codes = codes
        self._sessions = sessions
        self._issuer = issuer
        self._clock = clock

    def request(self, query: bytes) -> AuthorizationRequest:
        """Return what a query asks for; raises BadAuthorizationRequestError."""
        try:
            parameters = Parameters.parse(query)
            client = client_of(parameters)
            redirect_uri = _redirect_uri(parameters, client)
        except OAuthError as error:
            raise BadAuthorizationRequestError(error, None) from None
        state: str | None = None
        try:
            state = parameters.get("state", longest=512)
            return self._request(parameters, client, redirect_uri, state)
        except OAuthError as error:
            redirect = self._response(redirect_uri, state, {"error": error.error, **_described(error)})
            raise BadAuthorizationRequestError(error, redirect) from None

    async def allow(self, request: AuthorizationRequest, grant: Grant) -> str:
        """Return where the browser goes with the code for a grant that was begun for this request."""
        code = secrets.token_urlsafe(32)
        stored = _StoredCode(grant.id, request.client.id, request.redirect_uri, request.challenge, request.proof_key)
        expires_at = int(self._clock()) + CODE_LIFE_S
        await asyncio.to_thread(self._codes.add_code, secret_digest(code), asdict(stored), expires_at)
        return self._response(request.redirect_uri, request.state, {"code": code})

    def deny(self, request: AuthorizationRequest, error: OAuthError) -> str:
        """Return where the browser goes with an error: `access_denied`, `login_required`, ..."""
        return self._response(request.redirect_uri, request.state, {"error": error.error, **_described(error)})

    async def redeem(self, parameters: Parameters, client: Client, confirmation: Confirmation | None) -> str:
        """Use the code of a token request up and return its grant's id; raises OAuthError.

        A code that comes a second time, or with anything that does not fit it, has been seen by somebody else: its
        session ends (RFC 6749, section 4.1.2).
        """
        code, verifier = parameters.required("code"), parameters.required("code_verifier")
        redirect_uri = parameters.required("redirect_uri")
        found = await asyncio.to_thread(self._codes.take_code, secret_digest(code), int(self._clock()))
        if found is None:
            raise OAuthError("invalid_grant", _BAD_CODE)
        payload, was_used = found
        try:
            stored = _StoredCode(**payload)
        except TypeError:
            raise OAuthError("invalid_grant", _BAD_CODE) from None
        fits = (
            stored.client == client.id
            and stored.redirect_uri == redirect_uri
            and _answers(verifier, stored.challenge)
            and (stored.proof_key is None or confirmation == Confirmation("jkt", stored.proof_key))
        )
        if was_used or not fits:
            await self._sessions.end(stored.grant_id, "revoked")
            raise OAuthError("invalid_grant", _BAD_CODE)
        return stored.grant_id

    def _request(
        self, parameters: Parameters, client: Client, redirect_uri: str, state: str | None
    ) -> AuthorizationRequest:
        parameters.check_repeats()
        if parameters.get("request") is not None or parameters.get("request_uri") is not None:
            raise OAuthError("request_not_supported", "send the parameters themselves, not a request object")
        if parameters.required("response_type") != "code":
            raise OAuthError("unsupported_response_type", "the response type is code")
        if parameters.get("response_mode") not in (None, "query"):
            raise OAuthError("invalid_request", "the response mode is query")
        # RFC 7636, section 4.3: without a method it would be `plain`, which protects nothing.
        challenge = parameters.required("code_challenge")
        if parameters.get("code_challenge_method") != "S256" or _CHALLENGE.fullmatch(challenge) is None:
            raise OAuthError("invalid_request", "PKCE with code_challenge_method S256 is required")
        proof_key = parameters.get("dpop_jkt")
        if proof_key is not None and _CHALLENGE.fullmatch(proof_key) is None:
            raise OAuthError("invalid_request", "dpop_jkt is not the SHA-256 thumbprint of a key")
        return AuthorizationRequest(
            client=client,
            redirect_uri=redirect_uri,
            state=state,
            challenge=challenge,
            limits=requested_limits(parameters, self._issuer),
            wish=login_wish(parameters),
            prompt=_prompt(parameters.get("prompt")),
            proof_key=proof_key,
        )

    def _response(self, redirect_uri: str, state: str | None, members: dict[str, str]) -> str:
        if state is not None:
            members = members | {"state": state}
        return f"{redirect_uri}?{urlencode(members | {'iss': self._issuer})}"


def _redirect_uri(parameters: Parameters, client: Client) -> str:
    redirect_uri = parameters.required("redirect_uri")
    if not client.may_redirect_to(redirect_uri):
        raise OAuthError("invalid_request", "the redirect URI is not one of this client's")
    return redirect_uri


def login_wish(parameters: Parameters) -> LoginWish:
    """Return how a request wants its person to log in; raises OAuthError (invalid_request)."""
    provider, age = parameters.get("provider"), parameters.get("max_age")
    if provider is not None and _PROVIDER.fullmatch(provider) is None:
        raise OAuthError("invalid_request", "provider is no provider's name")
    if age is not None and _AGE.fullmatch(age) is None:
        raise OAuthError("invalid_request", "max_age is not a number of seconds")
    acr_values = parameters.get("acr_values", longest=256)
    return LoginWish(provider=provider, acr_values=acr_values, max_age=int(age) if age is not None else None)


def unknown_provider(providers: Collection[str]) -> OAuthError:
    """Return the refusal of a login through a provider that is none of these, which it names."""
    return OAuthError(
        "invalid_request", f"nobody can log in through that provider, only through {', '.join(providers) or 'none'}"
    )


def _prompt(value: str | None) -> frozenset[str]:
    prompt = frozenset(value.split(" ")) if value is not None else frozenset()
    if not prompt <= _PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise OAuthError("invalid_request", "prompt is none alone, or some of login, consent and select_account")
    return prompt


def _answers(verifier: str, challenge: str) -> bool:
    """Tell whether a verifier is the one that a challenge was made from (RFC 7636, section 4.6)."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    return hmac.compare_digest(encode_base64url(hashlib.sha256(verifier.encode("ascii")).digest()), challenge)


def _described(error: OAuthError) -> dict[str, str]:
    return {"error_description": error.description}
