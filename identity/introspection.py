"""Asks a provider what an opaque token stands for (RFC 7662). A token is shown to no provider but its own.

What a flood of bad tokens can cause: for the same token, one call within REFUSED_FOR_S; for different ones,
MAX_UNKNOWN_PER_S calls a second after a burst, STRANGERS_AT_ONCE at a time. What goes beyond is answered as if the
provider could not be reached. Tokens that were good before have a queue of their own, so such a flood does not stop
who is at work already. A call for a token that turns out to be good counts for nothing.
"""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import httpx

from identity.authenticator import ProviderUnavailableError
from identity.call_limits import CallBudget, CallQueue, RecentKeys, TooManyCallsError
from identity.claims import check_audience, check_kind
from identity.client_credential import introspection_credential
from identity.provider_client import ProviderAnswerError, ask, is_bearer_token
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from identity.rejections import rejection
from identity.secret import SecretError
from identity.strict_json import JsonObject

REFUSED_FOR_S = 10.0
MAX_REFUSED = 4096
KNOWN_FOR_S = 3600.0
MAX_KNOWN = 20_000
STRANGERS_AT_ONCE = 8
KNOWN_AT_ONCE = 8
MAX_WAITING = 64
MAX_UNKNOWN_PER_S = 20.0
UNKNOWN_BURST = 100

# A compact JWS begins with the base64url of `{"` and has two dots.
_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_.-]*")
_TOKEN_TYPES = frozenset({"bearer", "dpop"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Introspection:
    """A token that its provider vouches for: its claims, and until when (seconds since the Unix epoch) they count."""

    claims: JsonObject
    valid_until: float


def introspecting_provider(token: bytes, providers: Iterable[ProviderSettings]) -> ProviderSettings | None:
    """Return the one provider that an opaque token can be of, None where it is of none, or is a JWT."""
    if _JWT.fullmatch(token) is not None or not is_bearer_token(token):
        return None
    for settings in providers:
        introspection = settings.introspection
        if introspection is not None and token.startswith((introspection.token_prefix or "").encode()):
            return settings
    return None


class Introspector:
    """Introspects the tokens of one provider; belongs to one event loop.

    `metadata` gives what the provider says of itself now, and may raise ProviderUnavailableError. `clock` gives seconds
    since the Unix epoch, `monotonic` seconds that never go back. Good answers are not kept here: that is the
    verification cache's part, until `valid_until`.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        client: httpx.AsyncClient,
        metadata: Callable[[], ProviderMetadata],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._metadata = metadata
        self._clock = clock
        self._asking: dict[bytes, asyncio.Task[JsonObject | None]] = {}
        self._refused = RecentKeys(MAX_REFUSED, monotonic=monotonic)
        self._known = RecentKeys(MAX_KNOWN, monotonic=monotonic)
        self._budget = CallBudget(per_second=MAX_UNKNOWN_PER_S, burst=UNKNOWN_BURST, monotonic=monotonic)
        self._strangers = CallQueue(at_once=STRANGERS_AT_ONCE, waiting=MAX_WAITING)
        self._acquainted = CallQueue(at_once=KNOWN_AT_ONCE, waiting=MAX_WAITING)
        self._problem: str | None = None

    async def introspect(self, token: bytes) -> Introspection:
        """Return what the provider says of a token of its own.

        The answer is checked as far as introspection goes: it is active, of this issuer, an access token for an
        audience of ours, and not over; times and names are for the caller to check. Raises InvalidCredentialError
        (token_inactive, unknown_issuer, missing_claim, malformed_claim, wrong_audience, token_expired, and what
        `check_kind` raises) and ProviderUnavailableError.
        """
        claims = await self._claims(token)
        if claims is None:
            raise rejection("token_inactive", provider=self._settings.name)
        return self._checked(claims)

    async def close(self) -> None:
        """Stop asking."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _claims(self, token: bytes) -> JsonObject | None:
        digest = hashlib.sha256(token).digest()
        if digest in self._refused:
            return None
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.create_task(self._ask(token, digest))
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
            # Where every caller has given up nobody looks at what it raised.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _ask(self, token: bytes, digest: bytes) -> JsonObject | None:
        is_known = digest in self._known
        try:
            if not is_known:
                self._budget.spend()
            async with (self._acquainted if is_known else self._strangers).turn():
                claims = await self._answer(token)
        except TooManyCallsError:
            raise self._unavailable("too many of its tokens are being introspected: try again") from None
        if claims is None:
            self._refused.remember(digest, REFUSED_FOR_S)
            self._known.forget(digest)
            return None
        if not is_known:
            self._budget.give_back()
        self._known.remember(digest, KNOWN_FOR_S)
        return claims

    async def _answer(self, token: bytes) -> JsonObject | None:
        """Return the claims of an active token, None for any other."""
        endpoint = self._metadata().introspection_endpoint
        if endpoint is None:
            raise self._failed("it names no introspection_endpoint: remove `introspection` from its configuration")
        try:
            headers, form = introspection_credential(self._settings).sign_in(
                {"token": token.decode("ascii"), "token_type_hint": "access_token"}
            )
            answer = await ask(self._client, self._settings, endpoint, method="POST", form=form, headers=headers)
            if answer.status in (400, 401, 403):
                raise self._failed(
                    f"{endpoint}: answered {answer.status}: it does not let the gateway's client introspect; check the "
                    "client's id, that its secret has not expired, and that it may introspect"
                )
            claims = answer.json()
        except (ProviderAnswerError, SecretError) as error:
            raise self._failed(str(error)) from None
        if not isinstance(claims.get("active"), bool):
            raise self._failed(f"{endpoint}: the answer does not say whether the token is active")
        if self._problem is not None:
            _log.info("provider %s: introspection works", self._settings.name)
            self._problem = None
        return claims if claims["active"] else None

    def _checked(self, claims: JsonObject) -> Introspection:
        if claims.get("iss") not in (None, self._settings.issuer):
            raise rejection("unknown_issuer")
        token_type = claims.get("token_type")
        if token_type is not None and not (isinstance(token_type, str) and token_type.lower() in _TOKEN_TYPES):
            raise rejection("wrong_token_type")
        # A refresh token or an ID token can be introspected too.
        check_kind(None, claims, check_audience(claims, self._settings), self._settings)
        now = self._clock()
        expires_at = claims.get("exp")
        if expires_at is None:
            raise rejection("missing_claim", claim="exp")
        if type(expires_at) is not int:
            raise rejection("malformed_claim", claim="exp")
        # No leeway: the provider's own clock has just said that the token is good, ours only ends it.
        if now >= expires_at:
            raise rejection("token_expired")
        introspection = self._settings.introspection
        assert introspection is not None
        return Introspection(claims, min(expires_at, now + introspection.cache_s))

    def _failed(self, problem: str) -> ProviderUnavailableError:
        if self._problem != problem:
            _log.warning("provider %s: introspection: %s", self._settings.name, problem)
        self._problem = problem
        return self._unavailable(problem)

    def _unavailable(self, problem: str) -> ProviderUnavailableError:
        return ProviderUnavailableError(self._settings.name, problem)
