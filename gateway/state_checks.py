"""What can be known to be wrong with the identity state before the gateway serves: its secret, and where it is."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from gateway.config_file import Location, Value
from gateway.settings_errors import dotted
from identity.sealing import Sealer, SecretFileError

STATE: Location = ("identity", "state")
STATE_DATABASE: Location = (*STATE, "database")
STATE_SECRET: Location = (*STATE, "secret_file")


def secret_problem(path: Path) -> str | None:
    """Say what is wrong with the secret's file, which is there, None where nothing is."""
    try:
        Sealer.load(path)
    except SecretFileError as error:
        reason = str(error).removeprefix(f"{path} ")
        return f"names a file that {reason}; `openssl rand -hex 32` makes a secret, and every replica needs the same"
    return None


def state_clashes(data: Mapping[str, Value]) -> Iterator[tuple[Location, str]]:
    """Yield what is wrong between the state's keys, and with its database as against the log's; paths are absolute."""
    state = _section(data)
    log = data.get("database")
    path = _sqlite_path(state.get("database"))
    if path is not None and isinstance(log, str) and path == _sqlite_path(log):
        yield STATE_DATABASE, f"`{dotted(STATE_DATABASE)}` is the audit log's: give each a file of its own"
    passwords = [key for key in ("database_password_file", "database_password_env") if state.get(key) is not None]
    if len(passwords) > 1:
        here: Location = (*STATE, passwords[1])
        yield here, f"`{dotted(here)}` stands beside `{passwords[0]}`: give one of them"
    elif passwords and path is not None:
        here = (*STATE, passwords[0])
        yield here, f"`{dotted(here)}` has no use: an SQLite file has no password"


def missing_state(data: Mapping[str, Value], base: Path) -> Iterator[tuple[Location, str]]:
    """Yield an SQLite file that is not there; `base` is where relative paths started."""
    path = _sqlite_path(_section(data).get("database"))
    if path is not None and not path.is_file():
        where = f"(a relative path starts at {base})"
        remedy = "`portcullis init-state` makes one"
        yield STATE_DATABASE, f"`{dotted(STATE_DATABASE)}` names a file that does not exist {where}: {remedy}"


def _section(data: Mapping[str, Value]) -> Mapping[str, Value]:
    identity = data.get("identity")
    state = identity.get("state") if isinstance(identity, dict) else None
    return state if isinstance(state, dict) else {}


def _sqlite_path(text: Value) -> Path | None:
    try:
        url = make_url(text) if isinstance(text, str) else None
    except ArgumentError:
        return None
    if url is None or url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database)
