"""The CSV export opens safely in a spreadsheet."""

import csv
import io
import json

import pytest

from audit.search import Query
from audit.spreadsheet import COLUMNS, export_csv
from tests.audit.memory_store import MemoryLog, MemoryReader
from tests.audit.samples import decision, outcome, stored


def table(reader: MemoryReader, query: Query | None = None) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    count = export_csv(reader, out, query=query)
    out.seek(0)
    rows = list(csv.DictReader(out))
    assert len(rows) == count
    return rows


def reader_of(*records: object) -> MemoryReader:
    durable = MemoryLog()
    durable.rows, durable.head = stored(list(records))  # type: ignore[arg-type]
    return MemoryReader(durable)


def test_one_line_a_record_with_the_documented_columns() -> None:
    first, second = table(reader_of(decision(1), outcome(1, 0)))
    assert tuple(first) == COLUMNS
    assert first["time"] == "2026-11-23T17:46:40.123457+00:00"
    assert (first["actor"], first["groups"], first["method"]) == ("user:alice", "group:corp:dev", "GET")
    assert (first["accesses"], first["rule"]) == ("query logs-prod/payments", "rules/logs.csv:3")
    assert (second["kind"], second["decision_index"], second["status"], second["result"]) == (
        "outcome",
        "0",
        "200",
        "ok",
    )
    assert first["leaf"] == stored([decision(1)])[0][0].leaf.hex()


def test_a_query_chooses_the_lines() -> None:
    assert [row["kind"] for row in table(reader_of(decision(1), outcome(1, 0)), Query(kind="outcome"))] == ["outcome"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\n", "\uff1d1", "\u2002-1", "=cmd|'/C calc'!A0"]
)
def test_formulas_are_neutralised(text: str) -> None:
    """SECURITY-CASES 40."""
    (row,) = table(reader_of(decision(1, path=text, query_keys=(text,), reason=text)))
    for name in ("path", "query_keys", "reason"):
        assert row[name].startswith("'")


@pytest.mark.parametrize(
    "character", ["\x00", "\x07", "\n", "\r", "\x1b", "\x7f", "\x9b", "\u202e", "\u200b", "\ufeff"]
)
def test_control_and_invisible_characters_are_made_visible(character: str) -> None:
    """SECURITY-CASES 14: a record cannot forge a line of an export or a terminal's output."""
    (row,) = table(reader_of(decision(1, path=f"/a{character}b")))
    assert row["path"] == f"/a\\u{ord(character):04x}b"


def test_a_huge_field_is_cut_to_what_a_cell_holds() -> None:
    """SECURITY-CASES 39."""
    reader = reader_of(decision(1))
    document = json.loads(reader.log.rows[0].body)
    document["request"]["path"] = "x" * 60_000
    reader.log.rows[0] = reader.log.rows[0]._replace(body=json.dumps(document).encode())
    (row,) = table(reader)
    assert len(row["path"]) < 32_767


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"[]",
        b'{"time_us":1e400,"actor":7,"accesses":[3,{"action":null}],"rule":"x","request":[],"policy":null}',
        b'{"time_us":99999999999999999999999999,"accesses":"text","v":{"a":[1]},"status":{"x":1}}',
    ],
)
def test_an_altered_row_stalls_nothing(body: bytes) -> None:
    """SECURITY-CASES 39."""
    reader = reader_of(decision(1), decision(2))
    reader.log.rows[0] = reader.log.rows[0]._replace(body=body)
    first, second = table(reader)
    assert first["index"] == "0"
    assert second["actor"] == "user:alice"
