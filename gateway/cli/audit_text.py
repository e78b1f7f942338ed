"""How records and verification reports read, for people and for programs."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.cli.output import counted

if TYPE_CHECKING:
    from audit.search import Event
    from audit.verify import VerifyReport

_LATEST_US = 253_402_300_799_000_000


def event_document(event: "Event") -> dict[str, Any]:
    """Return an event as JSON: `index`, `leaf` (hex), `record` and `outcome` as they were stored."""
    return {"index": event.index, "leaf": event.leaf.hex(), "record": event.record, "outcome": event.outcome}


def event_line(event: "Event") -> str:
    """Return an event as one line: index, time, verdict, who, what, by which rule, and how it ended.

    For a login or a revocation: index, time, what, how it ended, who, through which provider, with what, and why.
    """
    record = event.record
    parts = [str(event.index), _time(record.get("time_us"))]
    if record.get("kind") == "authn":
        parts += [
            str(record.get("action")),
            str(record.get("result")),
            str(_mapping(record, "actor").get("subject", "-")),
            *(
                f"{word} {record[key]}"
                for word, key in (("through", "provider"), ("with", "client"))
                if record.get(key)
            ),
            str(record.get("detail", "")),
        ]
        return "  ".join(part for part in parts if part)
    if record.get("kind") != "decision":
        parts += [str(record.get("kind")), str(record.get("result", record.get("problem", "")))]
        return "  ".join(part for part in parts if part)
    request, rule = _mapping(record, "request"), _mapping(record, "rule")
    accesses = [
        f"{access.get('action')} {access.get('resource')}"
        for access in record.get("accesses") or ()
        if isinstance(access, Mapping)
    ]
    parts += [
        str(record.get("verdict")),
        str(_mapping(record, "actor").get("subject", "-")),
        f"{request.get('method')} {record.get('backend')} {request.get('path')}",
        "; ".join(accesses),
        f"{rule.get('file')}:{rule.get('line')}" if rule else str(record.get("reason")),
        _ending(record, event.outcome),
    ]
    return "  ".join(part for part in parts if part)


def _ending(record: Mapping[str, Any], outcome: Mapping[str, Any] | None) -> str:
    if outcome is not None:
        status = outcome.get("status")
        return f"{outcome.get('result')} {status}" if status is not None else str(outcome.get("result"))
    status = record.get("status")
    return f"answered {status}" if status is not None else "no outcome yet"


def report_document(report: "VerifyReport") -> dict[str, Any]:
    """Return a verification report as JSON."""
    return {
        "ok": report.ok,
        "records": report.records,
        "signed": report.signed,
        "root": report.root.hex(),
        "first_bad_index": report.first_bad_index,
        "finding_count": report.finding_count,
        "findings": [{"index": one.index, "code": one.code, "text": one.text} for one in report.findings],
    }


def report_lines(report: "VerifyReport") -> Iterator[str]:
    """Yield a verification report as lines, the verdict last."""
    for finding in report.findings:
        yield f"{finding.code}: {finding.text}"
    if report.finding_count > len(report.findings):
        yield f"... and {report.finding_count - len(report.findings)} more"
    counts = f"{counted(report.records, 'record')}, {report.signed} of them under the signed checkpoint"
    if report.ok:
        yield f"verified: {counts}; root {report.root.hex()}"
    elif report.first_bad_index is not None:
        yield f"BROKEN: first bad record {report.first_bad_index}; {counts}"
    else:
        yield f"BROKEN: {counts}"


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _time(time_us: object) -> str:
    if not isinstance(time_us, int) or not 0 <= time_us <= _LATEST_US:
        return "?"
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us % 1_000_000 // 1000:03d}Z"
