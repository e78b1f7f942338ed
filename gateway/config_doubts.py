"""What may be wrong with a configuration that can be used: told by file and line, and nothing is stopped by it.

Dead links between the providers and `identities.yaml`, and files of secrets that others on this machine can read.
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from gateway.config_file import Location, Value, read_config_file
from gateway.settings import Adapters, Settings, settings_schema
from gateway.settings_checks import absolute
from gateway.settings_errors import dotted, known_keys
from identity.dead_links import dead_links
from identity.directory_file import DirectoryError, load_directory

Level = Literal["error", "warning", "hint"]

_IDENTITIES: Final = "identities.yaml"
# A group may read it, as it does where an orchestrator mounts secrets.
_OTHERS: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class LevelledFinding:
    """One thing that was seen: where it stands, and what to do about it. `provider` is the one that it is about.

    An `error` will be met by callers, a `warning` may be, a `hint` is for whoever sets it up.
    """

    file: str
    line: int
    message: str
    level: Level
    provider: str | None = None


def doubts(path: Path, settings: Settings, adapters: Adapters) -> tuple[LevelledFinding, ...]:
    """Return what is doubtful about the good configuration in `path`: that of its own lines first."""
    return (*_exposed_secrets(path, adapters), *_dead_links(settings))


def _exposed_secrets(path: Path, adapters: Adapters) -> Iterator[LevelledFinding]:
    file, schema = read_config_file(path), settings_schema(adapters)
    data = absolute(file.data, schema, path.absolute().parent)
    for location, value in _files(data, ()):
        # What may stand in an environment variable as well is a secret. Keys of other names have rules of their own.
        name = str(location[-1]).removesuffix("_file")
        if f"{name}_env" not in known_keys(schema, location[:-1], data):
            continue
        mode = stat.S_IMODE(value.stat().st_mode)
        if mode & _OTHERS:
            text = f"`{dotted(location)}` names a secret that others on this machine can read or change (mode {mode:o})"
            remedy = f"`chmod 600 {value}`; a mounted secret: mode 0440"
            yield LevelledFinding(file.file, file.line(location), f"{text}: {remedy}", "warning")


def _files(value: Value, location: Location) -> Iterator[tuple[Location, Path]]:
    inner: Mapping[int, Value] | Mapping[str, Value]
    if isinstance(value, dict):
        inner = value
    elif isinstance(value, list):
        inner = dict(enumerate(value))
    else:
        if isinstance(value, str) and str(location[-1]).endswith("_file"):
            yield location, Path(value)
        return
    for key, below in inner.items():
        yield from _files(below, (*location, key))


def _dead_links(settings: Settings) -> Iterator[LevelledFinding]:
    path = settings.policies / _IDENTITIES
    try:
        directory = load_directory(path)
    except DirectoryError as error:
        for file, line, message in error.findings:
            yield LevelledFinding(file, line, f"{message}: the policy does not load so", "warning")
        return
    for link in dead_links(directory, settings.identity.providers):
        yield LevelledFinding(str(path), link.line, f"{link.message}: nobody is ever found by it", "warning")
