"""Seals what the gateway keeps or hands out but nobody else may read or change: AES-256-GCM, one key a purpose.

Format of a sealed value, version 1: the byte 1, a nonce of 12 random bytes, ciphertext and tag. Another first byte is
another format; what was sealed before a change of format or secret can't be opened any more, and whoever holds
it logs in again.
"""

import os
import re
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12
_SECRET = re.compile(r"[0-9a-f]{64}")


class SecretFileError(Exception):
    """The secret's file can't be used; the text says why and what to do."""


class SealError(Exception):
    """A sealed value was not made here, for this purpose, or was changed."""


class Sealer:
    """Seals and opens with one 32-byte secret, which all replicas share."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError("the secret must be 32 bytes")
        self._secret = secret
        self._ciphers: dict[str, AESGCM] = {}

    @classmethod
    def load(cls, path: Path) -> "Sealer":
        """Read the secret (64 hex digits) from a file that only its owner and group may read.

        Raises SecretFileError.
        """
        try:
            mode = path.stat().st_mode
            text = path.read_text("ascii").strip()
        except FileNotFoundError:
            raise SecretFileError(
                f"{path} is missing: `portcullis init` makes one; every replica needs the same"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise SecretFileError(f"{path} can't be read: {error}") from None
        if stat.S_IMODE(mode) & 0o027:
            raise SecretFileError(f"{path} can be read or changed by others: chmod 600 {path}")
        if not _SECRET.fullmatch(text):
            raise SecretFileError(f"{path} does not hold 64 hex digits: it is not an identity secret")
        return cls(bytes.fromhex(text))

    @staticmethod
    def create(path: Path) -> None:
        """Write a new secret to a file that must not exist yet; raises FileExistsError or another OSError."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(SECRET_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def seal(self, purpose: str, data: bytes) -> bytes:
        """Return `data` sealed for one purpose; the same data never seals to the same bytes twice."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher(purpose).encrypt(nonce, data, _VERSION)

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Return what was sealed for this purpose; raises SealError."""
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _VERSION or len(ciphertext) < 16:
            raise SealError("not a sealed value")
        try:
            return self._cipher(purpose).decrypt(nonce, ciphertext, _VERSION)
        except InvalidTag:
            raise SealError("not sealed here for this purpose") from None

    def _cipher(self, purpose: str) -> AESGCM:
        cipher = self._ciphers.get(purpose)
        if cipher is None:
            derived = HKDF(SHA256(), SECRET_BYTES, salt=None, info=b"portcullis/1/" + purpose.encode())
            cipher = self._ciphers[purpose] = AESGCM(derived.derive(self._secret))
        return cipher
