"""Finds records, newest first, each decision together with its outcome."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from audit.record import COLUMN_CHARACTERS
from audit.store import AuditReader, Row

_WINDOW_ROWS: Final = 2048
_CLOCK_SLACK_US: Final = 3_600_000_000
"""How far a record's time may lie behind its place in the log: clocks are set back, outcomes wait for the store."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which records are wanted; None asks for any. Times are microseconds since the epoch, `until_us` exclusive.

    `actor` is a policy subject (`user:alice`). `verdict` is a decision's verdict, or the result of another record.
    """

    since_us: int | None = None
    until_us: int | None = None
    actor: str | None = None
    backend: str | None = None
    verdict: str | None = None
    kind: str | None = None
    request_id: str | None = None

    def matches(self, row: Row) -> bool:
        """Whether `row` is wanted, by its columns."""
        return (
            (self.since_us is None or row.time_us >= self.since_us)
            and (self.until_us is None or row.time_us < self.until_us)
            and (self.actor is None or row.actor == self.actor[:COLUMN_CHARACTERS])
            and (self.backend is None or row.backend == self.backend[:COLUMN_CHARACTERS])
            and (self.verdict is None or row.verdict == self.verdict)
            and (self.kind is None or row.kind == self.kind)
            and (self.request_id is None or row.request_id == self.request_id)
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One record as stored at `index`, and for a decision its outcome record, None where there is none (yet)."""

    index: int
    leaf: bytes
    record: dict[str, Any]
    outcome: dict[str, Any] | None


def search(reader: AuditReader, query: Query, *, limit: int | None = 100) -> Iterator[Event]:
    """Yield what matches, newest first. Outcomes come with their decisions, alone only for `kind="outcome"`."""
    found = 0
    outcomes: dict[str, Row] = {}
    for row in _newest_first(reader, query):
        outcome = None
        if row.kind == "decision":
            outcome = outcomes.pop(row.request_id, None)
        elif row.kind == "outcome":
            outcomes[row.request_id] = row
            if query.kind != "outcome":
                continue
        if not query.matches(row):
            continue
        if limit is not None and found >= limit:
            return
        found += 1
        yield Event(row.index, row.leaf, read_body(row), None if outcome is None else read_body(outcome))


def read_body(row: Row) -> dict[str, Any]:
    """Return the record that a row holds; one that was altered into something else yields its columns and `problem`."""
    try:
        document = json.loads(row.body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    return {
        "kind": row.kind,
        "request_id": row.request_id,
        "time_us": row.time_us,
        "problem": "the stored bytes are not a record: verify the log",
    }


def _newest_first(reader: AuditReader, query: Query) -> Iterator[Row]:
    end = reader.head().size
    while end > 0:
        start = max(0, end - _WINDOW_ROWS)
        window = list(reader.rows(start, end))
        yield from reversed(window)
        newest_us = max((row.time_us for row in window), default=0)
        if query.since_us is not None and newest_us < query.since_us - _CLOCK_SLACK_US:
            return
        end = start
