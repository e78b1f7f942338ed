"""Leaves a record of what the OAuth endpoints do, before it has any effect for the caller."""

from collections.abc import Awaitable, Callable

from audit.record import AuthnAction
from gateway.api.oauth_services import OAuthServices
from gateway.exchange import Exchange
from gateway.recording import authn_record
from identity.issuer.oauth_error import OAuthError
from identity.principal import Principal


def recorder(
    services: OAuthServices, exchange: Exchange, action: AuthnAction, client: str
) -> Callable[[Principal, str], Awaitable[None]]:
    """Return what records that something is done for a principal; it raises AuditUnavailableError."""

    async def record(principal: Principal, detail: str) -> None:
        await services.audit.append(
            authn_record(
                exchange,
                services.instance,
                action,
                "ok",
                client=client,
                detail=detail,
                actor=principal,
                provider=principal.provider,
                session=principal.session,
            )
        )

    return record


async def record_refusal(
    services: OAuthServices, exchange: Exchange, action: AuthnAction, client: str, error: OAuthError
) -> None:
    """Record that something was refused, and to nobody in particular; raises AuditUnavailableError."""
    detail = f"{error.error}: {error.description}"
    await services.audit.append(authn_record(exchange, services.instance, action, "fail", client=client, detail=detail))
