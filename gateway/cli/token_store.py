"""Where a person's logins are kept: one file a gateway, readable by its owner alone, and its tokens in the OS keyring.

The files are JSON objects: `gateway`, `issuer`, `expires_at`, `kept_in`, and where that is `file`, `token` and
`refresh_token`. A later version may add fields, unknown ones are ignored; without `kept_in` it is the file.
"""

import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gateway.cli.output import CommandError, print_error

if TYPE_CHECKING:
    from gateway.cli.client_settings import TokenPlace
    from gateway.cli.keyring_store import OsKeyring


@dataclass(frozen=True, slots=True)
class Login:
    """One login at one gateway. `issuer` is the gateway's name for itself; times are seconds since the Unix epoch."""

    gateway: str
    issuer: str
    token: str = field(repr=False)
    expires_at: int | None
    refresh_token: str | None = field(repr=False)


class TokenStore:
    """The logins under one directory, all of which must belong to `owner` (a user id; by default this process's).

    `place` is where tokens go: to the keyring, to the file, or (`auto`) to the keyring where there is one. A login
    that is renewed under `auto` stays where it is. Every method raises CommandError where the place can't be used.
    """

    def __init__(self, directory: Path, place: "TokenPlace" = "auto", owner: int | None = None) -> None:
        self._directory = directory
        self._place = place
        self._owner = os.geteuid() if owner is None else owner
        self._last = directory / "last-gateway"

    def last_gateway(self) -> str | None:
        """Return the gateway that was logged in to last, None before the first login."""
        text = self._read(self._last)
        return text.strip() if text else None

    def check(self) -> None:
        """Find out whether a login could be kept, and let the person unlock the keyring now."""
        from gateway.cli.keyring_store import find_keyring, need_keyring

        if self._place == "keyring":
            need_keyring().read("unlock")
        elif self._place == "auto":
            find_keyring()

    def load(self, gateway: str, *, exposed: bool = False) -> Login | None:
        """Return the login at that gateway, None where there is none.

        Raises CommandError where the file is not this user's alone: another's token could be in it, or ours be read.
        `exposed` accepts a file of this user's that others can touch: its tokens are good enough to be revoked.
        """
        path = self._path(gateway)
        text = self._read(path, exposed=exposed)
        if text is None:
            return None
        try:
            document = json.loads(text)
            if document["gateway"] != gateway:
                # The file's name says whose login it is. A token must go to no other gateway.
                raise ValueError("another gateway's login")  # noqa: TRY301
            kept_in = document.get("kept_in", "file")
            token, refresh_token = document.get("token"), document.get("refresh_token")
            if kept_in == "keyring":
                token, refresh_token = self._read_secrets(gateway)
            return _login({**document, "token": token, "refresh_token": refresh_token})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CommandError(f"{path} is damaged: run `portcullis login` again") from error

    def add(self, login: Login) -> None:
        """Keep a new login, durably, and remember its gateway as the last one."""
        from gateway.cli.keyring_store import find_keyring, need_keyring

        keyring = None
        if self._place != "file":
            keyring = need_keyring() if self._place == "keyring" else find_keyring()
        self._keep(login, keyring)
        self._write(self._last, login.gateway + "\n")

    def renew(self, login: Login) -> None:
        """Keep a login's new tokens, durably."""
        from gateway.cli.keyring_store import need_keyring

        place = self._kept_in(login.gateway) if self._place == "auto" else self._place
        self._keep(login, need_keyring() if place == "keyring" else None)

    def remove(self, gateway: str) -> bool:
        """Forget the login at that gateway; returns whether there was one."""
        if self._kept_in(gateway) == "keyring":
            from gateway.cli.keyring_store import need_keyring

            # The file last: as long as it is there, the tokens are not forgotten.
            _remove_secrets(need_keyring(), gateway)
        try:
            self._path(gateway).unlink()
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let one process at a time change logins: a gateway ends a login whose refresh token comes twice."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _keep(self, login: Login, keyring: "OsKeyring | None") -> None:
        document: dict[str, Any] = {
            "gateway": login.gateway,
            "issuer": login.issuer,
            "expires_at": login.expires_at,
            "kept_in": "keyring",
        }
        # A write that fails may have left one of its entries.
        was_in_keyring = self._kept_in(login.gateway) == "keyring"
        if keyring is not None:
            try:
                _write_secrets(keyring, login)
            except CommandError as error:
                if self._place == "keyring":
                    raise
                print_error(f"{error}\nThe login is kept in a file of mode 0600 instead: {self._path(login.gateway)}")
                keyring, was_in_keyring = None, True
        if keyring is None:
            document |= {"kept_in": "file", "token": login.token, "refresh_token": login.refresh_token}
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self._path(login.gateway), json.dumps(document, indent=1))
        if keyring is None and was_in_keyring:
            self._forget_old_secrets(login.gateway)

    def _forget_old_secrets(self, gateway: str) -> None:
        from gateway.cli.keyring_store import find_keyring

        try:
            old = find_keyring()
            if old is not None:
                _remove_secrets(old, gateway)
        except CommandError as error:
            print_error(f"An older login stays in the OS keyring: {error}")

    def _read_secrets(self, gateway: str) -> tuple[str, str | None]:
        from gateway.cli.keyring_store import need_keyring

        keyring = need_keyring()
        token = keyring.read(_token_entry(gateway))
        if token is None:
            raise CommandError(f"the OS keyring does not hold the login at {gateway} any more: run `portcullis login`")
        return token, keyring.read(_refresh_entry(gateway))

    def _kept_in(self, gateway: str) -> Literal["keyring", "file"] | None:
        """Return where the login's tokens are, None where there is no login; what can't be read holds none."""
        try:
            document = json.loads(self._path(gateway).read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return "file"
        return "keyring" if isinstance(document, dict) and document.get("kept_in") == "keyring" else "file"

    def _path(self, gateway: str) -> Path:
        return self._directory / f"login-{hashlib.sha256(gateway.encode()).hexdigest()[:32]}.json"

    def _read(self, path: Path, *, exposed: bool = False) -> str | None:
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
            if status.st_mode & 0o077 and not exposed:
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
            _sync_directory(self._directory)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _login(document: dict[str, Any]) -> Login:
    login = Login(
        gateway=document["gateway"],
        issuer=document["issuer"],
        token=document["token"],
        expires_at=document["expires_at"],
        refresh_token=document["refresh_token"],
    )
    texts = (login.gateway, login.issuer, login.token)
    if not all(isinstance(text, str) for text in texts) or not isinstance(login.expires_at, int | None):
        raise TypeError("a field is not of its kind")
    if not isinstance(login.refresh_token, str | None):
        raise TypeError("a field is not of its kind")
    return login


def _sync_directory(directory: Path) -> None:
    # Without it, a renewed login could be the old one again after a power cut, and its refresh token used up.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _token_entry(gateway: str) -> str:
    return f"{gateway} access token"


def _refresh_entry(gateway: str) -> str:
    return f"{gateway} refresh token"


def _write_secrets(keyring: "OsKeyring", login: Login) -> None:
    # Two entries: some keyrings hold no more than 2.5 kB in one. The refresh token first: a crash between the two
    # leaves an access token that soon ends, and what renews it.
    if login.refresh_token is None:
        keyring.remove(_refresh_entry(login.gateway))
    else:
        keyring.write(_refresh_entry(login.gateway), login.refresh_token)
    keyring.write(_token_entry(login.gateway), login.token)


def _remove_secrets(keyring: "OsKeyring", gateway: str) -> None:
    keyring.remove(_token_entry(gateway))
    keyring.remove(_refresh_entry(gateway))
