"""Reads a bundle's files once, within limits, and names them by one digest."""

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.policy.findings import BundleError, Finding

MODEL = "model.conf"
IDENTITIES = "identities.yaml"
_FOLDERS = {"rules": ".csv", "tests": ".yaml"}
_MIB = 1024 * 1024
_LIMITS = {".conf": _MIB // 16, ".yaml": _MIB, ".csv": 64 * _MIB}
_MAX_FILES = 2_000
# Changing what is hashed, or how, changes the digest of every bundle ever recorded: a new layout takes a new label.
_DIGEST_LABEL = b"portcullis policy bundle 1\n"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file as it was read: `name` is its place in the bundle, `real` the path that symlinks led to."""

    name: str
    real: str
    data: bytes


def bundle_names(root: Path) -> tuple[str, ...]:
    """Return the names of the files that make up the bundle, in code-point order.

    Raises BundleError for a missing directory or model, and for entries that look like rules or tests but would not be
    read: a rule file that is silently left out is a hole.
    """
    findings: list[Finding] = []
    names = [MODEL]
    try:
        if not root.is_dir():
            raise BundleError([Finding(".", 0, f"{root} is not a directory")])
        if os.path.lexists(root / IDENTITIES):
            names.append(IDENTITIES)
        for folder, suffix in _FOLDERS.items():
            if os.path.lexists(root / folder):
                names += _folder_names(root, folder, suffix, findings)
    except OSError as error:
        raise BundleError([Finding(".", 0, f"cannot list {root}: {error.strerror}")]) from error
    if not os.path.lexists(root / MODEL):
        findings.append(Finding(MODEL, 0, "is missing; every bundle needs one"))
    if len(names) > _MAX_FILES:
        findings.append(Finding(".", 0, f"holds {len(names)} files, more than {_MAX_FILES}"))
    if findings:
        raise BundleError(findings)
    return tuple(sorted(names))


def _folder_names(root: Path, folder: str, suffix: str, findings: list[Finding]) -> list[str]:
    names = []
    for entry in sorted(path.name for path in (root / folder).iterdir()):
        name = f"{folder}/{entry}"
        if entry.startswith(".") or entry.endswith(("~", ".md")):
            continue
        if not name.isprintable() or not name.isascii():
            findings.append(Finding(folder, 0, f"the file name {entry!r} has characters other than printable ASCII"))
        elif not entry.endswith(suffix):
            findings.append(
                Finding(name, 0, f"would not be read: files in {folder}/ end in {suffix} (or .md); rename or remove it")
            )
        else:
            names.append(name)
    return names


def read_bundle_files(root: Path) -> tuple[BundleFile, ...]:
    """Read every file of the bundle once. Raises BundleError with all unreadable, oversized or escaping files."""
    names = bundle_names(root)
    findings: list[Finding] = []
    files: list[BundleFile] = []
    real_root = root.resolve()
    for name in names:
        try:
            files.append(_read(real_root, name))
        except _UnreadableError as error:
            findings.append(Finding(name, 0, str(error)))
        except (OSError, RuntimeError) as error:  # RuntimeError: a symlink loop, as pathlib reports it
            reason = error.strerror if isinstance(error, OSError) else "its symlinks form a loop"
            findings.append(Finding(name, 0, f"cannot be read: {reason}"))
    if findings:
        raise BundleError(findings)
    return tuple(files)


class _UnreadableError(Exception):
    """Why this file is not read; the text becomes a finding."""


def _read(real_root: Path, name: str) -> BundleFile:
    real = (real_root / name).resolve(strict=True)
    if not real.is_relative_to(real_root):
        raise _UnreadableError("is a symlink that leaves the bundle's directory; copy the file into it")
    limit = _LIMITS[Path(name).suffix]
    # Non-blocking, so that a FIFO put in the place of a file cannot hang the load.
    descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 (opened by descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _UnreadableError("is not a regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _UnreadableError(f"is larger than {limit} bytes")
    return BundleFile(name, real.relative_to(real_root).as_posix(), data)


def digest(files: Iterable[BundleFile]) -> str:
    """Return the SHA-256, in hex, of the canonical listing: for each file in order its name and its bytes, each after
    its length as eight big-endian bytes.
    """
    hasher = hashlib.sha256(_DIGEST_LABEL)
    for file in files:
        for part in (file.name.encode(), file.data):
            hasher.update(len(part).to_bytes(8, "big"))
            hasher.update(part)
    return hasher.hexdigest()


def text_of(file: BundleFile) -> str:
    """Return the file's text. Raises BundleError where it is not plain UTF-8 (a byte-order mark is not plain)."""
    if file.data.startswith(b"\xef\xbb\xbf"):
        raise BundleError([Finding(file.name, 1, "begins with a byte-order mark; save it as UTF-8 without one")])
    try:
        return file.data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = file.data.count(b"\n", 0, error.start) + 1
        raise BundleError([Finding(file.name, line, "is not valid UTF-8")]) from error


def fingerprint(root: Path) -> tuple[object, ...]:
    """Return a cheap value that changes whenever a file of the bundle is added, removed, replaced or rewritten."""
    try:
        names = bundle_names(root)
    except BundleError as error:
        return ("unlistable", str(error))
    stats: list[object] = [str(root.resolve())]
    for name in names:
        try:
            seen = (root / name).stat()
        except OSError as error:
            stats.append((name, error.errno))
        else:
            stats.append((name, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
    return tuple(stats)
