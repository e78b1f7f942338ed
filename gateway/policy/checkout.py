"""Names the git commit that a bundle's files come from, without running anything the repository could choose."""

import hashlib
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from gateway.policy.bundle_files import IDENTITIES, MODEL, BundleFile

_TIMEOUT_S = 10.0
_BUNDLE_PATHS = (MODEL, IDENTITIES, "rules", "tests")


def commit_of(root: Path, files: Iterable[BundleFile]) -> str:
    """Return the commit checked out around `root`, with `-dirty` appended where the files differ from it.

    Empty where `root` is in no checkout, git is not installed or does not answer, or the commit knows none of the
    files. The bytes compared are those that were read: neither git's index nor its filters, hooks or fsmonitor take
    part, so a repository's own configuration has no say in what the revision is.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode("ascii", "replace").strip()
    if not commit:
        return ""
    committed = _committed_blobs(_git(root, "ls-tree", "-r", "-z", commit, "--", *_BUNDLE_PATHS))
    if not committed:
        return ""
    algorithm = "sha256" if len(commit) == 64 else "sha1"
    present = {file.real: _blob_id(file.data, algorithm) for file in files}
    return commit if present == committed else f"{commit}-dirty"


def head_state(root: Path) -> tuple[object, ...]:
    """Return a cheap value that changes when the checkout around `root` moves to another commit."""
    git_dir = _git_dir(root.resolve())
    if git_dir is None:
        return ()
    try:
        head = (git_dir / "HEAD").read_text("utf-8", "replace").strip()
        common = git_dir
        if (git_dir / "commondir").is_file():
            common = git_dir / (git_dir / "commondir").read_text("utf-8", "replace").strip()
    except OSError:
        return ()
    watched = [common / "packed-refs", common / "reftable" / "tables.list"]
    if head.startswith("ref: "):
        watched.append(common / head.removeprefix("ref: "))
    return (head, *(_stamp(path) for path in watched))


def checkout_in_progress(root: Path) -> bool:
    """Say whether git is changing the working tree now (it holds the index lock while it does)."""
    git_dir = _git_dir(root.resolve())
    return git_dir is not None and (git_dir / "index.lock").exists()


def _git(root: Path, *arguments: str) -> bytes:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        # A partial clone must not be completed over the network by asking for its revision.
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
    }
    # The operator named this directory; that it belongs to another account (a mounted checkout) is no reason to lose
    # the commit, and nothing below reads what safe.directory protects: hooks, fsmonitor, filters, aliases, pagers.
    options = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    try:
        done = subprocess.run(
            ["git", "--no-pager", *options, *arguments],
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


def _committed_blobs(listing: bytes) -> dict[str, str]:
    """Read `ls-tree -z` output (`<mode> <type> <id>TAB<path>NUL`), keeping the regular files a bundle is made of."""
    blobs = {}
    for entry in listing.split(b"\0"):
        description, _, path = entry.partition(b"\t")
        fields = description.split(b" ")
        if len(fields) == 3 and fields[0].startswith(b"100") and _is_bundle_file(name := os.fsdecode(path)):
            blobs[name] = fields[2].decode("ascii")
    return blobs


def _is_bundle_file(name: str) -> bool:
    folder, _, entry = name.rpartition("/")
    if not folder:
        return name in {MODEL, IDENTITIES}
    suffix = {"rules": ".csv", "tests": ".yaml"}.get(folder)
    return suffix is not None and entry.endswith(suffix) and not entry.startswith(".")


def _blob_id(data: bytes, algorithm: str) -> str:
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _git_dir(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        marker = folder / ".git"
        if marker.is_dir():
            return marker
        if marker.is_file():
            try:
                text = marker.read_text("utf-8", "replace").strip()
            except OSError:
                return None
            return folder / text.removeprefix("gitdir: ") if text.startswith("gitdir: ") else None
    return None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return (seen.st_ino, seen.st_mtime_ns)
