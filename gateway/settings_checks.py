"""What a configuration must satisfy beyond each key's own type: clashes between entries, and inputs that are there."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from gateway.config_file import Location, Value
from gateway.settings_errors import dotted

Problem = tuple[Location, str]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def absolute(key: str, value: Value, base: Path) -> Value:
    """Return the value of `key` with every path in it absolute: what `*_file`, `policies` and `database` name."""
    if isinstance(value, dict):
        return {name: absolute(name, inner, base) for name, inner in value.items()}
    if isinstance(value, list):
        return [absolute("", inner, base) for inner in value]
    if isinstance(value, str) and value and (key == "policies" or key.endswith("_file")):
        return str(base / value)
    if isinstance(value, str) and key == "database":
        return _absolute_database(value, base)
    return value


def _absolute_database(text: str, base: Path) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        return text
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return text
    return url.set(database=str(base / url.database)).render_as_string(hide_password=False)


def clashes(data: Mapping[str, Value], adapters: Collection[str]) -> Iterator[Problem]:
    """Yield what no single entry's own check can see: names and issuers that stand twice, unknown adapters."""
    identity = data.get("identity")
    providers = identity.get("providers") if isinstance(identity, dict) else None
    yield from _repeated(providers, ("identity", "providers"), "name")
    yield from _repeated(providers, ("identity", "providers"), "issuer")
    backends = data.get("backends")
    yield from _repeated(backends, ("backends",), "name")
    for index, entry in enumerate(backends if isinstance(backends, list) else ()):
        if not isinstance(entry, dict):
            continue
        if entry.get("name") == "-":
            name: Location = ("backends", index, "name")
            yield name, f"`{dotted(name)}`: the name `-` is reserved for the gateway's own API"
        if isinstance(entry.get("adapter"), str) and entry["adapter"] not in adapters:
            adapter: Location = ("backends", index, "adapter")
            yield adapter, f"`{dotted(adapter)}` is no known adapter: choose one of {', '.join(sorted(adapters))}"


def _repeated(entries: Value, location: Location, key: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        value = entry.get(key) if isinstance(entry, dict) else None
        if isinstance(value, str) and value in seen:
            here = (*location, index, key)
            yield here, f"`{dotted(here)}` repeats an earlier entry's: each {key} must be its own"
        elif isinstance(value, str):
            seen.add(value)


def missing_inputs(data: Mapping[str, Value], base: Path) -> Iterator[Problem]:
    """Yield the files and environment variables that `data` names and this machine lacks.

    `base` is where relative paths started. No message repeats a value: it could be a secret in the wrong place.
    """
    for location, value in _texts(dict(data), ()):
        problem = _input_problem(location, value, base)
        if problem:
            yield location, f"`{dotted(location)}` {problem}"


def _texts(value: Value, location: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*location, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*location, index))
    elif isinstance(value, str):
        yield location, value


def _input_problem(location: Location, value: str, base: Path) -> str | None:
    key = str(location[-1])
    if location == ("policies",):
        return None if Path(value).is_dir() else f"must name a directory (a relative path starts at {base})"
    if key.endswith("_file"):
        return _file_problem(Path(value), base)
    if not key.endswith("_env"):
        return None
    if not _VARIABLE.fullmatch(value):
        return "must be the name of an environment variable, not the secret itself"
    return None if os.environ.get(value) else "names an environment variable that is not set"


def _file_problem(path: Path, base: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return None if file.read(1) else "names an empty file"
    except FileNotFoundError:
        return f"names a file that does not exist (a relative path starts at {base})"
    except OSError as error:
        return f"names a file that can't be read: {error.strerror}"
    except ValueError:
        return "must be a path"
