"""Signed notes with Ed25519: a text, a blank line, and signature lines (C2SP signed-note, as Go's `sumdb/note`)."""

import base64
import binascii
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_MAX_NOTE_BYTES = 1_000_000


class NoteError(ValueError):
    """A note, or a verifier key, is malformed or not signed by the expected key; the text says what is wrong."""


class SigningKeyError(Exception):
    """The signing key's file is missing, unreadable or holds something else; the text names the file."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks notes signed under one key name."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(character.isspace() for character in self.name):
            raise NoteError(f"{self.name!r} can't name a key: it must not be empty or hold a space or '+'")

    @classmethod
    def parse(cls, key: str) -> "Verifier":
        """Read a verifier key, `name+hash+base64` (C2SP signed-note, "Verifier keys"); raises NoteError."""
        name, _, rest = key.strip().partition("+")
        key_hash, _, encoded = rest.partition("+")
        data = _base64(encoded)
        if len(data) != 33 or data[:1] != _ED25519:
            raise NoteError(f"{key!r} is not an Ed25519 verifier key of the form name+hash+base64")
        verifier = cls(name, data[1:])
        if verifier.key_hash.hex() != key_hash:
            raise NoteError(f"the verifier key of {name} does not match its own hash: it was mistyped or altered")
        return verifier

    @property
    def key_hash(self) -> bytes:
        """The four bytes that tell keys of one name apart."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[:4]

    @property
    def key(self) -> str:
        """The verifier key as text, the form that other tools read."""
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(_ED25519 + self.public_key).decode()}"

    def verify(self, note: bytes) -> str:
        """Return the note's text, with its last newline, if this key signed it; raises NoteError."""
        text, signatures = _split(note)
        ours = [data for name, data in signatures if name == self.name and data[:4] == self.key_hash]
        if not ours:
            raise NoteError(f"the note bears no signature of {self.key}")
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(ours[0][4:], text.encode())
        except (InvalidSignature, ValueError):
            raise NoteError(f"the signature of {self.name} does not fit the note's text") from None
        return text


class Signer:
    """Signs notes under one key name."""

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())

    @classmethod
    def load(cls, name: str, path: Path) -> "Signer":
        """Read a PEM PKCS#8 private key; raises SigningKeyError."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise SigningKeyError(f"{path}: the audit signing key can't be read: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise SigningKeyError(f"{path}: not an unencrypted PEM PKCS#8 private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningKeyError(f"{path}: the audit signing key must be an Ed25519 key")
        return cls(name, key)

    @classmethod
    def create(cls, name: str, path: Path) -> "Signer":
        """Make a new key and write it to `path`, readable by its owner only.

        Raises SigningKeyError where the file exists: a key is never overwritten.
        """
        signer = cls(name, Ed25519PrivateKey.generate())
        pem = signer._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise SigningKeyError(f"{path}: the audit signing key can't be written: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        return signer

    def sign(self, text: str) -> bytes:
        """Return `text`, which ends in a newline, as a signed note."""
        signature = base64.b64encode(self.verifier.key_hash + self._key.sign(text.encode())).decode()
        return f"{text}\n\u2014 {self.verifier.name} {signature}\n".encode()


def _split(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > _MAX_NOTE_BYTES:
        raise NoteError("the note is longer than a million bytes")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    text, blank, block = whole.rpartition("\n\n")
    if not blank or not block.endswith("\n"):
        raise NoteError("the note has no signature block after a blank line")
    if any(character < " " and character != "\n" for character in whole):
        raise NoteError("the note holds a control character")
    signatures = []
    for line in block[:-1].split("\n"):
        dash, name, encoded = (*line.split(" "), "", "")[:3]
        data = _base64(encoded)
        if dash != "\u2014" or line.count(" ") != 2 or len(data) < 5:
            raise NoteError(f"{line!r} is not a signature line")
        signatures.append((name, data))
    return text + "\n", signatures


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    # Written again it must be the same: two texts for one signature are one too many.
    if base64.b64encode(data).decode() != text:
        raise NoteError(f"{text!r} is not base64")
    return data
