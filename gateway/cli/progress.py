"""Shows how far a long verification is, where a person watches; elsewhere it costs nothing."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from gateway.cli.output import is_terminal

if TYPE_CHECKING:
    from audit.store import AuditReader, Head, Row

_STEP = 1024


@contextmanager
def watched_reader(reader: "AuditReader") -> "Iterator[AuditReader]":
    """Give the reader back, with its rows counted on the terminal."""
    if not is_terminal():
        yield reader
        return
    with _bar("records", reader.head().size) as advance:
        yield _CountedReader(reader, advance)


@contextmanager
def watched_file(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Give the file back, with its bytes counted on the terminal."""
    if not is_terminal():
        yield file
        return
    with _bar("bytes", path.stat().st_size) as advance:
        yield cast(BinaryIO, io.BufferedReader(_CountedFile(file, advance)))


@contextmanager
def _bar(unit: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (f"verifying {unit}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("verify", total=total)
        yield lambda count: progress.advance(task, count)


class _CountedReader:
    def __init__(self, reader: "AuditReader", advance: Callable[[int], None]) -> None:
        self._reader = reader
        self._advance = advance
        self.head: Callable[[], Head] = reader.head
        self.last_checkpoint = reader.last_checkpoint
        self.close = reader.close

    def rows(self, start: int = 0, end: int | None = None) -> "Iterator[Row]":
        for number, row in enumerate(self._reader.rows(start, end), 1):
            yield row
            if number % _STEP == 0:
                self._advance(_STEP)


class _CountedFile(io.RawIOBase):
    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._advance(len(data))
        return len(data)
