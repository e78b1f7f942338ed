"""What a configuration must satisfy beyond each key's own type: clashes between entries, and inputs that are there."""

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from audit.note import Signer, SigningKeyError
from gateway.config_file import Location, Value
from gateway.settings_errors import Schema, dotted, known_keys
from gateway.state_checks import STATE_DATABASE, STATE_SECRET, missing_state, secret_problem, state_clashes
from gateway.tls_checks import tls_problem
from identity.introspection_settings import prefix_conflict

Problem = tuple[Location, str]

SIGNING_KEY: Location = ("audit", "signing_key_file")
DATABASE: Location = ("database",)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def absolute(data: Mapping[str, Value], schema: Schema, base: Path) -> dict[str, Value]:
    """Return the configuration with every path in it absolute: what `*_file`, `policies` and databases name."""

    def inner(location: Location, value: Value) -> Value:
        if isinstance(value, dict):
            return {name: inner((*location, name), below) for name, below in value.items()}
        if isinstance(value, list):
            return [inner((*location, index), below) for index, below in enumerate(value)]
        if not isinstance(value, str) or not value:
            return value
        if location in (DATABASE, STATE_DATABASE):
            return _absolute_database(value, base)
        return str(base / value) if _names_a_path(location, data, schema) else value

    return {name: inner((name,), value) for name, value in data.items()}


def _names_a_path(location: Location, data: object, schema: Schema) -> bool:
    # A key of the user's own, as in a route's `query`, may end in `_file` too; the schema does not declare it.
    key = str(location[-1])
    return location == ("policies",) or (key.endswith("_file") and key in known_keys(schema, location[:-1], data))


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
    yield from _prefix_conflicts(providers)
    yield from state_clashes(data)
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
        if entry.get("require_token_binding") == ["mtls"] and not _knows_clients(data.get("tls")):
            binding: Location = ("backends", index, "require_token_binding")
            yield binding, f"`{dotted(binding)}` can't be met: no client shows a certificate without `client_ca_file`"


def _knows_clients(tls: Value) -> bool:
    return isinstance(tls, dict) and tls.get("client_ca_file") is not None


def _repeated(entries: Value, location: Location, key: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        value = entry.get(key) if isinstance(entry, dict) else None
        if isinstance(value, str) and value in seen:
            here = (*location, index, key)
            yield here, f"`{dotted(here)}` repeats an earlier entry's: each {key} must be its own"
        elif isinstance(value, str):
            seen.add(value)


def _prefix_conflicts(providers: Value) -> Iterator[Problem]:
    prefixes: dict[str, str | None] = {}
    for index, entry in enumerate(providers if isinstance(providers, list) else ()):
        introspection = entry.get("introspection") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(introspection, dict):
            continue
        prefix = introspection.get("token_prefix")
        token_prefix = prefix if isinstance(prefix, str) else None
        conflict = prefix_conflict(token_prefix, prefixes)
        if conflict is not None:
            here: Location = ("identity", "providers", index, "introspection")
            yield here, f"`{dotted(here)}`: {conflict}"
        prefixes[str(entry.get("name"))] = token_prefix


def missing_inputs(data: Mapping[str, Value], schema: Schema, base: Path) -> Iterator[Problem]:
    """Yield the files and environment variables that `data` names and this machine lacks, or can't use as they are.

    `base` is where relative paths started. No message repeats a value: it could be a secret in the wrong place.
    """
    for location, value in _texts(dict(data), ()):
        key = str(location[-1])
        problem = None
        if location == ("policies",):
            problem = None if Path(value).is_dir() else f"must name a directory (a relative path starts at {base})"
        elif _names_a_path(location, data, schema):
            problem = _file_problem(Path(value), base)
            if problem is None and location == SIGNING_KEY:
                problem = _signing_key_problem(Path(value))
            if problem is None and location == STATE_SECRET:
                problem = secret_problem(Path(value))
            section = data.get("tls")
            if problem is None and location[0] == "tls" and isinstance(section, dict):
                problem = tls_problem(key, section)
        elif key.endswith("_env") and key in known_keys(schema, location[:-1], data):
            problem = _variable_problem(value)
        if problem:
            yield location, f"`{dotted(location)}` {problem}"
    yield from missing_state(data, base)


def missing_database(data: Mapping[str, Value], base: Path) -> Iterator[Problem]:
    """Yield a database that is not there; `base` is where relative paths started. A good path is left to be opened."""
    value = data.get("database")
    try:
        path = make_url(value).database if isinstance(value, str) else None
    except ArgumentError:
        path = None
    if path and not Path(path).is_file():
        where = f"(a relative path starts at {base})"
        yield DATABASE, f"`database` names a file that does not exist {where}: `portcullis init DIR` makes one"


def _texts(value: Value, location: Location) -> Iterator[tuple[Location, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*location, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*location, index))
    elif isinstance(value, str):
        yield location, value


def _variable_problem(name: str) -> str | None:
    if not _VARIABLE.fullmatch(name):
        return "must be the name of an environment variable, not the secret itself"
    return None if os.environ.get(name) else "names an environment variable that is not set"


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


def _signing_key_problem(path: Path) -> str | None:
    # A group may read it, as it does where an orchestrator mounts secrets; nobody else, and nobody may change it.
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO):
        return "names a key that others may use or change: `chmod 600` it (a mounted secret: mode 0440)"
    try:
        # Any name will do: the key's own is checked as `origin`.
        Signer.load("name", path)
    except SigningKeyError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return f"can't be used: {reason}; `openssl genpkey -algorithm ed25519` makes one"
    return None
