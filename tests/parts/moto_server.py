"""A real AWS API on loopback: moto's server in a process of its own, on a port the system picks."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_RUNNING = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")


class MotoServer:
    """moto's server; use as a context manager, or call `start` and `stop`.

    `log` is where its output goes. `environment` is added to the process's own, for example
    `{"INITIAL_NO_AUTH_ACTION_COUNT": "4"}`: after four calls moto checks every signature and IAM policy.
    """

    def __init__(self, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.url = ""
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, deadline_s: float = 30.0) -> None:
        """Start it and return once it listens; raises RuntimeError with the log where it does not."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self._environment},
            )
        end = time.monotonic() + deadline_s
        while time.monotonic() < end and self._process.poll() is None:
            found = _RUNNING.search(self.log.read_text(errors="replace"))
            if found:
                self.url = found[1]
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"moto did not start within {deadline_s} s:\n{self.log.read_text(errors='replace')}")

    @property
    def pid(self) -> int | None:
        """The server's process id, None where it does not run."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """End the process that `start` started. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
