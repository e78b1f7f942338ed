"""Checkpoints: a log's size and root under its signature (C2SP tlog-checkpoint)."""

import base64
import binascii
from dataclasses import dataclass

from audit.note import NoteError, Signer, Verifier


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log `origin` held `size` records, under the RFC 6962 root hash `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def sign(self, signer: Signer) -> bytes:
        """Return the checkpoint as a signed note."""
        return signer.sign(self.text)


def open_checkpoint(note: bytes, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint that `verifier`'s key signed; raises NoteError.

    The origin must be the key's name. Extension lines are covered by the signature and otherwise ignored.
    """
    lines = verifier.verify(note).split("\n")
    if len(lines) < 4:
        raise NoteError("a checkpoint has at least three lines: origin, size and root hash")
    origin, size, root = lines[:3]
    if origin != verifier.name:
        raise NoteError(f"the checkpoint is of the log {origin!r}, not of {verifier.name!r}")
    if not (size.isascii() and size.isdigit()) or (size.startswith("0") and size != "0"):
        raise NoteError(f"the checkpoint's size {size!r} is not a plain decimal number")
    try:
        digest = base64.b64decode(root, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        raise NoteError("the checkpoint's root is not a SHA-256 hash in base64")
    return Checkpoint(origin, int(size), digest)
