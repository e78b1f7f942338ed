"""One system under test: how it is started, what it checks, and the proof that it does."""

import http.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.credentials import Credentials
from tests.bench.processes import BenchError, Launch


@dataclass(frozen=True, slots=True)
class Site:
    """Where a system runs: a directory of its own, the port it must serve, the backend it must forward to."""

    directory: Path
    port: int
    backend_port: int
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class System:
    """One program that forwards to the backend, configured as its own manual advises for speed.

    `key` names it in the figures, `checks` says what it does for each request, `refuses` whether it must answer 401
    without a good token. `path` is the request path that leads to the backend. `check_after` is given how many requests
    the load sent, and raises BenchError where the system did not do its whole job for each.
    """

    key: str
    title: str
    checks: str
    refuses: bool
    path: str
    version: Callable[[], str]
    prepare: Callable[[Site], Launch]
    check_after: Callable[[Site, int], None] = lambda site, requests: None


def verify(system: System, port: int, credentials: Credentials, expected_body: bytes) -> None:
    """Prove that the system does what its figure claims; raises BenchError, so that no wrong system gets a figure."""
    _expect(system, port, credentials.token, 200, expected_body)
    if not system.refuses:
        return
    for token in (None, credentials.forged, credentials.expired):
        _expect(system, port, token, 401, None)


def _expect(system: System, port: int, token: str | None, status: int, body: bytes | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", system.path, headers=headers)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != status or (body is not None and answer != body):
        raise BenchError(f"{system.title} answered {response.status} for {status}: {answer[:300]!r}")


def write_config(directory: Path, name: str, lines: Sequence[str] | str) -> Path:
    """Write a configuration file and return its path."""
    path = directory / name
    path.write_text(lines if isinstance(lines, str) else "\n".join(lines) + "\n")
    return path
