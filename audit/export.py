"""Exports as JSON lines, from which the log can be verified offline, and the verification of such a file.

Compatibility rule: `export` in the first line is the format's version; a file of another version is refused.

The first line is `{"export":1,"start","end","frontier","filtered","checkpoint"}`: `frontier` is the right edge of the
tree before `start`, so that a later part of a log verifies alone. Then one line a record,
`{"index":I,"leaf":"HEX","body":{...}}`, in which the body stands byte for byte as it was hashed; a body that is not
JSON, so one that was altered, stands as `"body_base64"`. The last line is `{"records":N}`.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from audit.merkle import Frontier
from audit.note import Verifier
from audit.search import Query
from audit.store import AuditReader, Row
from audit.verify import Chain, VerifyReport

EXPORT_VERSION: Final = 1

_LINE: Final = re.compile(
    rb'\{"index":(\d{1,16}),"leaf":"([0-9a-f]*)","body(?:":(\{.*\})|_base64":"([A-Za-z0-9+/=]*)")\}\n', re.DOTALL
)
_LAST_LINE: Final = re.compile(rb'\{"records":(\d{1,16})\}\n')
_LONGEST_LINE: Final = 256 * 1024


class ExportError(ValueError):
    """The file is not an export that can be read; the text names the line."""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was exported: `records` of those from `start` to `end` (exclusive)."""

    start: int
    end: int
    records: int


def export_jsonl(reader: AuditReader, out: BinaryIO, *, start: int = 0, query: Query | None = None) -> ExportSummary:
    """Write the records from `start` on, to the last there is now, with flat memory.

    With a `query` only what matches is written: each record can then still be verified, their completeness can't.
    """
    checkpoint = reader.last_checkpoint()
    end = reader.head().size
    start = min(start, end)
    before = Frontier()
    if query is None:
        before.extend(row.leaf for row in reader.rows(0, start))
    header = {
        "export": EXPORT_VERSION,
        "start": start,
        "end": end,
        "frontier": [item.hex() for item in before.edge],
        "filtered": query is not None,
        "checkpoint": None if checkpoint is None else checkpoint.decode("utf-8", "replace"),
    }
    out.write(json.dumps(header, separators=(",", ":")).encode() + b"\n")
    records = 0
    for row in reader.rows(start, end):
        if query is None or query.matches(row):
            out.write(_line(row))
            records += 1
    out.write(b'{"records":%d}\n' % records)
    return ExportSummary(start, end, records)


def verify_export(
    file: BinaryIO,
    *,
    verifier: Verifier,
    checkpoint: bytes | None = None,
    receipts: Mapping[int, bytes] | None = None,
) -> VerifyReport:
    """Verify an export, against its own checkpoint or one that somebody kept; raises ExportError where it is none."""
    header = _header(file.readline(_LONGEST_LINE))
    try:
        filtered = bool(header["filtered"])
        start, end = int(header["start"]), int(header["end"])
        tree = Frontier() if filtered else Frontier(start, [bytes.fromhex(item) for item in header["frontier"]])
        own = header["checkpoint"]
        note = own.encode() if checkpoint is None and own is not None else checkpoint
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExportError(f"line 1: the export's header is incomplete: {error}") from error
    chain = Chain(verifier, note, tree=tree, receipts=receipts, covers_all=not filtered, end=None if filtered else end)
    last: int | None = None
    read = 0
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), start=2):
        ending = _LAST_LINE.fullmatch(line)
        if ending is not None:
            last = int(ending[1])
            break
        chain.add(*_parse(number, line))
        read += 1
    if last != read:
        chain.find(None, "export", f"the export was cut: it ends after {read} records without saying so")
    elif file.read(1):
        chain.find(None, "export", "something follows the export's last line")
    if not filtered and read > end - start:
        chain.find(None, "export", f"the header says that the export ends before record {end}: it was added to")
    return chain.report()


def _line(row: Row) -> bytes:
    start = b'{"index":%d,"leaf":"%s","body' % (row.index, row.leaf.hex().encode())
    if _is_json_line(row.body):
        return start + b'":' + row.body + b"}\n"
    return start + b'_base64":"' + base64.b64encode(row.body) + b'"}\n'


def _is_json_line(body: bytes) -> bool:
    if not (body.startswith(b"{") and body.endswith(b"}")) or b"\n" in body or b"\r" in body:
        return False
    try:
        json.loads(body.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or "export" not in header:
        raise ExportError("line 1: this is not an export of an audit log in JSON lines")
    if header["export"] != EXPORT_VERSION:
        raise ExportError(f"line 1: export format {header['export']!r}, this program reads {EXPORT_VERSION}")
    return header


def _parse(number: int, line: bytes) -> tuple[int, bytes, bytes]:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ExportError(f"line {number}: not a line of an export: {line[:80]!r}")
    index, leaf, body, encoded = found.groups()
    if body is None:
        try:
            body = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise ExportError(f"line {number}: the body is not base64") from error
    return int(index), bytes.fromhex(leaf.decode()), body
