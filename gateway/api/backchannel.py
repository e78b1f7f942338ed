"""The back-channel logout endpoint: any provider says here that a session has ended (OpenID Connect Back-Channel Logout
1.0, section 2.5).

Anybody can send to it. A token is looked at as cheaply as `identity.logout_token` can, and only a provider's good one
reaches the store. Answered 200, the logout is durable, has reached this process, and reaches the other replicas
through the store.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from fastapi import APIRouter, Request, Response

from audit.log import AuditLog
from gateway.api.forms import form_of
from gateway.api.oauth_answers import OAuthRoute
from gateway.api.problem_error import exchange_of
from gateway.exchange import Exchange
from gateway.recording import authn_record
from identity.authenticator import InvalidCredentialError
from identity.issuer.oauth_error import OAuthError
from identity.logout_token import LogoutTokens, ProviderLogout
from identity.state import GrantStore, RevocationStore, StateUnavailableError

PATH: Final = "/-/login/backchannel"
# Longer than any token that is accepted, so that its own refusal is told.
_TOKEN_PARAMETER: Final = 20_000


@dataclass(frozen=True, slots=True)
class BackchannelServices:
    """What the route needs.

    `in_force` puts in force, in this process, what was just written (see `IdentitySync.catch_up`).
    """

    tokens: LogoutTokens
    grants: GrantStore
    revocations: RevocationStore
    audit: AuditLog
    instance: str
    in_force: Callable[[], Awaitable[None]]


def router(services: BackchannelServices) -> APIRouter:
    """Return the route."""
    routes = APIRouter(route_class=OAuthRoute, include_in_schema=False)

    @routes.post(PATH)
    async def backchannel_logout(request: Request) -> Response:
        """End what a logout token says has ended."""
        token = (await form_of(request)).required("logout_token", longest=_TOKEN_PARAMETER)
        await _log_out(services, exchange_of(request), token.encode("ascii"))
        return Response(headers={"cache-control": "no-store"})

    return routes


async def _log_out(services: BackchannelServices, exchange: Exchange, token: bytes) -> None:
    try:
        logout = await services.tokens.verify(token)
    except InvalidCredentialError as error:
        await _record(services, exchange, "fail", "", f"{error.code}: {error.detail}")
        raise OAuthError("invalid_request", error.detail) from None
    # Taking access away does not wait for the log: where this can't be recorded it is done all the same, and the
    # provider, answered 503, says it again.
    ended = await asyncio.to_thread(_end, services, logout)
    try:
        await services.in_force()
    except StateUnavailableError:
        # It is written; whoever follows the store will see it.
        pass
    whose = "one of the provider's sessions" if logout.session is not None else f"all of {logout.subject}"
    sessions = "1 session" if ended == 1 else f"{ended} sessions"
    await _record(services, exchange, "ok", logout.provider, f"the provider ended {whose}: {sessions} here")
    # Until here the provider may send the token again, from here on it has been used.
    services.tokens.use(logout)


def _end(services: BackchannelServices, logout: ProviderLogout) -> int:
    # The revocation first: a crash between the two leaves nobody in with a token that the provider has issued, and
    # the provider repeats what was not answered.
    services.revocations.revoke(logout.revocations())
    now = int(time.time())
    return sum(len(services.grants.end_grants(now=now, reason="provider_logout", **terms)) for terms in logout.grants())


async def _record(
    services: BackchannelServices, exchange: Exchange, result: Literal["ok", "fail"], provider: str, detail: str
) -> None:
    await services.audit.append(
        authn_record(
            exchange, services.instance, "logout", result, client="backchannel", detail=detail, provider=provider
        )
    )
