"""The seam between the audit log and the place where its rows are kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class AuditUnavailableError(Exception):
    """The log can't be written (or read) now; nothing may be forwarded. The text says what to mend."""


class AuditCorruptError(AuditUnavailableError):
    """The log contradicts itself or what was acknowledged before: an operator must look, no retry mends it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The log's durable end.

    `size` is the number of rows; `frontier` the RFC 6962 right-edge hashes, largest subtree first, from which the
    root of `size` leaves follows; `settled` an index below which every allowed decision has its outcome.
    """

    size: int
    frontier: tuple[bytes, ...]
    settled: int


class Row(NamedTuple):
    """One stored record: its position, its leaf hash (32 bytes) and exactly the bytes that were hashed.

    The other fields repeat what is in `body` so that a search need not parse it; the proof rests on `body` alone.
    """

    index: int  # type: ignore[assignment]  # a row is nobody's tuple to search in
    leaf: bytes
    body: bytes
    time_us: int
    kind: str
    request_id: str
    actor: str
    backend: str
    verdict: str


class AuditStore(Protocol):
    """Where rows are kept. One writer at a time; every method may block, and none runs on the event loop."""

    def open(self) -> Head:
        """Open the store and return its durable head.

        Raises AuditUnavailableError where the store is missing (it is never created here), unreadable or not a log.
        """
        ...

    def append(self, rows: Sequence[Row], head: Head) -> None:
        """Store the rows and the new head in one transaction: durable on return, all of it or nothing.

        `rows[0].index` must be the stored size. After AuditUnavailableError the outcome is unknown: `open` again
        and look at the head before anything else.
        """
        ...

    def checkpoint(self, text: bytes, size: int) -> None:
        """Store a signed checkpoint of the first `size` rows."""
        ...

    def close(self) -> None:
        """Close the store; safe to call twice."""
        ...


class AuditReader(Protocol):
    """Reads a log that somebody else may be writing."""

    def head(self) -> Head:
        """Return the durable head."""
        ...

    def rows(self, start: int = 0, end: int | None = None) -> Iterator[Row]:
        """Yield rows `start` to `end` (exclusive; None: the head now) in index order, with flat memory."""
        ...

    def last_checkpoint(self) -> bytes | None:
        """Return the newest signed checkpoint, None where none was signed yet."""
        ...

    def close(self) -> None:
        """Close the reader; safe to call twice."""
        ...
