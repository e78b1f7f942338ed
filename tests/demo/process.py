"""One long-running program of the demo: its log, when it is ready, and its end."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path


class PartFailedError(Exception):
    """A part of the demo did not start; the text names it and holds the end of its log."""


class Process:
    """A program that writes to a log file and answers HTTP when it is ready."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str], directory: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=directory
            )

    def wait_until_ready(self, url: str, deadline_s: float) -> None:
        """Return once `url` answers 200; raises PartFailedError where the program ends or stays silent."""
        end = time.monotonic() + deadline_s
        seen = "no answer"
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise PartFailedError(f"{self.name} ended with code {self._process.returncode}.\n{self._tail()}")
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                seen = f"{error.code}: {error.read(2000).decode(errors='replace')}"
                error.close()
            except OSError as error:
                seen = str(error)
            time.sleep(0.1)
        raise PartFailedError(f"{self.name} was not ready at {url} within {deadline_s:.0f} s ({seen}).\n{self._tail()}")

    def stop(self) -> None:
        """Ask the program to end and wait for it; it is killed where it does not within 10 s."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return f"The end of its log, {self.log}:\n" + "\n".join(lines[-25:])
