"""The operating system's keyring: Keychain, Credential Manager, Secret Service or KWallet, through `keyring`."""

import keyring.core
from keyring.backend import KeyringBackend

from gateway.cli.output import CommandError

_SERVICE = "portcullis"


class OsKeyring:
    """Secrets by name, under the service `portcullis`.

    Every method may wait for the person to unlock the keyring, and raises CommandError where it can't be used.
    """

    def __init__(self, backend: KeyringBackend) -> None:
        self._backend = backend

    def read(self, name: str) -> str | None:
        """Return the secret, None where there is none."""
        try:
            return self._backend.get_password(_SERVICE, name)
        except Exception as error:
            raise _unusable(error) from error

    def write(self, name: str, secret: str) -> None:
        """Keep the secret in place of the one before."""
        try:
            self._backend.set_password(_SERVICE, name, secret)
        except Exception as error:
            raise _unusable(error) from error

    def remove(self, name: str) -> None:
        """Forget the secret, where there is one."""
        if self.read(name) is None:
            return
        try:
            self._backend.delete_password(_SERVICE, name)
        except Exception as error:
            raise _unusable(error) from error


def find_keyring() -> OsKeyring | None:
    """Return this session's keyring, None where there is none that keeps secrets.

    Raises CommandError where PYTHON_KEYRING_BACKEND, or the configuration of `keyring`, names one that can't be used.
    """
    try:
        # Below 1 are those that keep nothing, or keep it in the clear.
        keyring.core.init_backend(keyring.core.recommended)
        backend = keyring.core.get_keyring()
        usable = backend.priority >= 1
    except Exception as error:
        raise CommandError(
            f"the keyring that PYTHON_KEYRING_BACKEND or keyringrc.cfg names can't be used ({error}): correct it, or "
            "set PORTCULLIS_TOKEN_STORE=file"
        ) from error
    return OsKeyring(backend) if usable else None


def need_keyring() -> OsKeyring:
    """Return this session's keyring; raises CommandError where there is none."""
    found = find_keyring()
    if found is None:
        raise CommandError(
            "there is no OS keyring here (no Secret Service answers on D-Bus): run this inside a desktop session, or "
            "set PORTCULLIS_TOKEN_STORE=file and run `portcullis login`"
        )
    return found


def _unusable(error: Exception) -> CommandError:
    # Backends are plug-ins, and raise what their system's library raises.
    reason = str(error) or type(error).__name__
    return CommandError(
        f"the OS keyring can't be used ({reason}): unlock it and try again, or set PORTCULLIS_TOKEN_STORE=file and run "
        "`portcullis login`"
    )
