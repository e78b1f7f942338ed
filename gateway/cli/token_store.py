"""Where a person's logins are kept: one file a gateway, readable by its owner alone.

The files are JSON objects with the fields of `Login`; a later version may add fields, and unknown ones are ignored.
"""

import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from gateway.cli.output import CommandError


@dataclass(frozen=True, slots=True)
class Login:
    """One login at one gateway. `token` is what the gateway accepts; times are seconds since the Unix epoch."""

    gateway: str
    provider: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    token_kind: Literal["access_token", "id_token"]
    token: str
    token_subject: str | None
    expires_at: int | None
    refresh_token: str | None


class TokenStore:
    """The logins under one directory, all of which must belong to `owner` (a user id; by default this process's)."""

    def __init__(self, directory: Path, owner: int | None = None) -> None:
        self._directory = directory
        self._owner = os.geteuid() if owner is None else owner
        self._last = directory / "last-gateway"

    def last_gateway(self) -> str | None:
        """Return the gateway that was logged in to last, None before the first login."""
        text = self._read(self._last)
        return text.strip() if text else None

    def load(self, gateway: str) -> Login | None:
        """Return the login at that gateway, None where there is none.

        Raises CommandError where the file is not this user's alone: another's token could be in it, or ours be read.
        """
        path = self._path(gateway)
        text = self._read(path)
        if text is None:
            return None
        try:
            document = json.loads(text)
            values = {field.name: document[field.name] for field in fields(Login)}
            return Login(**values | {"scopes": tuple(values["scopes"])})
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{path} is damaged: run `portcullis login` again") from error

    def save(self, login: Login) -> None:
        """Keep the login, durably and whole or not at all, and remember its gateway as the last one."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self._path(login.gateway), json.dumps(asdict(login), indent=1))
        self._write(self._last, login.gateway + "\n")

    def remove(self, gateway: str) -> bool:
        """Forget the login at that gateway; returns whether there was one."""
        try:
            self._path(gateway).unlink()
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let one process at a time renew a login: providers end a login whose refresh token comes twice."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _path(self, gateway: str) -> Path:
        return self._directory / f"login-{hashlib.sha256(gateway.encode()).hexdigest()[:32]}.json"

    def _read(self, path: Path) -> str | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CommandError(f"{path} can't be read: {error.strerror}") from error
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != self._owner:
                raise CommandError(f"{path} belongs to somebody else: remove it and run `portcullis login`")
            if status.st_mode & 0o077:
                raise CommandError(
                    f"others may read or write {path} (mode {stat.S_IMODE(status.st_mode):o}), so its token may be "
                    "known: run `portcullis logout`, then `portcullis login`"
                )
            return file.read()

    def _write(self, path: Path, text: str) -> None:
        # mkstemp makes the file with mode 0600, so the token is at no time readable by others.
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=self._directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
