"""The back-channel logout endpoint: any provider says here that a session has ended (OpenID Connect Back-Channel Logout
1.0, section 2.5).

Anybody can send to it. A body is read up to 32 KiB, a token is looked at as cheaply as `identity.logout_token` can, and
only a provider's good token reaches the store. Answered 200, the logout is durable, has reached this process, and
reaches the other replicas through the store.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from audit.log import AuditLog
from audit.record import authn
from audit.store import AuditUnavailableError
from gateway.api.problem_error import exchange_of
from gateway.exchange import Exchange
from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.logout_token import LogoutTokens, ProviderLogout
from identity.state import GrantStore, RevocationStore, StateUnavailableError

PATH: Final = "/-/login/backchannel"
MAX_BODY_BYTES: Final = 32 * 1024

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class BackchannelServices:
    """What the route needs.

    `changed` puts what was just written in force in this process; it may raise StateUnavailableError.
    """

    tokens: LogoutTokens
    grants: GrantStore
    revocations: RevocationStore
    audit: AuditLog
    instance: str
    changed: Callable[[], Awaitable[None]]


class _RefusedError(Exception):
    """The logout did not happen; `code` is one of OAuth's (RFC 6749, section 5.2)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


def router(services: BackchannelServices) -> APIRouter:
    """Return the route."""
    routes = APIRouter(include_in_schema=False)

    @routes.post(PATH)
    async def backchannel_logout(request: Request) -> Response:
        """End what a logout token says has ended."""
        headers = {"cache-control": "no-store"}
        try:
            await _log_out(services, exchange_of(request), await _token(request))
        except _RefusedError as error:
            if error.status == 503:
                headers["retry-after"] = "5"
            body = json.dumps({"error": error.code, "error_description": error.detail})
            return Response(body, status_code=error.status, headers=headers, media_type="application/json")
        return Response(status_code=200, headers=headers)

    return routes


async def _token(request: Request) -> bytes:
    """Return the form's one `logout_token`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise _RefusedError(400, "invalid_request", f"send a form ({_FORM})")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BODY_BYTES:
            raise _RefusedError(400, "invalid_request", f"the form is longer than {MAX_BODY_BYTES} bytes")
    try:
        fields = parse_qsl(bytes(data).decode("ascii"), keep_blank_values=True, max_num_fields=20)
        tokens = [value.encode("ascii") for name, value in fields if name == "logout_token"]
    except ValueError:
        raise _RefusedError(400, "invalid_request", "the form can't be read") from None
    if len(tokens) != 1:
        raise _RefusedError(400, "invalid_request", "send one logout_token")
    return tokens[0]


async def _log_out(services: BackchannelServices, exchange: Exchange, token: bytes) -> None:
    try:
        logout = await services.tokens.verify(token)
    except ProviderUnavailableError as error:
        detail = f"the keys of the provider {error.provider} can't be had now: try again"
        raise _RefusedError(503, "temporarily_unavailable", detail) from None
    except InvalidCredentialError as error:
        await _record(services, exchange, "fail", "", f"{error.code}: {error.detail}")
        raise _RefusedError(400, "invalid_request", error.detail) from None
    if services.audit.problem is not None:
        raise _unavailable()
    try:
        ended = await asyncio.to_thread(_end, services, logout)
    except StateUnavailableError:
        raise _unavailable() from None
    # Until here the provider may send the token again, from here on it has been used.
    services.tokens.use(logout)
    try:
        await services.changed()
    except StateUnavailableError:
        # It is written; whoever follows the store will see it.
        pass
    whose = "one of the provider's sessions" if logout.session is not None else f"all of {logout.subject}"
    sessions = "1 session" if ended == 1 else f"{ended} sessions"
    await _record(services, exchange, "ok", logout.provider, f"the provider ended {whose}: {sessions} here")


def _end(services: BackchannelServices, logout: ProviderLogout) -> int:
    # The revocation first: a crash between the two leaves nobody in with a token that the provider has issued, and
    # the provider repeats what was not answered.
    services.revocations.revoke([logout.revocation()])
    now = int(time.time())
    return len(services.grants.end_grants(now=now, reason="provider_logout", **logout.grants()))


async def _record(
    services: BackchannelServices, exchange: Exchange, result: Literal["ok", "fail"], provider: str, detail: str
) -> None:
    entry = authn(
        request_id=exchange.request_id,
        time_us=exchange.received_us,
        instance=services.instance,
        action="logout",
        result=result,
        actor=None,
        source=exchange.source,
        client="backchannel",
        provider=provider,
        session=None,
        detail=detail,
    )
    try:
        await services.audit.append(entry)
    except AuditUnavailableError:
        raise _unavailable() from None


def _unavailable() -> _RefusedError:
    detail = "the gateway can't read or write its identity state or its log now: try again"
    return _RefusedError(503, "temporarily_unavailable", detail)
