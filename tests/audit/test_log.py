"""The audit log at work: durable on return, batches shared, outcomes settled, callers who leave, an orderly end."""

import asyncio

from audit.checkpoint import open_checkpoint
from audit.log import AuditLog
from audit.merkle import leaf_hash, root_of
from audit.receipt import Receipt
from tests.audit.log_story import assert_sound, documents, kinds, refused, run, until
from tests.audit.memory_store import MemoryStore
from tests.audit.samples import SIGNER, decision, outcome


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
