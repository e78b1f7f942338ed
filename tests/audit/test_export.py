"""A JSON-lines export holds the stored bytes and verifies offline; a file that was changed does not."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import encode
from audit.export import ExportError, ExportSummary, export_jsonl, verify_export
from audit.merkle import leaf_hash
from audit.search import Query
from audit.store import Row
from tests.audit.memory_store import MemoryLog, MemoryReader
from tests.audit.samples import SIGNER, checkpoint_of, decision, outcome, stored

RECORDS = [decision(number // 2) if number % 2 == 0 else outcome(number // 2, number - 1) for number in range(20)]


def reader_of(records: int = 20, signed: int = 16) -> MemoryReader:
    durable = MemoryLog()
    durable.rows, durable.head = stored(RECORDS[:records])
    durable.checkpoints = [(checkpoint_of(stored(RECORDS[:signed])[1]), signed)]
    return MemoryReader(durable)


def exported(reader: MemoryReader, **options: object) -> bytes:
    out = io.BytesIO()
    export_jsonl(reader, out, **options)  # type: ignore[arg-type]
    return out.getvalue()


EXPORT = exported(reader_of())


def test_every_line_is_json_and_holds_the_stored_bytes() -> None:
    lines = EXPORT.splitlines()
    assert len(lines) == 22
    for line, row in zip(lines[1:-1], reader_of().rows(), strict=True):
        document = json.loads(line)
        assert (document["index"], document["leaf"]) == (row.index, row.leaf.hex())
        assert encode(document["body"]) == row.body
        assert row.body in line


def test_an_export_verifies_offline() -> None:
    report = verify_export(io.BytesIO(EXPORT), verifier=SIGNER.verifier)
    assert report.ok, report.findings
    assert (report.records, report.signed) == (20, 16)


def test_the_later_part_of_a_log_verifies_alone() -> None:
    reader = reader_of()
    for start in range(17):
        report = verify_export(io.BytesIO(exported(reader, start=start)), verifier=SIGNER.verifier)
        assert report.ok, report.findings
        assert (report.records, report.signed) == (20 - start, 16 - start)


def test_a_part_that_no_checkpoint_covers_does_not_pass() -> None:
    report = verify_export(io.BytesIO(exported(reader_of(), start=18)), verifier=SIGNER.verifier)
    assert [finding.code for finding in report.findings] == ["unsigned"]


def test_a_forged_frontier_does_not_pass() -> None:
    header, *rest = exported(reader_of(), start=8).splitlines(keepends=True)
    forged = json.loads(header) | {"frontier": ["00" * 32]}
    data = json.dumps(forged).encode() + b"\n" + b"".join(rest)
    report = verify_export(io.BytesIO(data), verifier=SIGNER.verifier)
    assert [finding.code for finding in report.findings] == ["root"]


def test_a_filtered_export_verifies_record_by_record() -> None:
    out = io.BytesIO()
    summary = export_jsonl(reader_of(), out, query=Query(kind="outcome"))
    assert summary == ExportSummary(0, 20, 10)
    report = verify_export(io.BytesIO(out.getvalue()), verifier=SIGNER.verifier)
    assert report.ok, report.findings
    assert (report.records, report.signed) == (10, 0)
    broken = out.getvalue().replace(b'"status":200', b'"status":201', 1)
    assert verify_export(io.BytesIO(broken), verifier=SIGNER.verifier).first_bad_index == 1


def test_a_checkpoint_that_somebody_kept_is_used_instead() -> None:
    newer = checkpoint_of(stored([*RECORDS, decision(99)])[1])
    report = verify_export(io.BytesIO(EXPORT), verifier=SIGNER.verifier, checkpoint=newer)
    assert report.first_bad_index == 20


def test_receipts_are_checked_in_an_export() -> None:
    receipts = {3: leaf_hash(RECORDS[3].body), 4: bytes(32)}
    report = verify_export(io.BytesIO(EXPORT), verifier=SIGNER.verifier, receipts=receipts)
    assert report.first_bad_index == 4


@given(st.integers(0, len(EXPORT) - 1), st.integers(1, 255))
def test_no_changed_byte_passes(at: int, change: int) -> None:
    data = bytearray(EXPORT)
    data[at] ^= change
    assert not is_proven(bytes(data)) or means_the_same(bytes(data))


def test_a_header_rewritten_to_say_less_proves_less() -> None:
    """Taking the checkpoint away, or calling the export filtered, is told in the report, not hidden."""
    header, rest = EXPORT.split(b"\n", 1)
    assert is_proven(EXPORT)
    for change in ({"checkpoint": None}, {"filtered": True}):
        assert not is_proven(json.dumps(json.loads(header) | change).encode() + b"\n" + rest)


@pytest.mark.parametrize("end", [2, 19])
def test_more_records_than_the_header_speaks_of_do_not_pass(end: int) -> None:
    report = verify_export(io.BytesIO(EXPORT.replace(b'"end":20', b'"end":%d' % end)), verifier=SIGNER.verifier)
    assert [finding.code for finding in report.findings] == ["export"]


def is_proven(data: bytes) -> bool:
    """Whether `data` verifies with as much under the checkpoint as the export that nobody changed."""
    try:
        report = verify_export(io.BytesIO(data), verifier=SIGNER.verifier)
    except ExportError:
        return False
    return report.ok and report.signed == 16


def means_the_same(data: bytes) -> bool:
    """Whether `data` holds the same JSON documents as the export that nobody changed."""
    return [json.loads(line) for line in data.splitlines()] == [json.loads(line) for line in EXPORT.splitlines()]


@given(st.integers(0, len(EXPORT) - 1))
def test_a_cut_file_does_not_pass(length: int) -> None:
    try:
        report = verify_export(io.BytesIO(EXPORT[:length]), verifier=SIGNER.verifier)
    except ExportError:
        return
    assert not report.ok


def test_lines_removed_repeated_or_added_do_not_pass() -> None:
    lines = EXPORT.splitlines(keepends=True)
    for other in (
        [*lines[:5], *lines[6:]],
        [*lines[:5], lines[4], *lines[5:]],
        [*lines[:5], lines[6], lines[5], *lines[7:]],
        [*lines, lines[5]],
    ):
        assert not verify_export(io.BytesIO(b"".join(other)), verifier=SIGNER.verifier).ok


@pytest.mark.parametrize("body", [b"\xff\x00", b"{}\n{}", b'"text"', b"{" * 5000 + b"}", b"", b'{"a":1'])
def test_a_record_altered_into_something_odd_is_exported_and_found(body: bytes) -> None:
    """SECURITY-CASES 39: an odd field neither stalls an export nor breaks its lines."""
    reader = reader_of()
    for leaf in (reader.log.rows[4].leaf, leaf_hash(body)):
        reader.log.rows[4] = reader.log.rows[4]._replace(body=body, leaf=leaf)
        data = exported(reader)
        header, *lines, end = [json.loads(line) for line in data.splitlines()]
        assert (header["export"], end) == (1, {"records": 20})
        assert [line["index"] for line in lines] == list(range(20))
        assert not verify_export(io.BytesIO(data), verifier=SIGNER.verifier).ok


def test_rows_missing_at_the_end_of_the_store_are_found_in_the_export() -> None:
    reader = reader_of()
    reader.log.rows.pop()
    report = verify_export(io.BytesIO(exported(reader)), verifier=SIGNER.verifier)
    assert report.first_bad_index == 19


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"[]\n",
        b'{"export":2}\n',
        b'{"export":1}\n',
        b'{"export":1,"start":3,"end":4,"frontier":[],"filtered":false,"checkpoint":null}\n',
        EXPORT.split(b"\n", 1)[0] + b"\nrubbish\n",
    ],
)
def test_a_file_that_is_no_export_is_named(data: bytes) -> None:
    with pytest.raises(ExportError, match="line "):
        verify_export(io.BytesIO(data), verifier=SIGNER.verifier)


def test_an_export_of_an_empty_log_verifies() -> None:
    data = exported(MemoryReader(MemoryLog()))
    assert verify_export(io.BytesIO(data), verifier=SIGNER.verifier).ok


def test_a_row_that_claims_a_wrong_leaf_length_is_found_not_refused() -> None:
    reader = reader_of()
    row: Row = reader.log.rows[2]
    reader.log.rows[2] = row._replace(leaf=b"short")
    assert verify_export(io.BytesIO(exported(reader)), verifier=SIGNER.verifier).first_bad_index == 2
