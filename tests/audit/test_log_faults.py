"""A store that fails, hangs or falls behind: nothing passes unrecorded, and the log comes back by itself."""

import asyncio
import logging

import pytest

from audit.log import AuditLog
from audit.receipt import Receipt
from audit.store import AuditUnavailableError
from tests.audit.log_story import assert_sound, documents, kinds, new_log, refused, run, until
from tests.audit.memory_store import MemoryLog, MemoryStore
from tests.audit.samples import decision, outcome


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


def test_a_store_that_hangs_refuses_callers_in_time_and_serves_again_when_it_answers() -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.go_on.clear()
        first = asyncio.ensure_future(log.append(decision(1)))
        await until(lambda: store.appending)
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


def test_a_defect_in_the_store_refuses_instead_of_hanging(caplog: pytest.LogCaptureFixture) -> None:
    async def story(log: AuditLog, store: MemoryStore) -> None:
        store.defect = ZeroDivisionError()
        assert "unexpected error" in str(await refused(log, decision(1)))
        assert "unexpected error" in str(await refused(log, decision(2)))

    run(story)
    assert "ZeroDivisionError" in caplog.text


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
