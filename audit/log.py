"""The audit log as the gateway sees it: append a record, and know that it is durable before going on."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty
from typing import Final

from audit import record
from audit.batch import Entry, Signal
from audit.committer import Committer
from audit.note import Signer
from audit.receipt import Receipt
from audit.record import Record
from audit.store import AuditReader, AuditStore, AuditUnavailableError, Row

logger = logging.getLogger("portcullis.audit")

# Outcomes ride along with the next decision; where none comes, they are written after this time.
OUTCOMES_WITHIN_S: Final = 0.05


def _now_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class LogCounters:
    """Figures for metrics: records durable and batches written since the start, records queued for writing, allowed
    decisions without an outcome, outcomes dropped for want of room.
    """

    size: int
    batches: int
    queued: int
    open_decisions: int
    dropped: int


class AuditLog:
    """One sequenced log. Every method is called on the event loop that called `start`; none of them blocks it.

    `stall_s`: how long the store may take for a batch before callers are refused. `max_waiting`: how many records may
    queue before callers are refused. `max_outcomes`: how many outcomes are kept while the store is down.
    """

    def __init__(
        self,
        store: AuditStore,
        reader: AuditReader,
        *,
        signer: Signer,
        instance: str,
        version: str = "",
        clock_us: Callable[[], int] = _now_us,
        stall_s: float = 5.0,
        max_waiting: int = 10_000,
        max_outcomes: int = 100_000,
    ) -> None:
        self._committer = Committer(
            store, reader, self, signer=signer, clock_us=clock_us, instance=instance, version=version
        )
        self._queue = self._committer.queue
        self._clock_us = clock_us
        self._stall_s, self._max_waiting, self._max_outcomes = stall_s, max_waiting, max_outcomes
        self._thread: threading.Thread | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._flush: asyncio.TimerHandle | None = None
        self._stalled: float | None = None
        self._stall_text = f"the audit store has not answered for {stall_s:g} s"
        self._closed = False
        self._waiting = 0
        self._dropped = 0

    async def start(self) -> None:
        """Open the store, close what a crash left open, and write a `start` record.

        Returns also where that failed: `problem` then says why, every append is refused, and the log tries again by
        itself about every second.
        """
        loop = self._loop = asyncio.get_running_loop()
        started = asyncio.Event()
        self._thread = threading.Thread(
            target=self._committer.run,
            args=(lambda: self._call(started.set),),
            name="audit-committer",
            daemon=True,
        )
        self._thread.start()
        limit = loop.call_later(self._stall_s, self._give_up_starting, started)
        await started.wait()
        limit.cancel()

    async def append(self, entry: Record) -> Receipt:
        """Return once `entry` is durable; raises AuditUnavailableError where it is not, as far as is known.

        Where the caller is cancelled, or was refused and the record is found stored later, an outcome is recorded that
        says so: nothing was forwarded.
        """
        if self._closed or self._thread is None:
            raise AuditUnavailableError("the audit log is closed, or was never started")
        if self._stalled is not None and self._is_stalled():
            raise AuditUnavailableError(self._stall_text)
        if self._queue.qsize() >= self._max_waiting:
            raise AuditUnavailableError(f"the audit log is behind by {self._max_waiting} records")
        future: asyncio.Future[Receipt] = self._loop.create_future()
        self._waiting += 1
        self._queue.put((entry, future))
        if self._watch is None:
            self._watch = self._loop.call_later(self._stall_s, self._check_stall)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._abandon(entry, future.result())
            raise
        finally:
            self._waiting -= 1

    def append_soon(self, entry: Record) -> None:
        """Keep `entry` (an outcome) for the next batch and return at once; it is retried while the store is down."""
        if len(self._committer.kept) >= self._max_outcomes:
            self._dropped += 1
            if self._dropped == 1:
                logger.error(
                    "%d outcomes wait for the audit log: further ones are dropped, and their decisions are closed as "
                    "indeterminate at the next start",
                    self._max_outcomes,
                )
            return
        self._committer.kept.append((entry, None))
        if self._flush is None:
            self._flush = self._loop.call_later(OUTCOMES_WITHIN_S, self._flush_kept)

    async def close(self, timeout_s: float = 30.0) -> None:
        """Write what is queued, a `stop` record and a checkpoint, and close the store; safe to call twice."""
        if self._closed or self._thread is None:
            return
        self._closed = True
        self._queue.put(Signal.END)
        await asyncio.to_thread(self._thread.join, timeout_s)
        if self._thread.is_alive():
            logger.error("the audit store has not answered for %g s: closing without it", timeout_s)
        for timer in (self._watch, self._flush):
            if timer is not None:
                timer.cancel()

    @property
    def problem(self) -> str | None:
        """Why nothing can be recorded now, None while all is well."""
        return self._stall_text if self._is_stalled() else self._committer.problem

    @property
    def counters(self) -> LogCounters:
        """The figures of this moment."""
        committer = self._committer
        queued = self._queue.qsize() + len(committer.kept)
        return LogCounters(committer.size, committer.batches, queued, len(committer.open), self._dropped)

    def acknowledged(self, entries: Sequence[Entry], rows: Sequence[Row]) -> None:
        """Called by the committer, in its thread."""
        self._call(self._resolve, entries, rows)

    def refused(self, entries: Sequence[Entry], error: AuditUnavailableError) -> None:
        """Called by the committer, in its thread."""
        self._call(self._reject, entries, error)

    def _call(self, callback: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            logger.debug("the event loop ended before the audit log was closed")

    def _resolve(self, entries: Sequence[Entry], rows: Sequence[Row]) -> None:
        for (entry, future), row in zip(entries, rows, strict=True):
            if future is None:
                continue
            if future.done():
                self._abandon(entry, Receipt(row.index, row.leaf))
            else:
                future.set_result(Receipt(row.index, row.leaf))

    def _reject(self, entries: Sequence[Entry], error: AuditUnavailableError) -> None:
        for _, future in entries:
            if future is not None and not future.done():
                future.set_exception(type(error)(str(error)))

    def _abandon(self, entry: Record, receipt: Receipt) -> None:
        if entry.awaits_outcome:
            self.append_soon(
                record.outcome(
                    request_id=entry.request_id,
                    decision_index=receipt.index,
                    time_us=self._clock_us(),
                    status=None,
                    bytes_in=0,
                    bytes_out=0,
                    duration_us=0,
                    result="fail",
                    detail="nothing was forwarded: the caller was gone, or refused, when the decision became durable",
                )
            )

    def _flush_kept(self) -> None:
        self._flush = None
        if self._committer.kept:
            self._queue.put(Signal.FLUSH)

    def _check_stall(self) -> None:
        self._watch = None
        began = self._committer.busy_since
        if not self._waiting:
            return
        left_s = self._stall_s if began is None else began + self._stall_s - time.monotonic()
        if began is None or left_s > 0:
            self._watch = self._loop.call_later(left_s, self._check_stall)
            return
        self._stall(began, [*self._committer.busy_with, *self._drain()])

    def _stall(self, began: float, waiting: Sequence[Entry]) -> None:
        logger.error("%s, nothing is forwarded", self._stall_text)
        self._stalled = began
        self._reject(waiting, AuditUnavailableError(self._stall_text))

    def _is_stalled(self) -> bool:
        """Whether the write that did not answer in time is still going on."""
        if self._stalled is None:
            return False
        if self._committer.busy_since == self._stalled:
            return True
        logger.warning("the audit store answers again")
        self._stalled = None
        return False

    def _drain(self) -> list[Entry]:
        """Take what callers wait for out of the queue; it was never handed to the store."""
        waiting: list[Entry] = []
        for _ in range(self._queue.qsize()):
            try:
                entry = self._queue.get_nowait()
            except Empty:
                break
            if isinstance(entry, Signal):
                self._queue.put(entry)
            else:
                waiting.append(entry)
        return waiting

    def _give_up_starting(self, started: asyncio.Event) -> None:
        began = self._committer.busy_since
        if began is not None and not started.is_set():
            self._stall(began, [])
            started.set()
