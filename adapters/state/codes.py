"""One-time codes, in SQL. A used one is remembered until it expires: its second use must be seen."""

from typing import Any

from sqlalchemy import select

from adapters.state.schema import codes
from adapters.state.sql_part import SqlPart, prune


class SqlCodes(SqlPart):
    """See `identity.state.CodeStore`."""

    def add_code(self, digest: bytes, payload: dict[str, Any], expires_at: int) -> None:
        """See `CodeStore.add_code`."""
        with self._database.transaction() as connection:
            connection.execute(codes.insert().values(digest=digest, payload=payload, expires_at=expires_at))

    def take_code(self, digest: bytes, now: int) -> tuple[dict[str, Any], bool] | None:
        """See `CodeStore.take_code`; some that have expired are forgotten."""
        known = codes.c.digest == digest, codes.c.expires_at > now
        using = codes.update().where(*known, codes.c.used_at.is_(None)).values(used_at=now).returning(codes.c.payload)
        with self._database.transaction() as connection:
            prune(connection, codes.c.digest, codes.c.expires_at <= now)
            # One statement tells and marks: of two at the same time the database lets one see an unused code.
            fresh = connection.execute(using).scalar_one_or_none()
            if fresh is not None:
                return fresh, False
            used = connection.execute(select(codes.c.payload).where(*known)).scalar_one_or_none()
        return None if used is None else (used, True)
