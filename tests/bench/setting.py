"""What every part of a run is given, and what it hands back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.bench.credentials import Credentials
from tests.bench.machine import Cores
from tests.bench.processes import running
from tests.bench.system import Site, System, verify
from tests.bench.systems import nginx
from tests.parts.ports import free_port

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Setting:
    """The cores and the provider that all systems of a run share, and how they are loaded. Times are seconds."""

    cores: Cores
    directory: Path
    credentials: Credentials
    connections: int
    rounds: int
    warm_up_s: int
    seconds: int


@dataclass(slots=True)
class Findings:
    """The figures a part measured, by key, and why others could not be had."""

    figures: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


@contextmanager
def fixed_backend(setting: Setting) -> Iterator[int]:
    """Run the backend that gives the same small answer to every request; yields its port."""
    port = free_port()
    with running(nginx.backend(new_directory(setting, "backend"), port), setting.cores.load):
        yield port


@contextmanager
def started(system: System, setting: Setting, backend_port: int) -> Iterator[tuple[Site, int]]:
    """Run a system on its core in a directory of its own; yields where it runs and its process id."""
    directory = new_directory(setting, system.key)
    site = Site(directory, free_port(), backend_port, setting.credentials)
    with running(system.prepare(site), setting.cores.system) as pid:
        yield site, pid


@contextmanager
def verified(system: System, setting: Setting, backend_port: int) -> Iterator[tuple[Site, int]]:
    """Run a system as `started` does, once it answers from the fixed backend and refuses as it should."""
    with started(system, setting, backend_port) as (site, pid):
        verify(system, site.port, setting.credentials, nginx.BODY)
        yield site, pid


def new_directory(setting: Setting, name: str) -> Path:
    """Make an empty directory below the run's own."""
    directory = setting.directory / f"{next(_numbers)}-{name}"
    directory.mkdir()
    return directory
