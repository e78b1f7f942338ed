"""Logs people in at any provider: the gateway as OpenID relying party, by authorization code and PKCE.

A login under way is known to nobody but the browser that began it: everything needed to finish it is sealed and goes
with the browser as a cookie. So strangers who begin logins cost the gateway nothing, any replica can finish one, and a
`state` that arrives in another browser finds nothing to fit.
"""

import asyncio
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Protocol

import httpx

from identity.authenticator import ProviderUnavailableError
from identity.client_credential import ClientCredential, own_credential
from identity.issuer.grants import principal_of_grant
from identity.principal import Principal
from identity.provider_client import provider_client
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from identity.relying_party_messages import (
    LoginError,
    TokenRefusedError,
    authorization_code,
    authorization_url,
    request_tokens,
    wrong_issuer,
)
from identity.return_to import is_own_page
from identity.sealing import Sealer, SealError
from identity.secret import SecretError
from identity.state import Grant
from identity.strict_json import JsonObject
from identity.token_calls import TokenCalls

LOGIN_WITHIN_S: Final = 600
# Each provider has a redirect URI of its own below it.
CALLBACK_PATH: Final = "/-/login/callback"

_PURPOSE: Final = "login"
_STATE = re.compile(r"[0-9a-f]{64}")
_OUR_FAULT: Final = frozenset(("invalid_client", "unauthorized_client"))

_log = logging.getLogger(__name__)


class LoginFederation(Protocol):
    """What a login needs of `identity.federation.Federation`."""

    async def login(
        self, provider: str, id_token: bytes, *, nonce: str | None, access_token: bytes | None
    ) -> Principal:
        """Verify an ID token of our own client and return whom it stands for."""
        ...

    def metadata(self, provider: str) -> ProviderMetadata:
        """Return what a provider publishes about itself; raises ProviderUnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that a browser has begun. Times and `max_age` are seconds.

    `return_to` is where the browser goes afterwards. Stored format: JSON of these fields, sealed; it lives for
    `LOGIN_WITHIN_S`, and what an older version has sealed may be refused: the person begins again.
    """

    provider: str
    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    return_to: str
    began_at: int
    max_age: int | None


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """Where the browser goes to log in, and the sealed login it must bring back with the answer of that `state`."""

    url: str
    state: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class FinishedLogin:
    """Who logged in. `refresh_token` is the provider's own, a secret; None where it gave none."""

    principal: Principal
    refresh_token: str | None = field(repr=False)


