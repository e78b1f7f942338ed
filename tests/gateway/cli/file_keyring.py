"""A keyring for tests: a real backend of `keyring`, found as a person's own would be, that keeps its secrets in a file.

`PYTHON_KEYRING_BACKEND` names one of the classes; `TEST_KEYRING` is the file.
"""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

MODULE = "tests.gateway.cli.file_keyring"


class FileKeyring(KeyringBackend):
    """An unlocked keyring."""

    priority = 9

    @property
    def secrets(self) -> dict[str, str]:
        path = Path(os.environ["TEST_KEYRING"])
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def get_password(self, service: str, username: str) -> str | None:
        return self.secrets.get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write(self.secrets | {f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        secrets = self.secrets
        if secrets.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("not found")
        self._write(secrets)

    def _write(self, secrets: dict[str, str]) -> None:
        Path(os.environ["TEST_KEYRING"]).write_text(json.dumps(secrets))


class LockedKeyring(FileKeyring):
    """A keyring whose person said no when asked to unlock it."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("Failed to unlock the collection!")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("Failed to unlock the collection!")


class SmallKeyring(FileKeyring):
    """A keyring that holds no more than 1,280 characters in one entry, as Windows' does."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password) > 1280:
            raise OSError("The stub received bad data")
        super().set_password(service, username, password)
