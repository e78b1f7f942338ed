"""An audit log kept in memory, whose store can be told to fail before or after it has persisted, or to hang."""

import threading
from collections.abc import Iterator, Sequence

from audit.store import AuditUnavailableError, Head, Row


class MemoryLog:
    """What is durable: it outlives every store and reader made over it."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.head = Head(0, (), 0)
        self.checkpoints: list[tuple[bytes, int]] = []


class MemoryStore:
    """An `AuditStore`.

    Each number in `fail_*` counts down the calls still to fail; clear `go_on` or `sign_on` to hang appends or
    checkpoints; `defect` is raised as it is. `appending` is true while an append hangs.
    """

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.is_open = False
        self.opened = 0
        self.appends = 0
        self.appending = False
        self.fail_open = 0
        self.fail_before = 0
        self.fail_after = 0
        self.fail_checkpoint = 0
        self.defect: Exception | None = None
        self.go_on = threading.Event()
        self.sign_on = threading.Event()
        self.go_on.set()
        self.sign_on.set()

    def open(self) -> Head:
        self.opened += 1
        if self.fail_open:
            self.fail_open -= 1
            raise AuditUnavailableError("the store can't be opened")
        self.is_open = True
        return self.log.head

    def append(self, rows: Sequence[Row], head: Head) -> None:
        assert self.is_open, "an append to a closed store"
        self.appending = True
        self.go_on.wait()
        self.appending = False
        self.appends += 1
        if self.defect is not None:
            raise self.defect
        if rows[0].index != len(self.log.rows):
            raise AuditUnavailableError("these rows do not follow the last one")
        if self.fail_before:
            self.fail_before -= 1
            raise AuditUnavailableError("failed before persisting")
        self.log.rows.extend(rows)
        self.log.head = head
        if self.fail_after:
            self.fail_after -= 1
            raise AuditUnavailableError("failed after persisting")

    def checkpoint(self, text: bytes, size: int) -> None:
        assert self.is_open, "a checkpoint for a closed store"
        self.sign_on.wait()
        if self.fail_checkpoint:
            self.fail_checkpoint -= 1
            raise AuditUnavailableError("the checkpoint can't be stored")
        self.log.checkpoints.append((text, size))

    def close(self) -> None:
        self.is_open = False


class MemoryReader:
    """An `AuditReader` over the same log."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log

    def head(self) -> Head:
        return self.log.head

    def rows(self, start: int = 0, end: int | None = None) -> Iterator[Row]:
        yield from self.log.rows[start:end]

    def last_checkpoint(self) -> bytes | None:
        return self.log.checkpoints[-1][0] if self.log.checkpoints else None

    def close(self) -> None:
        pass
