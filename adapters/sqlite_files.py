"""The files of an SQLite database that one process writes: locked, and missed where they are taken away."""

import fcntl
import os
from pathlib import Path


class WriterLock:
    """Keeps a second gateway off the same database: a lock on a file beside it, freed by the kernel at any exit.

    Raises BlockingIOError where another process has it, another OSError where the lock file can't be opened.
    """

    def __init__(self, path: Path) -> None:
        name = path.with_name(path.name + ".lock")
        self._descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


class OpenedFiles:
    """Which files were opened: a write to a file that is no longer at its path must never be acknowledged.

    Raises FileNotFoundError where the database or its write-ahead log is not there.
    """

    def __init__(self, path: Path) -> None:
        self._names = (str(path), f"{path}-wal")
        self._files = self._look()

    def are_in_place(self) -> bool:
        """Tell whether the database and its write-ahead log are still the files at their paths."""
        try:
            return self._look() == self._files
        except FileNotFoundError:
            return False

    def _look(self) -> list[tuple[int, int]]:
        return [(found.st_dev, found.st_ino) for found in map(os.stat, self._names)]
