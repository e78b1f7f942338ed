"""Looks over a bundle that loads for what is lawful but probably not meant."""

from collections.abc import Iterable

from gateway.policy.bundle import PolicyBundle
from gateway.policy.findings import Finding
from gateway.policy.rows import Row


def check(bundle: PolicyBundle) -> tuple[Finding, ...]:
    """Return what to look at, in the order of files and lines; nothing here stops a bundle from loading."""
    findings = [*_duplicates(bundle.rules), *_duplicates(bundle.links)]
    if not bundle.rules:
        findings.append(Finding("rules", 0, "holds no rule: write a `p` row that says who may do what"))
    if bundle.model.is_shipped:
        findings += _unheld_roles(bundle)
        findings += _links_to_nothing(bundle)
    return tuple(sorted(findings))


def _duplicates(rows: Iterable[Row]) -> list[Finding]:
    first: dict[tuple[str, ...], Row] = {}
    findings = []
    for row in rows:
        known = first.setdefault((row.type, *row.fields), row)
        if known is not row:
            findings.append(_finding(row, f"repeats {known.rule.file}:{known.rule.line}; remove one"))
    return findings


def _unheld_roles(bundle: PolicyBundle) -> list[Finding]:
    held = {row.fields[1] for row in bundle.links}
    return [
        _finding(row, f"is about {row.fields[0]}, which nobody has; link it with `g, ..., {row.fields[0]}`")
        for row in bundle.rules
        if row.fields[0].startswith("role:") and row.fields[0] not in held
    ]


def _links_to_nothing(bundle: PolicyBundle) -> list[Finding]:
    used = {row.fields[0] for row in (*bundle.rules, *bundle.links)}
    return [
        _finding(row, f"gives {row.fields[1]}, which no rule is about")
        for row in bundle.links
        if row.fields[1] not in used
    ]


def _finding(row: Row, message: str) -> Finding:
    return Finding(row.rule.file, row.rule.line, message)
