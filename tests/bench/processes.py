"""Starts programs, each on the core it is given, and stops them by process id."""

import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 10.0


class BenchError(Exception):
    """The run, or one figure of it, can't be had; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One program as it is started: a command that stays in the foreground and serves `port` on loopback.

    It is ready once `ready_path` is answered with a status below 500.
    """

    argv: Sequence[str]
    port: int
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = "/"


def program(name: str, package: str) -> str:
    """Return the path of an installed program; raises BenchError naming the Debian package that has it."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise BenchError(f"the program {name!r} is missing: apt-get install {package}")
    return path


@contextmanager
def running(launch: Launch, core: int) -> Iterator[int]:
    """Run the program alone on `core` until the block ends; yields its process id once it is ready.

    Raises BenchError with the end of its output where it does not come up.
    """
    output = launch.directory / "output.txt"
    with output.open("ab") as sink:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *launch.argv],
            cwd=launch.directory,
            env={**os.environ, **launch.environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C reaches this harness only, which then stops each program in order.
            start_new_session=True,
        )
    try:
        _wait_until_answering(process, launch, output)
        yield process.pid
    finally:
        _stop(process)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a program started by `running`, its children included, has used so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # What follows the name, which may hold anything: state, parent, group, session, ... (proc(5)).
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _wait_until_answering(process: subprocess.Popen[bytes], launch: Launch, output: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{launch.argv[0]} stopped at once ({process.returncode}): {_tail(output)}")
        connection = http.client.HTTPConnection("127.0.0.1", launch.port, timeout=2)
        try:
            connection.request("GET", launch.ready_path)
            if connection.getresponse().status < 500:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise BenchError(f"{launch.argv[0]} was not ready within {START_DEADLINE_S:.0f} s: {_tail(output)}")


def _tail(output: Path) -> str:
    return output.read_text(errors="replace").strip()[-2000:] or "it printed nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
