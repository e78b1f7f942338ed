"""The audit log: durable on return, fails closed, comes back by itself; over a store that can be told to fail."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import open_checkpoint
from audit.log import AuditLog, Receipt
from audit.merkle import leaf_hash, root_of
from audit.note import Signer
from audit.record import Record
from audit.store import AuditCorruptError, AuditUnavailableError, Head
from audit.verify import verify_store
from tests.audit.memory_store import MemoryLog, MemoryReader, MemoryStore
from tests.audit.samples import NOW_US, SIGNER, checkpoint_of, decision, outcome, stored

DEADLINE_S = 20.0


def new_log(store: MemoryStore, **options: Any) -> AuditLog:
    reader = MemoryReader(store.log)
    return AuditLog(store, reader, signer=SIGNER, instance="gw-1", version="0.1.0", clock_us=lambda: NOW_US, **options)


Story = Callable[[AuditLog, MemoryStore], Awaitable[None]]


def run(story: Story, store: MemoryStore | None = None, **options: Any) -> MemoryLog:
    """Start a log over `store`, tell the story, close the log, and return what is durable."""
    store = store or MemoryStore(MemoryLog())

    async def main() -> None:
        log = new_log(store, **options)
        await log.start()
        async with asyncio.timeout(DEADLINE_S):
            await story(log, store)
        store.go_on.set()
        store.sign_on.set()
        await log.close()

    asyncio.run(main())
    return store.log


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def kinds(durable: MemoryLog) -> list[str]:
    return [row.kind for row in durable.rows]


def documents(durable: MemoryLog, kind: str) -> list[dict[str, Any]]:
    return [json.loads(row.body) for row in durable.rows if row.kind == kind]


def assert_sound(durable: MemoryLog) -> None:
    report = verify_store(MemoryReader(durable), verifier=SIGNER.verifier)
    assert report.ok, report.findings


async def refused(log: AuditLog, entry: Record) -> AuditUnavailableError:
    with pytest.raises(AuditUnavailableError) as caught:
        await log.append(entry)
    return caught.value


def test_a_receipt_names_the_place_and_leaf_of_a_durable_record() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        entry = decision(1)
        receipt = await log.append(entry)
        assert receipt == Receipt(1, leaf_hash(entry.body))
        assert store.log.rows[1].body == entry.body

    durable = run(story)
    assert kinds(durable) == ["start", "decision", "stop"]
    assert_sound(durable)


def test_many_callers_each_get_their_own_receipt_and_share_batches() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        entries = [decision(number, verdict="denied", status=403) for number in range(700)]
        receipts = await asyncio.gather(*map(log.append, entries))
        for entry, receipt in zip(entries, receipts, strict=True):
            assert store.log.rows[receipt.index].body == entry.body
        assert log.counters.batches < 50
        assert log.counters.size == 701

    assert_sound(run(story))


def test_start_and_stop_are_records_and_the_log_ends_signed() -> None:
    """PCI DSS 10.2.1.6: starting and stopping the log are events in it."""

    async def story(log: AuditLog, store: MemoryStore) -> None:
        assert log.problem is None

    durable = run(story)
    assert kinds(durable) == ["start", "stop"]
    note, size = durable.checkpoints[-1]
    signed = open_checkpoint(note, SIGNER.verifier)
    assert (signed.size, size) == (2, 2)
    assert signed.root == root_of(durable.head.frontier)


def test_what_was_written_last_is_signed_soon_and_an_idle_log_then_rests() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        await log.append(decision(1, verdict="denied"))
        await until(lambda: bool(store.log.checkpoints) and store.log.checkpoints[-1][1] == 2)
        appends = store.appends
        await asyncio.sleep(0)
        assert store.appends == appends

    durable = run(story)
    assert [size for _, size in durable.checkpoints] == [1, 2, 3]


def test_outcomes_are_written_without_a_caller_waiting_and_settle_their_decision() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        receipt = await log.append(decision(1))
        await until(lambda: log.counters.open_decisions == 1)
        log.append_soon(outcome(1, receipt.index))
        await until(lambda: log.counters.open_decisions == 0)
        await log.append(decision(2, verdict="denied"))
        assert store.log.head.settled == 3

    durable = run(story)
    assert kinds(durable) == ["start", "decision", "outcome", "decision", "stop"]


def test_the_settled_mark_waits_for_the_oldest_open_decision() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        first = await log.append(decision(1))
        second = await log.append(decision(2))
        log.append_soon(outcome(2, second.index))
        for number in range(3, 6):
            await log.append(decision(number, verdict="denied"))
        assert store.log.head.settled == first.index

    assert run(story).head.settled == 1


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


def test_a_failure_before_persisting_is_mended_without_the_caller_noticing() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.fail_before = 1
        receipt = await log.append(decision(1))
        assert store.log.rows[receipt.index].kind == "decision"
        assert log.problem is None

    durable = run(story)
    assert kinds(durable).count("decision") == 1
    assert_sound(durable)


def test_a_failure_after_persisting_is_acknowledged_and_never_stored_twice() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.fail_after = 1
        receipts = await asyncio.gather(*(log.append(decision(number)) for number in range(5)))
        assert sorted(receipt.index for receipt in receipts) == [1, 2, 3, 4, 5]

    durable = run(story)
    assert kinds(durable).count("decision") == 5
    assert_sound(durable)


def test_while_the_store_is_down_callers_are_refused_and_then_it_recovers_without_a_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.fail_before, store.fail_open = 10**6, 0
        for number in range(3):
            assert "failed before persisting" in str(await refused(log, decision(number)))
        assert log.problem is not None
        store.fail_before = 0
        await log.append(decision(9))
        assert log.problem is None

    with caplog.at_level(logging.WARNING, "portcullis.audit"):
        durable = run(story)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"], "one line down, one line up"
    resumed = documents(durable, "resume")
    assert len(resumed) == 1
    assert resumed[0]["refused"] == 3
    assert resumed[0]["problem"] == "failed before persisting"
    assert kinds(durable).count("decision") == 1
    assert_sound(durable)


def test_the_log_recovers_by_itself_when_nobody_calls() -> None:
    """A gateway that is not ready gets no requests: something else must notice that the store is back."""

    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.fail_before = 2
        await refused(log, decision(1))
        await until(lambda: log.problem is None)

    assert kinds(run(story))[-2:] == ["resume", "stop"]


def test_a_store_missing_at_the_start_is_awaited() -> None:
    store = MemoryStore(MemoryLog())
    store.fail_open = 1

    async def story(log: AuditLog, store: MemoryStore) -> None:
        assert log.problem == "the store can't be opened"
        await log.append(decision(1))

    durable = run(story, store)
    assert kinds(durable) == ["start", "resume", "decision", "stop"]


def test_a_refused_decision_that_turns_out_to_be_stored_gets_an_outcome_that_says_so() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.fail_before, store.fail_after = 1, 1  # the second try persists, and then fails
        await refused(log, decision(1))
        await log.append(decision(2, verdict="denied"))
        await until(lambda: log.counters.open_decisions == 0)

    durable = run(story)
    assert kinds(durable).count("decision") == 2
    closed = documents(durable, "outcome")
    assert [(item["decision"], item["result"]) for item in closed] == [(1, "fail")]
    assert "nothing was forwarded" in closed[0]["detail"]
    assert_sound(durable)


def test_outcomes_outlast_a_store_that_is_down_each_exactly_once() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        receipts = [await log.append(decision(number)) for number in range(4)]
        store.fail_before = 2  # not persisted, twice
        log.append_soon(outcome(0, receipts[0].index))
        log.append_soon(outcome(1, receipts[1].index))
        await refused(log, decision(9, verdict="denied"))
        store.fail_after, store.fail_open = 1, 2  # persisted, and it takes a while to find out
        log.append_soon(outcome(2, receipts[2].index))
        log.append_soon(outcome(3, receipts[3].index))
        await refused(log, decision(10, verdict="denied"))
        await refused(log, decision(11, verdict="denied"))
        await log.append(decision(12, verdict="denied"))
        await until(lambda: log.counters.open_decisions == 0)

    durable = run(story)
    assert sorted(item["decision"] for item in documents(durable, "outcome")) == [1, 2, 3, 4]
    assert_sound(durable)


def test_outcomes_beyond_the_bound_are_dropped_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        receipts = [await log.append(decision(number)) for number in range(6)]
        store.fail_before = 10**6
        await refused(log, decision(7, verdict="denied"))
        for number, receipt in enumerate(receipts):
            log.append_soon(outcome(number, receipt.index))
        assert log.counters.dropped == 2
        store.fail_before = 0
        await until(lambda: log.counters.open_decisions == 2)

    with caplog.at_level(logging.ERROR, "portcullis.audit"):
        durable = run(story, max_outcomes=4)
    assert sum("dropped" in record.getMessage() for record in caplog.records) == 1
    assert durable.head.settled == 5


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


def test_a_checkpoint_of_another_key_is_passed_over() -> None:
    """The key was changed: the old checkpoints no longer say anything, new ones will."""
    durable = MemoryLog()
    durable.rows, durable.head = stored([decision(1, verdict="denied")])
    other = Signer("gateway.example.com/audit", Ed25519PrivateKey.generate())
    durable.checkpoints = [(checkpoint_of(durable.head, other), 1)]

    async def story(log: AuditLog, store: MemoryStore) -> None:
        assert log.problem is None

    run(story, MemoryStore(durable))
    assert_sound(durable)


def test_a_cancelled_caller_breaks_nobody_and_its_decision_gets_an_outcome() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.go_on.clear()
        calls = [asyncio.ensure_future(log.append(decision(number))) for number in range(4)]
        await asyncio.sleep(0)
        calls[1].cancel()
        await asyncio.sleep(0)
        store.go_on.set()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(item) for item in done] == [Receipt, asyncio.CancelledError, Receipt, Receipt]
        await until(lambda: log.counters.open_decisions == 3)

    durable = run(story)
    closed = documents(durable, "outcome")
    assert [item["decision"] for item in closed] == [2]
    assert "nothing was forwarded" in closed[0]["detail"]


def test_whenever_a_caller_is_cancelled_its_decision_ends_in_one_outcome() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        for turns in range(150):
            batches = log.counters.batches
            call = asyncio.ensure_future(log.append(decision(turns)))
            await asyncio.sleep(0)
            while log.counters.batches == batches:
                await asyncio.sleep(0)
            for _ in range(turns % 3):
                await asyncio.sleep(0)
            call.cancel()
            try:
                receipt = await call
            except asyncio.CancelledError:
                continue
            log.append_soon(outcome(turns, receipt.index))
        await until(lambda: log.counters.open_decisions == 0)

    durable = run(story)
    decided = [row.index for row in durable.rows if row.kind == "decision"]
    assert sorted(item["decision"] for item in documents(durable, "outcome")) == decided
    assert len(decided) == 150


def test_a_store_that_hangs_refuses_callers_in_time_and_serves_again_when_it_answers() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.go_on.clear()
        first = asyncio.ensure_future(log.append(decision(1)))
        await asyncio.sleep(0.01)
        queued = asyncio.ensure_future(log.append(decision(2)))
        done = await asyncio.gather(first, queued, return_exceptions=True)
        assert [type(item) for item in done] == [AuditUnavailableError] * 2
        assert log.problem == "the audit store has not answered for 0.1 s"
        await refused(log, decision(3))  # at once, while it still hangs
        store.go_on.set()
        await until(lambda: log.problem is None)
        await log.append(decision(4, verdict="denied"))
        await until(lambda: log.counters.open_decisions == 0)

    durable = run(story, stall_s=0.1)
    ids = [row.request_id[-2:] for row in durable.rows if row.kind == "decision"]
    assert ids == ["01", "04"], "what the store had not been given is not recorded later"
    assert [item["result"] for item in documents(durable, "outcome")] == ["fail"]
    assert_sound(durable)


def test_a_checkpoint_that_hangs_refuses_callers_and_does_not_do_so_for_ever() -> None:
    store = MemoryStore(MemoryLog())
    store.sign_on.clear()

    async def story(log: AuditLog, store: MemoryStore) -> None:
        await refused(log, decision(1))
        store.sign_on.set()
        await until(lambda: log.problem is None)
        await log.append(decision(2, verdict="denied"))

    run(story, store, stall_s=0.1)


def test_a_failing_checkpoint_takes_no_acknowledged_record_back() -> None:
    store = MemoryStore(MemoryLog())
    store.fail_checkpoint = 1

    async def story(log: AuditLog, store: MemoryStore) -> None:
        await log.append(decision(1, verdict="denied"))
        await until(lambda: log.problem is None and bool(store.log.checkpoints))

    assert_sound(run(story, store))


def test_a_log_too_far_behind_refuses_at_once() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.go_on.clear()
        calls = [asyncio.ensure_future(log.append(decision(number, verdict="denied"))) for number in range(8)]
        await asyncio.sleep(0)
        assert "behind" in str(await refused(log, decision(99)))
        store.go_on.set()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(item, Receipt) for item in done) >= 4

    run(story, max_waiting=4)


def test_a_closed_log_refuses_and_closing_twice_is_safe() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        await log.close()
        assert "closed" in str(await refused(log, decision(1)))
        await log.close()

    assert kinds(run(story)) == ["start", "stop"]


def test_closing_writes_what_was_queued_first() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        receipts = [await log.append(decision(number)) for number in range(3)]
        for number, receipt in enumerate(receipts):
            log.append_soon(outcome(number, receipt.index))

    assert kinds(run(story))[-4:] == ["outcome", "outcome", "outcome", "stop"]


def test_a_defect_in_the_store_refuses_instead_of_hanging(caplog: pytest.LogCaptureFixture) -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.defect = ZeroDivisionError()
        assert "unexpected error" in str(await refused(log, decision(1)))
        assert "unexpected error" in str(await refused(log, decision(2)))

    run(story)
    assert "ZeroDivisionError" in caplog.text


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


def test_closing_gives_up_on_a_store_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(MemoryLog())

    async def main() -> None:
        log = new_log(store)
        await log.start()
        store.go_on.clear()
        await log.close(timeout_s=0.05)
        store.go_on.set()
        await until(lambda: not store.is_open)

    asyncio.run(main())
    assert "closing without it" in caplog.text