class RelyingParty:
    """Begins and finishes logins at every provider that has a `client_id`; belongs to one event loop.

    `clock` gives seconds since the Unix epoch, `monotonic` seconds that never go back; `transport` replaces the network
    in tests.
    """

    def __init__(
        self,
        providers: Sequence[ProviderSettings],
        federation: LoginFederation,
        sealer: Sealer,
        *,
        public_url: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._providers = {each.name: each for each in providers if each.has_login}
        self._federation = federation
        self._sealer = sealer
        self._public_url = public_url
        self._clock = clock
        self._http = {name: provider_client(each, transport) for name, each in self._providers.items()}
        self._calls = {
            name: TokenCalls(name, login_within_s=LOGIN_WITHIN_S, monotonic=monotonic) for name in self._providers
        }

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of the providers that people can log in at, in configured order."""
        return tuple(self._providers)

    async def close(self) -> None:
        """Close the connections."""
        for http in self._http.values():
            await http.aclose()

    def begin(
        self,
        provider: str,
        return_to: str,
        *,
        acr_values: str | None = None,
        max_age: int | None = None,
        prompt: str | None = None,
    ) -> BegunLogin:
        """Begin a login. `return_to` must be one of the gateway's own pages.

        `acr_values` and `prompt` are passed on; the login that comes of it is held to `max_age`, in seconds. Raises
        KeyError for an unknown provider, ValueError for another `return_to`, ProviderUnavailableError.
        """
        settings = self._providers[provider]
        if not is_own_page(return_to):
            raise ValueError("return_to is not one of the gateway's pages")
        metadata = self._federation.metadata(provider)
        pending = PendingLogin(
            provider=provider,
            state=secrets.token_hex(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            return_to=return_to,
            began_at=int(self._clock()),
            max_age=max_age,
        )
        if max_age == 0:
            # The two mean the same, and some providers know only this one (OpenID Connect Core 1.0, section 3.1.2.1).
            prompt = "login"
        wishes = {"acr_values": acr_values, "max_age": str(max_age) if max_age is not None else None, "prompt": prompt}
        url = authorization_url(
            str(settings.client_id),
            _endpoint(settings, "authorization_endpoint", metadata.authorization_endpoint),
            scopes=settings.scopes,
            redirect_uri=redirect_uri(self._public_url, provider),
            state=pending.state,
            nonce=pending.nonce,
            verifier=pending.verifier,
            **{name: wish for name, wish in wishes.items() if wish is not None},
        )
        return BegunLogin(url, pending.state, self._sealer.seal(_PURPOSE, json.dumps(asdict(pending)).encode()))

    def pending(self, state: str, sealed: bytes) -> PendingLogin:
        """Return the login of that `state`, as this browser brought it back; raises LoginError (login_not_begun).

        The reasons are not told apart: each means that this browser has no such login under way.
        """
        pending = self.unsealed(sealed)
        if pending is None or not is_state(state) or not hmac.compare_digest(pending.state, state):
            raise LoginError("login_not_begun", "this browser has begun no such login, or too long ago: begin again")
        return pending

    def unsealed(self, sealed: bytes) -> PendingLogin | None:
        """Return the login that a browser brought, None where it is not one or is over."""
        try:
            pending = PendingLogin(**json.loads(self._sealer.open(_PURPOSE, sealed)))
        except (SealError, ValueError, TypeError):
            return None
        over = not 0 <= self._clock() - pending.began_at < LOGIN_WITHIN_S
        return None if over or pending.provider not in self._providers else pending

    async def finish(self, pending: PendingLogin, answer: Mapping[str, str], *, came_to: str) -> FinishedLogin:
        """Return who logged in, by the authorization response `answer` to that login.

        `came_to` is the provider whose redirect URI the response came to. A code is redeemed once for a login, whatever
        comes of it. Raises LoginError, InvalidCredentialError where the ID token is not good, and
        ProviderUnavailableError.
        """
        settings = self._providers[pending.provider]
        metadata = self._federation.metadata(pending.provider)
        if came_to != settings.name:
            raise wrong_issuer()
        code = authorization_code(answer, issuer=settings.issuer, sends_issuer=metadata.sends_issuer)
        async with self._calls[settings.name].redemption(pending.state):
            tokens = await self._tokens(
                settings,
                metadata,
                grant_type="authorization_code",
                code=code,
                redirect_uri=redirect_uri(self._public_url, settings.name),
                code_verifier=pending.verifier,
            )
        id_token = _text(tokens, "id_token")
        if id_token is None:
            raise LoginError("no_id_token", f"the provider {settings.name} gave no ID token: tell the platform team")
        principal = await self._principal(settings.name, id_token, tokens, pending.nonce)
        _check_age(principal, pending, settings.leeway_s)
        return FinishedLogin(principal, _text(tokens, "refresh_token"))

    async def renew(self, grant: Grant, provider_refresh_token: str) -> tuple[Principal, str | None]:
        """Ask the provider of a grant again: whom it vouches for now, and its next refresh token where it gave one.

        A provider may leave the ID token out of its answer (OpenID Connect Core 1.0, section 12.2): it still vouches
        then, and the grant's own facts stand. Raises LoginError (`invalid_grant` where the provider says no),
        InvalidCredentialError where its ID token is not good, and ProviderUnavailableError.
        """
        settings = self._providers.get(grant.provider)
        if settings is None:
            # Taken out of the configuration: it can't vouch for anybody any more.
            raise LoginError("invalid_grant", f"nobody can log in through {grant.provider} any more")
        metadata = self._federation.metadata(settings.name)
        async with self._calls[settings.name].renewal():
            tokens = await self._tokens(
                settings, metadata, grant_type="refresh_token", refresh_token=provider_refresh_token
            )
        next_token = _text(tokens, "refresh_token")
        id_token = _text(tokens, "id_token")
        if id_token is None:
            return principal_of_grant(grant), next_token
        principal = await self._principal(settings.name, id_token, tokens, None)
        if principal.token_subject != grant.token_subject:
            raise LoginError("invalid_grant", f"the provider {settings.name} renewed the login for somebody else")
        return principal, next_token

    async def _tokens(self, settings: ProviderSettings, metadata: ProviderMetadata, **form: str) -> JsonObject:
        endpoint = _endpoint(settings, "token_endpoint", metadata.token_endpoint)
        credential = await asyncio.to_thread(_credential, settings)
        try:
            return await request_tokens(self._http[settings.name], settings, endpoint, credential, form)
        except TokenRefusedError as refused:
            if refused.error in _OUR_FAULT:
                _log.error(
                    "identity.providers, %s: the provider does not accept the gateway's own client (%s): check "
                    "client_id and %s; a client secret may have expired",
                    settings.name,
                    refused.error,
                    _secret_setting(settings),
                )
                raise _client_refused(settings) from None
            if refused.error == "invalid_grant":
                detail = f"the provider {settings.name} does not accept its own answer (any more): begin again"
                raise LoginError("invalid_grant", detail) from None
            detail = f"the provider {settings.name} gave no token ({refused.error}): tell the platform team"
            raise LoginError("provider_error", detail) from None

    async def _principal(self, provider: str, id_token: str, tokens: JsonObject, nonce: str | None) -> Principal:
        access_token = _text(tokens, "access_token")
        return await self._federation.login(
            provider,
            id_token.encode(),
            nonce=nonce,
            access_token=access_token.encode() if access_token is not None else None,
        )


def redirect_uri(public_url: str, provider: str) -> str:
    """Return where a provider sends its answers: each to an address of its own (RFC 9700, section 4.4.2.2).

    A bad provider can send a browser on to a good one, in the good one's name; the answer then arrives at the good
    one's address for a login at the bad one, and the code is not sent to anybody. Few providers send `iss`.
    """
    return f"{public_url}{CALLBACK_PATH}/{provider}"


def is_state(text: str) -> bool:
    """Tell whether a text has the form of a `state` that was made here."""
    return _STATE.fullmatch(text) is not None


def _check_age(principal: Principal, pending: PendingLogin, leeway_s: int) -> None:
    """Hold a login to the `max_age` it was asked for (OpenID Connect Core 1.0, section 3.1.3.7, number 13)."""
    if pending.max_age is None:
        return
    if principal.authenticated_at is None:
        detail = f"the provider {pending.provider} does not say when you logged in (auth_time): tell the platform team"
        raise LoginError("login_age_unknown", detail)
    if principal.authenticated_at < pending.began_at - pending.max_age - leeway_s:
        detail = f"the provider {pending.provider} did not ask you to log in anew: log out there, and begin again"
        raise LoginError("login_too_old", detail)


def _credential(settings: ProviderSettings) -> ClientCredential:
    """Read the client's secret anew. Blocks."""
    try:
        return own_credential(settings)
    except SecretError as error:
        _log.error("%s", error)
        raise _client_refused(settings) from None


def _client_refused(settings: ProviderSettings) -> LoginError:
    detail = f"the gateway can't identify itself to the provider {settings.name}: tell the platform team"
    return LoginError("client_refused", detail)


def _endpoint(settings: ProviderSettings, name: str, url: str | None) -> str:
    if url is None:
        raise ProviderUnavailableError(settings.name, f"its metadata names no {name}, so nobody can log in through it")
    return url


def _secret_setting(settings: ProviderSettings) -> str:
    if settings.client_secret_file is not None:
        return f"client_secret_file ({settings.client_secret_file})"
    if settings.client_secret_env is not None:
        return f"client_secret_env ({settings.client_secret_env})"
    return "client_auth"


def _text(document: JsonObject, member: str) -> str | None:
    value = document.get(member)
    return value if isinstance(value, str) and value and value.isascii() and value.isprintable() else None
