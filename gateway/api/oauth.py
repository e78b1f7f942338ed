"""The gateway's OAuth endpoints that programs talk to (RFC 6749, 7009, 7662, 8628, 8693); people's are pages."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from audit.record import AuthnAction
from gateway.api.forms import form_of
from gateway.api.oauth_answers import OAuthRoute, not_kept, proof_error
from gateway.api.oauth_clients import check_introspection_client
from gateway.api.oauth_delegation import delegation_check
from gateway.api.oauth_recording import record_refusal, recorder
from gateway.api.oauth_services import AUTHORIZE, DEVICE_AUTHORIZATION, INTROSPECT, JWKS, REVOKE, TOKEN, OAuthServices
from gateway.api.problem_error import ProblemError, exchange_of
from gateway.exchange import Exchange
from gateway.problems import Problem
from identity.authenticator import InvalidCredentialError
from identity.dpop import InvalidProofError
from identity.issuer.access_tokens import TokenAnswer
from identity.issuer.clients import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN, TOKEN_EXCHANGE, client_of
from identity.issuer.exchange import ExchangeRequest
from identity.issuer.grants import principal_of_grant
from identity.issuer.introspection import introspect, token_revocation
from identity.issuer.narrowing import requested_limits
from identity.issuer.oauth_error import OAuthError
from identity.issuer.parameters import Parameters
from identity.principal import Confirmation

MISSING: Final = Problem(
    "identity_state_missing", "this gateway accepts tokens and makes none: identity.state is not configured"
)
# A key is published ten minutes before it signs.
_KEYS_KEPT: Final = {"cache-control": "public, max-age=300"}
# What a device asks every few seconds is no event.
_NOT_RECORDED: Final = frozenset(("authorization_pending", "slow_down"))

_Grant = Callable[[OAuthServices, Exchange, Parameters, Confirmation | None], Awaitable[TokenAnswer]]


def router(services: OAuthServices | None) -> APIRouter:
    """Return the routes; without services each says that there is no issuer here."""
    if services is None:
        return _missing()
    routes = APIRouter(route_class=OAuthRoute)

    @routes.post(TOKEN, response_class=JSONResponse)
    async def token(request: Request) -> Response:
        """Give out tokens: for a code, a device, a refresh token, or other tokens."""
        return not_kept(await _token(services, request))

    @routes.post(DEVICE_AUTHORIZATION, response_class=JSONResponse)
    async def device_authorization(request: Request) -> Response:
        """Begin the login of a device that has no browser."""
        parameters = await form_of(request)
        source = exchange_of(request).source
        return not_kept((await services.devices.begin(parameters, client_of(parameters), source)).document())

    @routes.post(INTROSPECT, response_class=JSONResponse)
    async def introspection(request: Request) -> Response:
        """Tell a configured client what a token of the gateway's stands for."""
        parameters = await form_of(request)
        check_introspection_client(exchange_of(request), parameters, services.clients)
        shown = parameters.required("token", longest=20_000)
        return not_kept(await introspect(shown, services.federation, services.issuer))

    @routes.post(REVOKE)
    async def revocation(request: Request) -> Response:
        """End the session of a refresh token, or one access token; what is not known needs no ending."""
        parameters = await form_of(request)
        await _revoke(services, exchange_of(request), parameters)
        return Response(headers={"cache-control": "no-store"})

    @routes.get(JWKS, response_class=JSONResponse)
    async def jwks() -> Response:
        """Return the keys that the gateway's tokens are signed with."""
        return JSONResponse(services.keys.jwks(), headers=_KEYS_KEPT)

    return routes


async def _token(services: OAuthServices, request: Request) -> dict[str, Any]:
    parameters, exchange = await form_of(request), exchange_of(request)
    grant_type = parameters.required("grant_type")
    if grant_type not in _GRANTS:
        raise OAuthError("unsupported_grant_type", "no such grant type is served: see the metadata")
    action, run = _GRANTS[grant_type]
    try:
        _check_public(exchange)
        answer = await run(services, exchange, parameters, services.offered(exchange))
    except InvalidProofError as error:
        await record_refusal(services, exchange, action, _client_id(parameters), proof_error(error))
        raise
    except OAuthError as error:
        if error.error not in _NOT_RECORDED:
            await record_refusal(services, exchange, action, _client_id(parameters), error)
        raise
    return answer.document()


