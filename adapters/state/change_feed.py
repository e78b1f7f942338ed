"""Reads the journal of changes: what each replica follows."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from adapters.state.schema import change_head, changes
from adapters.state.sql_part import SqlPart
from identity.state import Change

MOST_CHANGES: Final = 5000


class SqlChangeFeed(SqlPart):
    """See `identity.state.ChangeFeed`."""

    def newest_change(self) -> int:
        """See `ChangeFeed.newest_change`."""
        with self._database.transaction() as connection:
            newest: int = connection.execute(select(change_head.c.number)).scalar_one()
            return newest

    def changes(self, after: int) -> Sequence[Change] | None:
        """See `ChangeFeed.changes`; who is more than MOST_CHANGES behind had better load everything, too."""
        # One statement, so that head and changes are of one moment.
        query = (
            select(change_head.c.number.label("newest"), changes)
            .join_from(change_head, changes, changes.c.number > after, isouter=True)
            .order_by(changes.c.number)
            .limit(MOST_CHANGES + 1)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(query).all()
        newest = rows[0].newest
        found = [Change(row.number, row.topic, row.key, row.written_us) for row in rows if row.number is not None]
        first = found[0].number if found else newest + 1
        # A head below `after` is another database than the one that was read before: a backup, perhaps.
        return found if first == after + 1 and len(found) <= MOST_CHANGES else None
