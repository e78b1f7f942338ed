"""Sessions as people begin and end them with a browser, each step recorded before anything comes of it."""

from dataclasses import replace
from typing import Literal

from fastapi import Request

from audit.record import AuthnAction
from audit.store import AuditUnavailableError
from gateway.api.problem_error import exchange_of
from gateway.console.services import ConsoleServices
from gateway.recording import authn_record
from identity.principal import UNLIMITED, Limits, Principal
from identity.state import Grant


async def begin_recorded(
    services: ConsoleServices,
    request: Request,
    principal: Principal,
    *,
    client: str,
    source: str,
    provider_refresh_token: str | None,
    detail: str,
    limits: Limits = UNLIMITED,
) -> Grant:
    """Return a new session's grant once that is recorded; raises AuditUnavailableError, and no session is left then."""
    grant = await services.sessions.begin(
        principal, client=client, source=source, provider_refresh_token=provider_refresh_token, limits=limits
    )
    try:
        who = replace(principal, session=grant.id)
        await _record(services, request, who, action="login", client=client, detail=detail)
    except AuditUnavailableError:
        await services.sessions.end(grant.id, "revoked")
        raise
    return grant


async def end_recorded(
    services: ConsoleServices, request: Request, principal: Principal, grant: Grant, detail: str
) -> None:
    """End one of a person's sessions; raises AuditUnavailableError where it has ended unrecorded."""
    await services.sessions.end(grant.id, "logged_out")
    who = replace(principal, session=grant.id)
    await _record(services, request, who, action="logout", client=grant.client, detail=detail)


async def record_refusal(
    services: ConsoleServices, request: Request, who: Principal | str, *, client: str, reason: str
) -> None:
    """Record that a login came to nothing; `who` is a person or, where nobody is known, the provider.

    `reason` holds nothing that was sent. Raises AuditUnavailableError.
    """
    await _record(services, request, who, action="login", result="fail", client=client, detail=reason)


async def _record(
    services: ConsoleServices,
    request: Request,
    who: Principal | str,
    *,
    action: AuthnAction,
    result: Literal["ok", "fail"] = "ok",
    client: str,
    detail: str,
) -> None:
    actor = who if isinstance(who, Principal) else None
    await services.audit.append(
        authn_record(
            exchange_of(request),
            services.instance,
            action,
            result,
            client=client,
            detail=detail,
            actor=actor,
            provider=who.provider if isinstance(who, Principal) else who,
            session=actor.session if actor is not None else None,
        )
    )
