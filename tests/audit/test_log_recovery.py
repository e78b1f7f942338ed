"""What a log that was stored before goes on from, and when it is not written again until an operator acts."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.log import AuditLog
from audit.note import Signer
from audit.store import AuditCorruptError, Head
from tests.audit.log_story import assert_sound, documents, kinds, refused, run, until
from tests.audit.memory_store import MemoryLog, MemoryStore
from tests.audit.samples import ORIGIN, SIGNING_KEY, checkpoint_of, decision, outcome, stored


def test_decisions_that_a_crash_left_open_are_closed_as_indeterminate_at_the_next_start() -> None:
    rows, head = stored([decision(1), decision(2), decision(3, verdict="denied"), outcome(1, 0)])
    durable = MemoryLog()
    durable.rows, durable.head = list(rows), Head(head.size, head.frontier, 0)

    async def story(log: AuditLog, store: MemoryStore) -> None:
        await log.append(decision(4, verdict="denied"))

    run(story, MemoryStore(durable))
    assert kinds(durable)[4:] == ["start", "outcome", "decision", "stop"]
    assert documents(durable, "start")[0]["open_decisions"] == 1
    closed = documents(durable, "outcome")[-1]
    assert (closed["decision"], closed["result"]) == (1, "indeterminate")
    assert closed["request_id"] == rows[1].request_id
    assert_sound(durable)


def test_a_store_missing_at_the_start_is_awaited() -> None:
    store = MemoryStore(MemoryLog())
    store.fail_open = 1

    async def story(log: AuditLog, store: MemoryStore) -> None:
        assert log.problem == "the store can't be opened"
        await log.append(decision(1))

    durable = run(story, store)
    assert kinds(durable) == ["start", "resume", "decision", "stop"]


@pytest.mark.parametrize("loss", ["shorter", "forked"])
def test_a_log_that_came_back_different_stops_for_good(loss: str) -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        await log.append(decision(1, verdict="denied"))
        store.fail_before = 1
        rows = [decision(5)] if loss == "shorter" else [decision(5), decision(6)]
        store.log.rows, store.log.head = stored(rows)
        error = await refused(log, decision(2, verdict="denied"))
        assert isinstance(error, AuditCorruptError)
        assert "Restore the log" in str(error)
        opened = store.opened
        assert isinstance(await refused(log, decision(3)), AuditCorruptError)
        assert store.opened == opened, "no retry mends it"
        assert log.problem == str(error)

    assert "stop" not in kinds(run(story))


@pytest.mark.parametrize(("kept", "says"), [(1, "removed"), (3, "altered")])
def test_a_log_that_contradicts_its_last_checkpoint_is_not_written(kept: int, says: str) -> None:
    durable = MemoryLog()
    _, signed_head = stored([decision(number) for number in range(3)])
    durable.checkpoints = [(checkpoint_of(signed_head), 3)]
    durable.rows, durable.head = stored([decision(number + 5, verdict="denied") for number in range(kept)])

    async def story(log: AuditLog, store: MemoryStore) -> None:
        assert says in str(await refused(log, decision(9)))

    run(story, MemoryStore(durable))
    assert len(durable.rows) == kept


def test_a_head_that_contradicts_itself_is_not_written() -> None:
    durable = MemoryLog()
    durable.head = Head(3, (bytes(32),), 0)

    async def story(log: AuditLog, store: MemoryStore) -> None:
        assert "contradicts itself" in str(await refused(log, decision(9)))

    run(story, MemoryStore(durable))


@pytest.mark.parametrize(
    "other",
    [Signer(ORIGIN, Ed25519PrivateKey.generate()), Signer("other.example.com/audit", SIGNING_KEY)],
    ids=["another key", "another origin"],
)
@pytest.mark.parametrize("size", [1, 2], ids=["as signed", "cut"])
def test_a_log_signed_by_another_key_or_origin_is_not_signed_on(other: Signer, size: int) -> None:
    """Nothing proves that such a log is whole, so nothing may be added to it: not by a slip in the configuration."""
    durable = MemoryLog()
    durable.rows, durable.head = stored([decision(1, verdict="denied")])
    signed = stored([decision(number, verdict="denied") for number in range(size)])[1]
    durable.checkpoints = [(checkpoint_of(signed, other), size)]

    async def story(log: AuditLog, store: MemoryStore) -> None:
        error = await refused(log, decision(9))
        assert isinstance(error, AuditCorruptError)
        assert "not signed by the configured key and origin" in str(error)
        opened = store.opened
        assert isinstance(await refused(log, decision(10)), AuditCorruptError)
        assert store.opened == opened, "no retry mends it"

    run(story, MemoryStore(durable))
    assert (len(durable.rows), len(durable.checkpoints)) == (1, 1)


def test_more_open_decisions_than_a_batch_takes_are_all_closed() -> None:
    durable = MemoryLog()
    durable.rows, durable.head = stored([decision(number) for number in range(700)])

    async def story(log: AuditLog, store: MemoryStore) -> None:
        await until(lambda: log.counters.open_decisions == 0)

    run(story, MemoryStore(durable))
    assert [item["decision"] for item in documents(durable, "outcome")] == list(range(700))
    assert_sound(durable)


def test_a_record_stored_as_an_outcome_that_is_none_stops_the_log() -> None:
    durable = MemoryLog()
    rows, durable.head = stored([decision(1), outcome(1, 0)])
    durable.rows = [rows[0], rows[1]._replace(body=b"{}")]

    async def story(log: AuditLog, store: MemoryStore) -> None:
        assert "record 1 is not an outcome" in str(await refused(log, decision(2)))

    run(story, MemoryStore(durable))
