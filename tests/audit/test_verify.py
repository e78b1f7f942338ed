"""Verification finds what was altered, and where."""

import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import record
from audit.merkle import leaf_hash
from audit.note import Signer
from audit.store import Head, Row
from audit.verify import MAX_FINDINGS, VerifyReport, verify_log, verify_store
from tests.audit.memory_store import MemoryLog, MemoryReader
from tests.audit.samples import NOW_US, ORIGIN, SIGNER, checkpoint_of, decision, outcome, stored

RECORDS = [
    record.start(time_us=NOW_US, instance="gw-1", version="0.1.0", size=0, open_decisions=0),
    decision(1),
    outcome(1, 1),
    decision(2, actor=None, verdict="unauthenticated", status=401, backend="", accesses=()),
    decision(3, path='/a"b\\c\x01ü', backend='o"dd'),
    outcome(3, 4, status=None, result="fail", detail="connect_failed"),
    record.policy_load(time_us=NOW_US, instance="gw-1", result="refused", commit="", digest="", rules=0, detail="x"),
    record.stop(time_us=NOW_US, instance="gw-1"),
]
ROWS, HEAD = stored(RECORDS)
NOTE = checkpoint_of(HEAD)


def verify(
    rows: list[Row],
    *,
    checkpoint: bytes | None = NOTE,
    head: Head | None = HEAD,
    receipts: Mapping[int, bytes] | None = None,
) -> VerifyReport:
    return verify_log(rows, verifier=SIGNER.verifier, checkpoint=checkpoint, head=head, receipts=receipts)


def codes(report: VerifyReport) -> set[str]:
    return {finding.code for finding in report.findings}


def test_an_untouched_log_passes_whatever_kinds_it_holds() -> None:
    report = verify(ROWS)
    assert report.ok, report.findings
    assert (report.records, report.signed, report.first_bad_index) == (8, 8, None)


def test_records_after_the_checkpoint_are_counted_as_unsigned() -> None:
    note = checkpoint_of(stored(RECORDS[:5])[1])
    report = verify(ROWS, checkpoint=note)
    assert report.ok
    assert (report.records, report.signed) == (8, 5)


def altered(index: int, **changes: Any) -> list[Row]:
    rows = list(ROWS)
    rows[index] = rows[index]._replace(**changes)
    return rows


BODY = ROWS[4].body.replace(b"alice", b"mallo")


@pytest.mark.parametrize(
    ("rows", "index", "code"),
    [
        pytest.param(altered(4, body=BODY), 4, "altered", id="body altered"),
        pytest.param(altered(4, leaf=bytes(32)), 4, "altered", id="leaf altered"),
        pytest.param(altered(4, body=b""), 4, "altered", id="body emptied"),
        pytest.param([*ROWS[:3], *ROWS[4:]], 3, "missing", id="row removed"),
        pytest.param(ROWS[:6], 6, "missing", id="end removed"),
        pytest.param([*ROWS[:4], *ROWS[3:]], 3, "order", id="row repeated"),
        pytest.param([*ROWS[:3], ROWS[4], ROWS[3], *ROWS[5:]], 3, "missing", id="rows swapped"),
        pytest.param(altered(4, actor="user:bob"), 4, "columns", id="actor column"),
        pytest.param(altered(4, time_us=5), 4, "columns", id="time column"),
        pytest.param(altered(4, request_id="x"), 4, "columns", id="request id column"),
        pytest.param(altered(4, backend="x"), 4, "columns", id="backend column"),
        pytest.param(altered(4, verdict="denied"), 4, "columns", id="verdict column"),
        pytest.param(altered(4, kind="outcome"), 4, "columns", id="kind column"),
        pytest.param(altered(3, actor="user:alice"), 3, "columns", id="actor of nobody"),
        pytest.param(altered(2, verdict="indeterminate"), 2, "columns", id="result column"),
        pytest.param(altered(7, kind="decision"), 7, "columns", id="kind of an event"),
    ],
)
def test_the_first_bad_index_and_what_is_wrong_are_told(rows: list[Row], index: int, code: str) -> None:
    """SECURITY-CASES 37."""
    report = verify(rows)
    assert not report.ok
    assert report.first_bad_index == index
    assert code in codes(report)


