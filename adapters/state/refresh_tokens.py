"""Refresh tokens, in SQL. A used one is remembered until it would have expired: its second use must be seen."""

from sqlalchemy import select

from adapters.state.schema import refresh_tokens
from adapters.state.sql_part import SqlPart, prune
from identity.state import Claimed


class SqlRefreshTokens(SqlPart):
    """See `identity.state.RefreshTokenStore`."""

    def add_refresh_token(self, digest: bytes, grant_id: str, expires_at: int) -> None:
        """See `RefreshTokenStore.add_refresh_token`."""
        values = {"digest": digest, "grant_id": grant_id, "expires_at": expires_at}
        with self._database.transaction() as connection:
            connection.execute(refresh_tokens.insert().values(values))

    def claim_refresh_token(self, digest: bytes, now: int) -> Claimed | None:
        """See `RefreshTokenStore.claim_refresh_token`; some that have expired are forgotten."""
        known = refresh_tokens.c.digest == digest, refresh_tokens.c.expires_at > now
        using = (
            refresh_tokens.update()
            .where(*known, refresh_tokens.c.used_at.is_(None))
            .values(used_at=now)
            .returning(refresh_tokens.c.grant_id)
        )
        with self._database.transaction() as connection:
            prune(connection, refresh_tokens.c.digest, refresh_tokens.c.expires_at <= now)
            # One statement tells and marks: of two at the same time the database lets one see an unused token.
            fresh = connection.execute(using).scalar_one_or_none()
            if fresh is not None:
                return Claimed(fresh, False)
            used = connection.execute(select(refresh_tokens.c.grant_id).where(*known)).scalar_one_or_none()
        return None if used is None else Claimed(used, True)

    def release_refresh_token(self, digest: bytes) -> None:
        """See `RefreshTokenStore.release_refresh_token`."""
        with self._database.transaction() as connection:
            connection.execute(refresh_tokens.update().where(refresh_tokens.c.digest == digest).values(used_at=None))
