"""Looks over a bundle that loads for what is lawful but probably not meant."""

from collections.abc import Iterable

from gateway.policy.bundle import PolicyBundle
from gateway.policy.bundle_files import IDENTITIES
from gateway.policy.findings import Finding
from gateway.policy.rows import Row
from identity.directory import Directory
from identity.workload_habits import doubts


def check(bundle: PolicyBundle) -> tuple[Finding, ...]:
    """Return what to look at, in the order of files and lines; nothing here stops a bundle from loading."""
    findings = [*_duplicates(bundle.rules), *_duplicates(bundle.links)]
    if not bundle.rules:
        findings.append(Finding("rules", 0, "holds no rule: write a `p` row that says who may do what"))
    if bundle.model.is_shipped:
        findings += _unheld_roles(bundle)
        findings += _links_to_nothing(bundle)
        findings += _subjects_of_nobody(bundle)
    findings += _doubtful_workloads(bundle.directory)
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


def _subjects_of_nobody(bundle: PolicyBundle) -> list[Finding]:
    """Report rows about people and workloads that no caller can be: an allow is idle, a deny protects nothing."""
    findings = []
    for row in (*bundle.rules, *bundle.links):
        problem = _subject_problem(row.fields[0], bundle.directory)
        if problem is not None:
            findings.append(_finding(row, f"is about {row.fields[0]}, {problem}"))
    return findings


def _subject_problem(subject: str, directory: Directory) -> str | None:
    # Rows of somebody deactivated are no finding: deactivating must be a change of one line that passes every check.
    kind, _, name = subject.partition(":")
    if kind == "user" and ":" not in name and directory.person(name) is None:
        return (
            f"who is not in {IDENTITIES}: add them, or name the account as user:<provider>:<name>, "
            "which it is called while nobody is linked to it"
        )
    if kind == "workload":
        provider, _, entry = name.partition(":")
        if not directory.has_workload(provider, entry):
            return f"which {IDENTITIES} does not define: add it below `workloads`"
    return None


def _doubtful_workloads(directory: Directory) -> list[Finding]:
    return [
        Finding(IDENTITIES, workload.line, f"the workload {workload.name!r} {doubt}")
        for workload in directory.workloads
        for doubt in doubts(workload)
    ]


def _finding(row: Row, message: str) -> Finding:
    return Finding(row.rule.file, row.rule.line, message)
