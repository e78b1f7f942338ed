"""What is learned from a stored log before the first record is added to it."""

import json
from collections.abc import Iterable

from audit.checkpoint import open_checkpoint
from audit.merkle import root_of
from audit.note import NoteError, Verifier
from audit.store import AuditCorruptError, Head, Row


def open_decisions(rows: Iterable[Row]) -> dict[int, str]:
    """Return index -> request id of each allowed decision among `rows` that no outcome among them closes."""
    found: dict[int, str] = {}
    for row in rows:
        if row.kind == "decision" and row.verdict == "allowed":
            found[row.index] = row.request_id
        elif row.kind == "outcome":
            try:
                found.pop(json.loads(row.body)["decision"], None)
            except (ValueError, KeyError, TypeError) as error:
                raise AuditCorruptError(f"record {row.index} is not an outcome, though it is stored as one") from error
    return found


def check_against_checkpoint(head: Head, note: bytes | None, verifier: Verifier) -> int:
    """Return how many records the newest checkpoint covers; 0 where there is none yet.

    Raises AuditCorruptError where another key or origin signed it, where the log has lost records that were signed,
    and where it ends in others.
    """
    if note is None:
        return 0
    try:
        signed = open_checkpoint(note, verifier)
    except NoteError as error:
        raise AuditCorruptError(
            f"the newest checkpoint is not signed by the configured key and origin ({error}): put those back, or "
            "restore the log that they belong to, and restart."
        ) from error
    if signed.size > head.size:
        raise AuditCorruptError(
            f"the audit log was signed at size {signed.size} but ends at {head.size}: records were removed. "
            "Restore the log, verify it, and restart."
        )
    if signed.size == head.size and signed.root != root_of(head.frontier):
        raise AuditCorruptError(
            f"the audit log does not lead to the root that was signed at its size, {head.size}: records were "
            "altered. Verify the log to find them, restore it, and restart."
        )
    return signed.size
