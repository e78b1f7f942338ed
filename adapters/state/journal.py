"""The journal of changes: numbers without gaps, in the order in which their transactions committed.

A sequence would give its numbers when they are asked for: a reader that has seen 7 would miss 6, whose transaction
commits later, and a rollback would leave a hole. Here who adds a change holds the head row's lock until its
transaction ends. Who locks other rows too locks the head first (`lock_changes`), so that no two wait for each other.
"""

import time
from itertools import takewhile
from typing import Final

from sqlalchemy import Connection, select

from adapters.state.schema import change_head, changes
from identity.state import Topic

KEPT_S: Final = 86_400
_PRUNE_EVERY: Final = 32
_PRUNE_ROWS: Final = 128

_NEXT = change_head.update().values(number=change_head.c.number + 1).returning(change_head.c.number)
_OLDEST = select(changes.c.number, changes.c.written_us).order_by(changes.c.number).limit(_PRUNE_ROWS)


def lock_changes(connection: Connection) -> None:
    """Wait until no other transaction is adding changes, and keep others waiting until this one ends."""
    connection.execute(select(change_head.c.number).with_for_update())


def note(connection: Connection, topic: Topic, key: str) -> None:
    """Add a change; now and then forget those that are older than a day."""
    number: int = connection.execute(_NEXT).scalar_one()
    written_us = time.time_ns() // 1000
    connection.execute(changes.insert().values(number=number, topic=topic, key=key, written_us=written_us))
    if number % _PRUNE_EVERY == 0:
        _prune(connection, written_us - KEPT_S * 1_000_000)


def _prune(connection: Connection, before_us: int) -> None:
    # The oldest ones only, up to the first that stays: what is left has no gap either.
    oldest = connection.execute(_OLDEST).all()
    forgotten = [row.number for row in takewhile(lambda row: row.written_us < before_us, oldest)]
    if forgotten:
        connection.execute(changes.delete().where(changes.c.number <= forgotten[-1]))
