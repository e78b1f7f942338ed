"""Checks a log from its rows alone: every body against its leaf, every leaf against the signed root."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from audit.canonical import quote
from audit.checkpoint import Checkpoint, open_checkpoint
from audit.merkle import Frontier
from audit.note import NoteError, Verifier
from audit.record import columns
from audit.store import AuditReader, Head, Row

MAX_FINDINGS: Final = 100
_TREE_STEP: Final = 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `index` is the record it was found at, None where it concerns the log as a whole.

    `code` is one of `altered`, `not_a_record`, `columns`, `missing`, `order`, `receipt`, `checkpoint`, `root`, `head`,
    `unsigned`, `export`, `store`.
    """

    index: int | None
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found: `records` read, the tree's `root` over them, and how many of them are `signed`.

    `findings` holds the first hundred of `finding_count`.
    """

    records: int
    root: bytes
    signed: int
    findings: tuple[Finding, ...]
    finding_count: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.finding_count

    @property
    def first_bad_index(self) -> int | None:
        """The lowest index with a finding of its own."""
        return min((finding.index for finding in self.findings if finding.index is not None), default=None)


def verify_store(
    reader: AuditReader,
    *,
    verifier: Verifier,
    checkpoint: bytes | None = None,
    receipts: Mapping[int, bytes] | None = None,
) -> VerifyReport:
    """Verify what a store holds now, against its own newest checkpoint or one that somebody kept."""
    own = reader.last_checkpoint()  # before the head: a checkpoint never covers more than a later head
    head = reader.head()
    return verify_log(
        reader.rows(0, head.size), verifier=verifier, checkpoint=checkpoint or own, head=head, receipts=receipts
    )


def verify_log(
    rows: Iterable[Row],
    *,
    verifier: Verifier,
    checkpoint: bytes | None,
    head: Head | None = None,
    receipts: Mapping[int, bytes] | None = None,
) -> VerifyReport:
    """Verify all of a log, read once and in order, with flat memory.

    `checkpoint` is the log's newest signed note, or an older one that somebody kept. `head` is what the store says of
    itself. `receipts` (index -> leaf hash) are callers' own evidence.
    """
    chain = Chain(verifier, checkpoint, receipts=receipts)
    for row in rows:
        chain.add(row.index, row.leaf, row.body)
        if not _columns_fit(row):
            chain.check_columns(row)
    if head is not None:
        chain.check_head(head)
    return chain.report()


class Chain:
    """A verification in progress: rows go in one after another, findings come out at the end."""

    def __init__(
        self,
        verifier: Verifier,
        checkpoint: bytes | None,
        *,
        tree: Frontier | None = None,
        receipts: Mapping[int, bytes] | None = None,
        covers_all: bool = True,
        end: int | None = None,
    ) -> None:
        self._tree = tree or Frontier()
        self._end = end
        self._next = self._start = self._tree.size
        self._receipts = dict(receipts or {})
        self._covers_all = covers_all
        self._leaves: list[bytes] = []
        self._records = 0
        self._whole = True
        self._findings: list[Finding] = []
        self._count = 0
        self._signed = self._open(verifier, checkpoint)
        self._turn = -1 if self._signed is None else self._signed.size
        if self._signed is not None and self._next == self._turn:
            self._check_root(self._signed)

    def add(self, index: int, leaf: bytes, body: bytes) -> None:
        """Take the next row in."""
        if index != self._next and self._covers_all:
            self._misplaced(index)
        found = sha256(b"\x00" + body).digest()
        if found != leaf:
            self.find(index, "altered", f"record {index} does not hash to its leaf: it, or its leaf, was altered")
        if self._receipts and self._receipts.pop(index, found) != found:
            self.find(index, "receipt", f"record {index} is not the one that a receipt was given for")
        self._records += 1
        self._next = index + 1
        self._leaves.append(found)
        if self._next == self._turn or len(self._leaves) >= _TREE_STEP:
            self._grow()

    def check_columns(self, row: Row) -> None:
        """Compare a row's search columns with its body."""
        try:
            document = json.loads(row.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            self.find(row.index, "not_a_record", f"record {row.index} is not a JSON document")
            return
        stored = (row.kind, row.request_id, row.time_us, row.actor, row.backend, row.verdict)
        names = ("kind", "request_id", "time_us", "actor", "backend", "verdict")
        for name, mine, right in zip(names, stored, columns(document), strict=True):
            if mine != right:
                text = f"record {row.index}: the search column {name} says {mine!r}, the record says {right!r}"
                self.find(row.index, "columns", text)

    def check_head(self, head: Head) -> None:
        """Compare the end of the rows with what the store says of itself."""
        self._grow()
        if head.size != self._next:
            self.find(None, "head", f"the store gives its size as {head.size}, its rows end at {self._next}")
        elif self._whole and head.frontier != self._tree.edge:
            self.find(None, "head", "the tree that the store keeps is not the tree of its records")

    def find(self, index: int | None, code: str, text: str) -> None:
        """Note that something is wrong."""
        self._count += 1
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(Finding(index, code, text))

    def report(self) -> VerifyReport:
        """End the verification."""
        self._grow()
        signed, covered = self._signed, 0
        if not self._covers_all:
            pass
        elif self._end is not None and self._next < self._end:
            self._misplaced(self._end)
        elif signed is not None and signed.size > self._next:
            text = f"the log was signed at size {signed.size} but ends at {self._next}: the rest was removed"
            self.find(self._next, "missing", text)
        elif signed is not None and signed.size >= self._start:
            covered = signed.size - self._start
        elif self._next and not self._findings:
            self.find(
                None, "unsigned", "no checkpoint covers these records: nothing proves that they are the first ones"
            )
        for index in sorted(self._receipts):
            self.find(index, "receipt", f"record {index}, for which a receipt was given, is not there")
        return VerifyReport(self._records, self._tree.root, covered, tuple(self._findings), self._count)

    def _open(self, verifier: Verifier, checkpoint: bytes | None) -> Checkpoint | None:
        if checkpoint is None:
            return None
        try:
            return open_checkpoint(checkpoint, verifier)
        except NoteError as error:
            self.find(None, "checkpoint", str(error))
            return None

    def _misplaced(self, index: int) -> None:
        self._whole = False
        if index < self._next:
            self.find(index, "order", f"record {index} comes after record {self._next - 1}: repeated or out of order")
        else:
            last = index - 1
            which = f"record {last} is" if self._next == last else f"records {self._next} to {last} are"
            self.find(self._next, "missing", f"{which} missing")

    def _grow(self) -> None:
        self._tree.extend(self._leaves)
        self._leaves.clear()
        if self._signed is not None and self._next == self._turn:
            self._check_root(self._signed)

    def _check_root(self, signed: Checkpoint) -> None:
        self._turn = -1
        if self._covers_all and (not self._whole or self._tree.root != signed.root):
            self.find(
                None,
                "root",
                f"the first {signed.size} records do not lead to the root that was signed for them: one of them was "
                "altered, added or removed",
            )


@lru_cache(maxsize=4096)
def _traces(kind: str, actor: str, backend: str, verdict: str) -> tuple[bytes, ...]:
    """What a body that fits these columns must hold.

    A quote inside a string is escaped, so such a piece can only be a key with its value.
    """
    if kind == "decision":
        pieces = [
            f'"subject":{quote(actor)}' if actor else '"actor":null',
            f'"backend":{quote(backend)}',
            f'"verdict":{quote(verdict)}',
        ]
    else:
        pieces = [f'"result":{quote(verdict)}'] if verdict else []
    return tuple(piece.encode() for piece in [f'"kind":{quote(kind)}', *pieces])


def _columns_fit(row: Row) -> bool:
    """Whether the columns are plainly those of the body, without parsing it; False means: look closely."""
    body = row.body
    if row.kind not in ("decision", "outcome"):
        return False
    own = f'"time_us":{row.time_us},"v":1'.encode()
    request = f'"request_id":"{row.request_id}"'.encode("utf-8", "replace")
    return (
        own in body
        and request in body
        and all(piece in body for piece in _traces(row.kind, row.actor, row.backend, row.verdict))
    )
