"""Grants and their refresh tokens, in SQL."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import Connection, Row, or_, select

from adapters.state.journal import lock_changes
from adapters.state.revocations import write_revocations
from adapters.state.schema import grants
from adapters.state.sql_part import SqlPart, prune
from identity.principal import Confirmation, Limits
from identity.revocation import Revocation
from identity.state import EndReason, Grant, UsedLogin

KEPT_S: Final = 30 * 86_400
# No access token is good for longer: `access_token_s` is an hour at most, and clocks may differ by ten minutes. So a
# session's revocation may be forgotten then.
SESSION_REVOKED_FOR_S: Final = 3600 + 600

# Each is written by a method of its own, `end_grants` (which revokes the grant too) or `use_login`: a renewal that has
# read the grant before must not undo it.
_NOT_UPDATED: Final = ("ended_at", "end_reason", "login_used_at")
_PLAIN: Final = tuple(field.name for field in fields(Grant) if field.name not in ("limits", "confirmation"))


class SqlGrants(SqlPart):
    """See `identity.state.GrantStore`."""

    def add_grant(self, grant: Grant) -> None:
        """See `GrantStore.add_grant`; some that have been over for KEPT_S are forgotten."""
        before = grant.created_at - KEPT_S
        with self._database.transaction() as connection:
            prune(connection, grants.c.id, or_(grants.c.ended_at < before, grants.c.expires_at < before))
            connection.execute(grants.insert().values(_row_of(grant)))

    def grant(self, grant_id: str) -> Grant | None:
        """See `GrantStore.grant`."""
        with self._database.transaction() as connection:
            row = connection.execute(select(grants).where(grants.c.id == grant_id)).first()
        return None if row is None else _grant_of(row)

    def update_grant(self, grant: Grant) -> bool:
        """See `GrantStore.update_grant`."""
        living = grants.c.id == grant.id, grants.c.ended_at.is_(None)
        values = {name: value for name, value in _row_of(grant).items() if name not in _NOT_UPDATED}
        with self._database.transaction() as connection:
            return connection.execute(grants.update().where(*living).values(values)).rowcount == 1

    def use_login(self, grant_id: str, now: int) -> UsedLogin | None:
        """See `GrantStore.use_login`."""
        unused = grants.c.login_used_at.is_(None), grants.c.ended_at.is_(None), grants.c.expires_at > now
        using = (
            grants.update()
            .where(grants.c.id == grant_id, *unused)
            .values(login_used_at=now)
            .returning(grants.c.sealed_refresh_token)
        )
        with self._database.transaction() as connection:
            # One statement tells and marks: of two at the same time the database lets one see an unused login. It
            # returns what the row holds after it, so taking the token out is another.
            used = connection.execute(using).first()
            if used is None:
                return None
            connection.execute(grants.update().where(grants.c.id == grant_id).values(sealed_refresh_token=None))
        return UsedLogin(used.sealed_refresh_token)

    def end_grants(
        self,
        *,
        now: int,
        reason: EndReason,
        grant_id: str | None = None,
        subject: str | None = None,
        account: tuple[str, str] | None = None,
        provider_session: tuple[str, str] | None = None,
        unnamed_session: tuple[str, str] | None = None,
        provisioned: tuple[str, str] | None = None,
        created_until: int | None = None,
    ) -> tuple[str, ...]:
        """See `GrantStore.end_grants`; raises ValueError where no grant is named."""
        terms = []
        if grant_id is not None:
            terms.append(grants.c.id == grant_id)
        if subject is not None:
            terms.append(grants.c.subject == subject)
        if account is not None:
            terms += [grants.c.provider == account[0], grants.c.token_subject == account[1]]
        if provider_session is not None:
            terms += [grants.c.provider == provider_session[0], grants.c.provider_session == provider_session[1]]
        if unnamed_session is not None:
            terms += [grants.c.provider == unnamed_session[0], grants.c.token_subject == unnamed_session[1]]
            terms.append(grants.c.provider_session.is_(None))
        if provisioned is not None:
            terms += [grants.c.provider == provisioned[0], grants.c.provisioned_as == provisioned[1]]
        if not terms:
            raise ValueError("name the grants to end: otherwise all would be")
        if created_until is not None:
            terms.append(grants.c.created_at <= created_until)
        with self._database.transaction() as connection:
            return _end(connection, terms, now, reason)

    def living_grants(self, subject: str, now: int) -> Sequence[Grant]:
        """See `GrantStore.living_grants`."""
        query = (
            select(grants)
            .where(grants.c.subject == subject, grants.c.ended_at.is_(None), grants.c.expires_at > now)
            .order_by(grants.c.created_at.desc(), grants.c.id)
        )
        with self._database.transaction() as connection:
            return [_grant_of(row) for row in connection.execute(query)]


def _end(connection: Connection, terms: list[Any], now: int, reason: EndReason) -> tuple[str, ...]:
    # The journal's lock comes before the grants', as everywhere: see `journal`.
    lock_changes(connection)
    ending = (
        grants.update()
        .where(grants.c.ended_at.is_(None), *terms)
        .values(ended_at=now, end_reason=reason, sealed_refresh_token=None)
        .returning(grants.c.id)
    )
    ended = tuple(connection.execute(ending).scalars())
    write_revocations(connection, [Revocation("session", each, now, now + SESSION_REVOKED_FOR_S) for each in ended])
    return ended


def _row_of(grant: Grant) -> dict[str, object]:
    confirmation = grant.confirmation
    return {name: getattr(grant, name) for name in _PLAIN} | {
        "limit_backends": grant.limits.backends,
        "limit_actions": grant.limits.actions,
        "confirmation_method": confirmation.method if confirmation else None,
        "confirmation_thumbprint": confirmation.thumbprint if confirmation else None,
    }


def _grant_of(row: Row[Any]) -> Grant:
    found = row._mapping
    confirmation = None
    if found["confirmation_method"] is not None:
        confirmation = Confirmation(found["confirmation_method"], found["confirmation_thumbprint"])
    return Grant(
        **{name: found[name] for name in _PLAIN},
        limits=Limits(found["limit_backends"], found["limit_actions"]),
        confirmation=confirmation,
    )
