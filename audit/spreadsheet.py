"""Exports as CSV for people: one line a record, safe to open in a spreadsheet (RFC 4180)."""

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from audit.search import Query, read_body
from audit.store import AuditReader, Row

COLUMNS: Final = (
    "index",
    "time",
    "kind",
    "request_id",
    "decision_index",
    "actor",
    "username",
    "provider",
    "groups",
    "source",
    "method",
    "path",
    "query_keys",
    "backend",
    "environment",
    "accesses",
    "verdict",
    "status",
    "reason",
    "rule",
    "rule_text",
    "role_path",
    "policy_commit",
    "policy_digest",
    "result",
    "bytes_in",
    "bytes_out",
    "duration_us",
    "instance",
    "detail",
    "leaf",
)

_LONGEST_CELL: Final = 32_000  # spreadsheets cut cells at 32,767 characters, some of them with an error
_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def export_csv(reader: AuditReader, out: TextIO, *, query: Query | None = None) -> int:
    """Write the records that `query` matches, oldest first, and return how many; open `out` with `newline=""`.

    A cell that a spreadsheet would take for a formula begins with an apostrophe; control and invisible characters are
    written as `\\uXXXX`. Lists are joined with a space, accesses are `action resource` joined with `; `.
    """
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    records = 0
    for row in reader.rows():
        if query is None or query.matches(row):
            cells = _cells(row)
            writer.writerow([_safe(cells.get(name)) for name in COLUMNS])
            records += 1
    return records


def _cells(row: Row) -> dict[str, Any]:
    record = read_body(row)
    actor, request = _part(record, "actor"), _part(record, "request")
    rule, policy = _part(record, "rule"), _part(record, "policy")
    cells = {name: record.get(name) for name in COLUMNS}
    return cells | {
        "index": row.index,
        "time": _time(record.get("time_us")),
        "decision_index": record.get("decision"),
        "actor": actor.get("subject"),
        "username": actor.get("username"),
        "provider": actor.get("provider"),
        "groups": actor.get("groups"),
        "method": request.get("method"),
        "path": request.get("path"),
        "query_keys": request.get("query_keys"),
        "accesses": _accesses(record.get("accesses")),
        "rule": f"{rule.get('file')}:{rule.get('line')}" if rule else None,
        "rule_text": rule.get("text"),
        "policy_commit": policy.get("commit"),
        "policy_digest": policy.get("digest"),
        "detail": record.get("detail", record.get("problem")),
        "leaf": row.leaf.hex(),
    }


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _accesses(value: object) -> str | None:
    if not isinstance(value, Sequence):
        return None
    return "; ".join(f"{item.get('action')} {item.get('resource')}" for item in value if isinstance(item, Mapping))


def _time(time_us: object) -> str | None:
    try:
        seconds, micros = divmod(int(str(time_us)), 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return None


def _safe(value: object) -> object:
    if value is None or isinstance(value, int):
        return value
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = text[:_LONGEST_CELL] + "…" if len(text) > _LONGEST_CELL else text
    formula = _FORMULA.match(text) or text[:1] in ("\t", "\r", "\n")
    text = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return f"'{text}" if formula else text
