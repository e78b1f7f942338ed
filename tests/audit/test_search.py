"""Searching: newest first, a decision with its outcome, filters that mean what they say."""

import pytest

from audit import record
from audit.search import Query, search
from tests.audit.memory_store import MemoryLog, MemoryReader
from tests.audit.samples import NOW_US, decision, outcome, stored

HOUR_US = 3_600_000_000


@pytest.fixture
def reader() -> MemoryReader:
    durable = MemoryLog()
    records = [
        record.start(time_us=NOW_US, instance="gw-1", version="0.1.0", size=0, open_decisions=0),
        decision(1),
        decision(2, verdict="denied", status=403, backend="aws-prod"),
        outcome(1, 1),
        decision(3),
        decision(4, actor=None, verdict="unauthenticated", status=401),
    ]
    durable.rows, durable.head = stored(records)
    return MemoryReader(durable)


def indexes(reader: MemoryReader, query: Query, limit: int | None = 100) -> list[int]:
    return [event.index for event in search(reader, query, limit=limit)]


def test_newest_first_and_each_decision_with_its_outcome(reader: MemoryReader) -> None:
    events = list(search(reader, Query()))
    assert [event.index for event in events] == [5, 4, 2, 1, 0]
    assert events[3].outcome is not None
    assert events[3].outcome["status"] == 200
    assert events[1].outcome is None
    assert events[3].record["actor"]["subject"] == "user:alice"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(actor="user:alice"), [4, 2, 1]),
        (Query(actor="user:al"), []),
        (Query(backend="aws-prod"), [2]),
        (Query(verdict="denied"), [2]),
        (Query(verdict="unauthenticated"), [5]),
        (Query(kind="start"), [0]),
        (Query(kind="outcome"), [3]),
        (Query(request_id="0193fa3e-0000-7000-8000-000000000001"), [1]),
        (Query(since_us=NOW_US + 2, until_us=NOW_US + 4), [4, 2]),
        (Query(actor="user:alice", verdict="allowed"), [4, 1]),
    ],
)
def test_filters(reader: MemoryReader, query: Query, found: list[int]) -> None:
    assert indexes(reader, query) == found


def test_the_limit_keeps_the_newest(reader: MemoryReader) -> None:
    assert indexes(reader, Query(), limit=2) == [5, 4]
    assert indexes(reader, Query(), limit=0) == []
    assert len(indexes(reader, Query(), limit=None)) == 5


def test_a_filter_on_a_decision_still_brings_its_outcome(reader: MemoryReader) -> None:
    (event,) = search(reader, Query(verdict="allowed", until_us=NOW_US + 2))
    assert event.outcome is not None


def test_a_long_log_is_searched_through_every_window() -> None:
    durable = MemoryLog()
    durable.rows, durable.head = stored([decision(number) for number in range(5000)])
    assert indexes(MemoryReader(durable), Query(), limit=None) == list(range(4999, -1, -1))


def test_a_search_by_time_does_not_read_what_is_hours_older() -> None:
    durable = MemoryLog()
    old = [decision(number) for number in range(5000)]
    durable.rows, durable.head = stored([*old, decision(5 * HOUR_US)])
    read: list[int] = []

    class Watched(MemoryReader):
        def rows(self, start=0, end=None):  # type: ignore[no-untyped-def]
            read.append(start)
            return super().rows(start, end)

    assert indexes(Watched(durable), Query(since_us=NOW_US + 4 * HOUR_US)) == [5000]
    assert min(read) > 0


def test_an_altered_row_is_shown_as_such_and_stalls_nothing(reader: MemoryReader) -> None:
    """SECURITY-CASES 39."""
    for body in (b"\xff", b"[" * 100_000, b"[]"):
        reader.log.rows[2] = reader.log.rows[2]._replace(body=body)
        (event,) = search(reader, Query(verdict="denied"))
        assert "verify the log" in event.record["problem"]
