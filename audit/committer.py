"""The one thread that writes the log: it takes whatever has queued and makes it durable in one transaction.

A batch is what queued while the last one was being written and, where several callers came at once, in a pause of up
to 3 ms between the beginnings of two batches. Outcomes go with the next batch, or after 50 ms. What a crash leaves
behind: before the transaction nothing, and nothing was acknowledged; after it a decision without an outcome, which the
next start closes as `indeterminate`; at most a second of records not yet under a checkpoint.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from audit import record
from audit.batch import Batch, Entry, Signal, batch_of
from audit.checkpoint import Checkpoint
from audit.merkle import Frontier
from audit.note import Signer
from audit.record import Record
from audit.recovery import check_against_checkpoint, open_decisions
from audit.store import AuditCorruptError, AuditReader, AuditStore, AuditUnavailableError, Head, Row

logger = logging.getLogger("portcullis.audit")

MAX_BATCH: Final = 256
# How far apart batches begin, for each caller of the last one. A commit costs a processor about the same for one record
# as for thirty. Above 4,000 callers a second the pauses grow until fewer commits carry the same records; below that
# they shrink to nothing, and a lone caller is never held up.
APART_PER_CALLER_S: Final = 0.00025
# The bound on that: what a caller may be held up for the sake of the others.
LONGEST_APART_S: Final = 0.003
CHECKPOINT_EVERY_S: Final = 1.0
RETRY_S: Final = 1.0


class Delivery(Protocol):
    """What the committer tells, from its own thread."""

    def acknowledged(self, entries: Sequence[Entry], rows: Sequence[Row]) -> None:
        """The entries are durable as `rows`, one each."""
        ...

    def refused(self, entries: Sequence[Entry], error: AuditUnavailableError) -> None:
        """Those of the entries that have a caller waiting were not recorded, as far as is known."""
        ...


class Committer:
    """Owns the store, the tree and the list of open decisions.

    Shared with the event loop: `queue` (records that a caller waits for), `kept` (records that nobody waits for: they
    go with the next batch, and stay here while the store is down), and plain attributes to be read.
    """

    def __init__(
        self,
        store: AuditStore,
        reader: AuditReader,
        delivery: Delivery,
        *,
        signer: Signer,
        clock_us: Callable[[], int],
        instance: str,
        version: str,
    ) -> None:
        self.queue: SimpleQueue[Entry | Signal] = SimpleQueue()
        self.kept: deque[Entry] = deque()
        self.problem: str | None = None
        self.batches = 0
        self.refused = 0
        self.busy_with: Sequence[Entry] = ()
        self.busy_since: float | None = None
        self.open: dict[int, None] = {}
        self._store, self._reader, self._delivery = store, reader, delivery
        self._signer, self._clock_us = signer, clock_us
        self._instance, self._version = instance, version
        self._is_open = False
        self._head: Head | None = None
        self._tree = Frontier()
        self._unknown: Batch | None = None
        self._began = 0.0
        self._apart_s = 0.0
        self._stopped: AuditUnavailableError | None = None
        self._problem_since_us = 0
        self._signed_size = 0
        self._signed_at = 0.0

    @property
    def size(self) -> int:
        """How many records are durable, as far as is acknowledged."""
        return 0 if self._head is None else self._head.size

    def run(self, started: Callable[[], None]) -> None:
        """Work until END is queued, then write what is left, a `stop` record and a last checkpoint."""
        self._step([], opening=True)
        started()
        closing = False
        while not closing:
            entries, closing = self._collect()
            self._step(entries)
        while self.kept and self.problem is None:
            self._step([])
        self._finish()

    def _collect(self) -> tuple[list[Entry], bool]:
        entries: list[Entry] = []
        queue = self.queue
        try:
            item = queue.get(timeout=self._idle_s())
            pause_s = self._began + self._apart_s - time.monotonic()
            if pause_s > 0 and queue.qsize() < MAX_BATCH:
                time.sleep(pause_s)
            while item is not Signal.END:
                if item is not Signal.FLUSH:
                    entries.append(item)
                if len(entries) >= MAX_BATCH or queue.empty():
                    break
                item = queue.get_nowait()
        except Empty:
            return [], False
        self._apart_s = min(len(entries) * APART_PER_CALLER_S, LONGEST_APART_S) if len(entries) > 1 else 0.0
        return entries, item is Signal.END

    def _idle_s(self) -> float | None:
        """How long to wait for something to write, in seconds; None where there is nothing else to do."""
        if self._stopped is not None:
            return None
        if self.problem is not None:
            return RETRY_S
        if len(self.kept) >= MAX_BATCH:
            return 0.0
        if self._signed_size != self.size:
            return max(0.0, CHECKPOINT_EVERY_S - (time.monotonic() - self._signed_at))
        return None

    def _step(self, entries: list[Entry], *, opening: bool = False) -> None:
        self._began = time.monotonic()
        self.busy_with, self.busy_since = entries, self._began
        try:
            if entries or self.kept or self.problem is not None or opening:
                self._commit(entries)
            self._sign()
        except Exception as error:
            # A defect in this thread must neither leave callers waiting nor let anything pass unrecorded.
            logger.exception("the audit log stops after an unexpected error")
            self._fall(AuditCorruptError(f"the audit log stopped after an unexpected error: {error!r}"))
            self._refuse(entries)
        finally:
            self.busy_with, self.busy_since = (), None

    def _commit(self, entries: list[Entry]) -> None:
        try:
            self._ensure_open()
        except AuditUnavailableError as error:
            self._fall(error)
            self._refuse(entries)
            return
        batch = self._batch(entries)
        if not batch.entries:
            return
        try:
            self._write(batch)
        except AuditUnavailableError as error:
            # Whether the batch is in is not known; the next open tells, and keeps its outcomes if it is not.
            self._fall(error)
            self._refuse(batch.entries)
            return
        if self.problem is not None:
            logger.warning("the audit log is writable again, at %d records", batch.head.size)
            self.problem, self.refused = None, 0
        self._acknowledge(batch)

    def _write(self, batch: Batch) -> None:
        self._unknown = batch
        try:
            self._store.append(batch.rows, batch.head)
        except AuditCorruptError:
            raise
        except AuditUnavailableError as error:
            self._fall(error)
            if self._reopen():
                return
            self._unknown = batch
            self._store.append(batch.rows, batch.head)
        self._unknown = None

    def _ensure_open(self) -> None:
        if self._stopped is not None:
            raise self._stopped
        if self._is_open:
            return
        if self._head is None:
            self._recover()
            return
        unknown = self._unknown
        landed = self._reopen()
        if unknown is not None and landed:
            self._acknowledge(unknown)
        elif unknown is not None:
            self._keep(unknown.entries)

    def _reopen(self) -> bool:
        """Open the store again; True where the batch of unknown fate turns out to be in it."""
        head = self._store.open()
        self._is_open = True
        unknown, known = self._unknown, self._head
        landed = unknown is not None and _same(head, unknown.head)
        if not landed and (known is None or not _same(head, known)):
            raise AuditCorruptError(
                f"the audit log came back at size {head.size}, not as it was acknowledged at size {self.size}: "
                "it was replaced, cut or written by somebody else. Restore the log, verify it, and restart."
            )
        self._unknown = None
        return landed

    def _recover(self) -> None:
        head = self._store.open()
        self._is_open = True
        self._signed_size = check_against_checkpoint(head, self._reader.last_checkpoint(), self._signer.verifier)
        try:
            self._tree = Frontier(head.size, head.frontier)
        except ValueError as error:
            raise AuditCorruptError(f"the stored head of the audit log contradicts itself: {error}") from error
        left_open = open_decisions(self._reader.rows(head.settled, head.size))
        self._head = head
        self.open = dict.fromkeys(left_open)
        now_us = self._clock_us()
        opened = record.start(
            time_us=now_us,
            instance=self._instance,
            version=self._version,
            size=head.size,
            open_decisions=len(left_open),
        )
        self.kept.extendleft(
            (
                record.outcome(
                    request_id=request_id,
                    decision_index=index,
                    time_us=now_us,
                    status=None,
                    bytes_in=0,
                    bytes_out=0,
                    duration_us=0,
                    result="indeterminate",
                    detail="the gateway stopped before the outcome was recorded",
                ),
                None,
            )
            for index, request_id in reversed(left_open.items())
        )
        self.kept.appendleft((opened, None))

    def _batch(self, entries: list[Entry]) -> Batch:
        head = self._head
        assert head is not None
        taken = [self.kept.popleft() for _ in range(min(len(self.kept), MAX_BATCH))]
        if self.problem is not None:
            taken.append((self._resumed(self.problem), None))
        taken += entries
        # What this batch itself opens and closes counts from the next one on: the mark may lag, never lead.
        return batch_of(taken, self._tree, settled=next(iter(self.open), head.size))

    def _acknowledge(self, batch: Batch) -> None:
        self._head, self._tree = batch.head, batch.tree
        for (entry, _), row in zip(batch.entries, batch.rows, strict=True):
            if entry.decision_index is not None:
                self.open.pop(entry.decision_index, None)
            elif entry.awaits_outcome:
                self.open[row.index] = None
        self.batches += 1
        self._delivery.acknowledged(batch.entries, batch.rows)

    def _sign(self, *, closing: bool = False) -> None:
        head = self._head
        if head is None or not self._is_open or head.size == self._signed_size:
            return
        now = time.monotonic()
        if not closing and now - self._signed_at < CHECKPOINT_EVERY_S:
            return
        signed = Checkpoint(self._signer.verifier.name, head.size, self._tree.root).sign(self._signer)
        try:
            self._store.checkpoint(signed, head.size)
        except AuditUnavailableError as error:
            self._fall(error)
            return
        self._signed_size, self._signed_at = head.size, now

    def _finish(self) -> None:
        self._step([(record.stop(time_us=self._clock_us(), instance=self._instance), None)])
        self._sign(closing=True)
        if self.problem is not None:
            logger.error("the audit log closes with %d records unwritten: %s", len(self.kept), self.problem)
        self._store.close()
        self._reader.close()

    def _resumed(self, problem: str) -> Record:
        return record.resume(
            time_us=self._clock_us(),
            instance=self._instance,
            problem=problem,
            since_us=self._problem_since_us,
            refused=self.refused,
        )

    def _keep(self, entries: Sequence[Entry]) -> None:
        self.kept.extend(entry for entry in entries if entry[1] is None and entry[0].kind != "resume")

    def _refuse(self, entries: Sequence[Entry]) -> None:
        self.refused += sum(waiting is not None for _, waiting in entries)
        self._delivery.refused(entries, self._stopped or AuditUnavailableError(self.problem))

    def _fall(self, error: AuditUnavailableError) -> None:
        """Close the store: after an error nothing is retried on the same connection, least of all an fsync."""
        self._is_open = False
        self._store.close()
        if self.problem is None:
            self._problem_since_us = self._clock_us()
            logger.error("the audit log can't be written, nothing is forwarded: %s", error)
        elif isinstance(error, AuditCorruptError) and self._stopped is None:
            logger.error("the audit log stays stopped until an operator acts: %s", error)
        self.problem = str(error)
        if isinstance(error, AuditCorruptError):
            self._stopped = error


def _same(one: Head, other: Head) -> bool:
    return one.size == other.size and one.frontier == other.frontier