def test_a_record_altered_together_with_its_leaf_breaks_the_signed_root() -> None:
    report = verify(altered(4, body=BODY, leaf=leaf_hash(BODY), actor="user:mallo"))
    assert codes(report) == {"root", "head"}


def test_a_rewritten_log_fails_though_it_is_consistent_in_itself() -> None:
    rows, head = stored([decision(9), *RECORDS[1:]])
    assert codes(verify(rows, head=head)) == {"root"}


def test_a_body_that_is_no_record_is_told() -> None:
    assert "not_a_record" in codes(verify(altered(4, body=b"[]", leaf=leaf_hash(b"[]"))))


@pytest.mark.parametrize(
    ("note", "code"),
    [
        pytest.param(None, "unsigned", id="no checkpoint"),
        pytest.param(b"", "checkpoint", id="empty"),
        pytest.param(NOTE[:-5] + b"AAA=\n", "checkpoint", id="signature altered"),
        pytest.param(NOTE.replace(b"\n8\n", b"\n7\n"), "checkpoint", id="size altered"),
        pytest.param(
            checkpoint_of(HEAD, Signer(ORIGIN, Ed25519PrivateKey.generate())), "checkpoint", id="somebody else's key"
        ),
    ],
)
def test_a_checkpoint_that_proves_nothing_fails(note: bytes | None, code: str) -> None:
    report = verify(ROWS, checkpoint=note)
    assert codes(report) == {code}
    assert report.signed == 0


def test_an_older_checkpoint_that_somebody_kept_convicts_a_log_cut_and_signed_anew() -> None:
    rows, head = stored(RECORDS[:5])
    assert verify(rows, checkpoint=checkpoint_of(head), head=head).ok
    assert verify(rows, head=head).first_bad_index == 5


def test_receipts_are_checked() -> None:
    good = {row.index: row.leaf for row in ROWS[1:4]}
    assert verify(ROWS, receipts=good).ok
    assert verify(ROWS, receipts=good | {2: bytes(32)}).first_bad_index == 2
    assert verify(ROWS, receipts={99: bytes(32)}).first_bad_index == 99


def test_a_head_that_differs_from_the_rows_is_told() -> None:
    assert codes(verify(ROWS, head=Head(9, HEAD.frontier, 0))) == {"head"}
    assert codes(verify(ROWS, head=Head(8, (bytes(32),), 0))) == {"head"}


def test_an_empty_log_passes_without_a_checkpoint() -> None:
    assert verify([], checkpoint=None, head=Head(0, (), 0)).ok
    assert verify_store(MemoryReader(MemoryLog()), verifier=SIGNER.verifier).ok


def test_findings_are_counted_beyond_the_ones_kept() -> None:
    rows, head = stored([decision(number) for number in range(300)])
    report = verify([row._replace(leaf=bytes(32)) for row in rows], head=head, checkpoint=checkpoint_of(head))
    assert report.finding_count == 300
    assert len(report.findings) == MAX_FINDINGS


@pytest.mark.parametrize("size", [1023, 1024, 1025, 2049])
def test_any_size_of_log_verifies_at_any_checkpoint(size: int) -> None:
    records = [decision(number) for number in range(size)]
    rows, head = stored(records)
    for signed in (1, 1023, size - 1, size):
        if signed <= size:
            report = verify(rows, head=head, checkpoint=checkpoint_of(stored(records[:signed])[1]))
            assert report.ok
            assert report.signed == signed


def test_memory_stays_flat() -> None:
    """A log is read once, in order: nothing of it is kept."""
    row = ROWS[1]
    tracemalloc.start()
    verify_log((row._replace(index=index) for index in range(20_000)), verifier=SIGNER.verifier, checkpoint=None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