def _check_public(exchange: Exchange) -> None:
    assert exchange.headers is not None
    if exchange.headers.authorization is not None:
        raise OAuthError("invalid_client", "the clients here are public: send client_id alone", status=401)


async def _by_code(
    services: OAuthServices, exchange: Exchange, parameters: Parameters, confirmation: Confirmation | None
) -> TokenAnswer:
    client = client_of(parameters)
    grant_id = await services.authorization.redeem(parameters, client, confirmation)
    record = recorder(services, exchange, "login", client.id)
    return await services.sessions.answer(grant_id, client, confirmation, record)


async def _by_device(
    services: OAuthServices, exchange: Exchange, parameters: Parameters, confirmation: Confirmation | None
) -> TokenAnswer:
    client = client_of(parameters)
    grant_id = await services.devices.poll(parameters.required("device_code"), client)
    record = recorder(services, exchange, "login", client.id)
    return await services.sessions.answer(grant_id, client, confirmation, record)


async def _by_refresh_token(
    services: OAuthServices, exchange: Exchange, parameters: Parameters, confirmation: Confirmation | None
) -> TokenAnswer:
    client = client_of(parameters)
    limits = requested_limits(parameters, services.issuer)
    record = recorder(services, exchange, "renew", client.id)
    return await services.sessions.renew(parameters.required("refresh_token"), client, limits, confirmation, record)


async def _by_exchange(
    services: OAuthServices, exchange: Exchange, parameters: Parameters, confirmation: Confirmation | None
) -> TokenAnswer:
    named = client_of(parameters).id if parameters.get("client_id") is not None else None
    asked = ExchangeRequest.read(parameters, issuer=services.issuer, client_id=named)
    return await services.exchange.exchange(
        asked,
        may_act=delegation_check(services.policy(), exchange),
        confirmation=confirmation,
        record=recorder(services, exchange, "exchange", asked.client_id),
    )


_GRANTS: Final[Mapping[str, tuple[AuthnAction, _Grant]]] = {
    AUTHORIZATION_CODE: ("login", _by_code),
    DEVICE_CODE: ("login", _by_device),
    REFRESH_TOKEN: ("renew", _by_refresh_token),
    TOKEN_EXCHANGE: ("exchange", _by_exchange),
}


async def _revoke(services: OAuthServices, exchange: Exchange, parameters: Parameters) -> None:
    client_id = client_of(parameters).id if parameters.get("client_id") is not None else ""
    record = recorder(services, exchange, "revoke", client_id)
    shown = parameters.required("token", longest=20_000)
    grant = await services.sessions.grant_of(shown)
    if grant is not None:
        if grant.ended_at is None:
            await record(principal_of_grant(grant), f"the session {grant.id}")
            await services.sessions.end(grant.id, "logged_out")
        return
    try:
        principal = await services.federation.authenticate(shown.encode("ascii"))
    except InvalidCredentialError:
        return
    # A provider's token too: its holder may have the gateway refuse it from now on.
    await record(principal, f"the token with the SHA-256 {principal.token_sha256}")
    revoked = token_revocation(principal, int(time.time()))
    await asyncio.to_thread(services.revocations.revoke, [revoked])
    await services.in_force()


def _client_id(parameters: Parameters) -> str:
    """Return the client for the record, where it is a known one: else it may be anything, a token by mistake."""
    try:
        return client_of(parameters).id
    except OAuthError:
        return ""


def _missing() -> APIRouter:
    routes = APIRouter()

    async def missing() -> Response:
        """Say that this gateway makes no tokens."""
        raise ProblemError(MISSING)

    for path in (TOKEN, DEVICE_AUTHORIZATION, INTROSPECT, REVOKE):
        routes.add_api_route(path, missing, methods=["POST"])
    for path in (AUTHORIZE, JWKS):
        routes.add_api_route(path, missing, methods=["GET"])
    return routes
