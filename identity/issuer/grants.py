"""A grant's facts and its principal's are the same, in both directions."""

import secrets
from dataclasses import replace

from identity.principal import Confirmation, Limits, Principal
from identity.state import Grant


def new_grant(
    principal: Principal,
    *,
    client: str,
    source: str,
    limits: Limits,
    confirmation: Confirmation | None,
    now: int,
    expires_at: int,
) -> Grant:
    """Return a grant for a principal that has just logged in."""
    return Grant(
        id=secrets.token_urlsafe(24),
        client=client,
        subject=principal.subject,
        kind=principal.kind,
        provider=principal.provider,
        issuer=principal.issuer,
        token_subject=principal.token_subject,
        username=principal.username,
        groups=principal.groups,
        email=principal.email,
        provisioned_as=principal.provisioned_as,
        provider_session=principal.provider_session,
        authenticated_at=principal.authenticated_at,
        acr=principal.acr,
        amr=principal.amr,
        limits=limits,
        confirmation=confirmation,
        source=source,
        created_at=now,
        renewed_at=now,
        expires_at=expires_at,
    )


def principal_of_grant(grant: Grant) -> Principal:
    """Return whom a grant stands for, as old as the grant: a revocation since its login reaches it.

    There is no token yet, so `token_sha256` is empty.
    """
    return Principal(
        subject=grant.subject,
        provider=grant.provider,
        issuer=grant.issuer,
        token_subject=grant.token_subject,
        username=grant.username,
        groups=grant.groups,
        expires_at=grant.expires_at,
        issued_at=grant.created_at,
        authenticated_at=grant.authenticated_at,
        acr=grant.acr,
        amr=grant.amr,
        token_sha256="",
        kind=grant.kind,
        email=grant.email,
        provisioned_as=grant.provisioned_as,
        session=grant.id,
        provider_session=grant.provider_session,
        confirmation=grant.confirmation,
        limits=grant.limits,
    )


def with_facts_of(grant: Grant, principal: Principal) -> Grant:
    """Return the grant with what its provider says now.

    What a renewal's answer leaves out (an ID token is not asked to repeat how the person logged in) stays as it was.
    """
    return replace(
        grant,
        username=principal.username,
        groups=principal.groups,
        email=principal.email,
        provisioned_as=principal.provisioned_as if principal.provisioned_as is not None else grant.provisioned_as,
        provider_session=principal.provider_session or grant.provider_session,
        authenticated_at=principal.authenticated_at or grant.authenticated_at,
        acr=principal.acr or grant.acr,
        amr=principal.amr or grant.amr,
    )


def is_same_account(grant: Grant, principal: Principal) -> bool:
    """Tell whether a principal is still the one that the grant was made for."""
    return (grant.subject, grant.provider, grant.token_subject) == (
        principal.subject,
        principal.provider,
        principal.token_subject,
    )
