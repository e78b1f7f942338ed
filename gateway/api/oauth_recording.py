"""Leaves a record of what the OAuth endpoints do, before it has any effect for the caller."""

from collections.abc import Awaitable, Callable

from audit.record import AuthnAction, authn
from gateway.api.oauth_services import OAuthServices
from gateway.exchange import Exchange
from identity.issuer.oauth_error import OAuthError
from identity.principal import Principal


def recorder(
    services: OAuthServices, exchange: Exchange, action: AuthnAction, client: str
) -> Callable[[Principal, str], Awaitable[None]]:
    """Return what records that something is done for a principal; it raises AuditUnavailableError."""

    async def record(principal: Principal, detail: str) -> None:
        await services.audit.append(
            authn(
                request_id=exchange.request_id,
                time_us=exchange.received_us,
                instance=services.instance,
                action=action,
                result="ok",
                actor=principal,
                source=exchange.source,
                client=client,
                provider=principal.provider,
                session=principal.session,
                detail=detail,
            )
        )

    return record


async def record_refusal(
    services: OAuthServices, exchange: Exchange, action: AuthnAction, client: str, error: OAuthError
) -> None:
    """Record that something was refused, and to nobody in particular; raises AuditUnavailableError."""
    await services.audit.append(
        authn(
            request_id=exchange.request_id,
            time_us=exchange.received_us,
            instance=services.instance,
            action=action,
            result="fail",
            actor=None,
            source=exchange.source,
            client=client,
            provider="",
            session=None,
            detail=f"{error.error}: {error.description}",
        )
    )
