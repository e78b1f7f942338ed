"""A policy bundle: everything in `policies/`, read once, checked as a whole, named by its revision."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.policy.bundle_files import IDENTITIES, MODEL, BundleFile, digest, read_bundle_files, text_of
from gateway.policy.case_files import CaseReader
from gateway.policy.cases import PolicyCase
from gateway.policy.checkout import commit_of
from gateway.policy.findings import BundleError, Finding
from gateway.policy.model import PolicyModel, parse_model
from gateway.policy.request import Revision
from gateway.policy.roles import link_findings
from gateway.policy.rows import Row, RowReader
from identity.directory import Directory
from identity.directory_file import DirectoryError, load_directory

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class PolicyBundle:
    """A bundle without a fault. `rules` are the `p` rows and `links` the `g` rows, in the order of files and lines."""

    path: Path
    model: PolicyModel
    rules: tuple[Row, ...]
    links: tuple[Row, ...]
    directory: Directory
    cases: tuple[PolicyCase, ...]
    revision: Revision


def load_bundle(path: Path) -> PolicyBundle:
    """Read and check the bundle in `path`.

    The revision's digest is over exactly the bytes that were parsed. Raises BundleError with every problem found; a
    bundle loads whole or not at all.
    """
    files = read_bundle_files(path)
    findings: list[Finding] = []
    model = _collect(findings, lambda: parse_model(text_of(_named(files, MODEL))))
    rules: tuple[Row, ...] = ()
    links: tuple[Row, ...] = ()
    if model is not None:
        reader = RowReader(model)
        _read_each(files, "rules/", reader.read, findings)
        rules, links = tuple(reader.rules), tuple(reader.links)
        findings += [*reader.findings, *link_findings(links)]
    cases = CaseReader()
    _read_each(files, "tests/", cases.read, findings)
    findings += cases.findings
    directory = _collect(findings, lambda: _directory(path, files))
    if findings or model is None or directory is None:
        raise BundleError(findings)
    revision = Revision(commit_of(path, files), digest(files))
    return PolicyBundle(path, model, rules, links, directory, tuple(cases.cases), revision)


def _collect(findings: list[Finding], read: Callable[[], _Read]) -> _Read | None:
    try:
        return read()
    except BundleError as error:
        findings += error.findings
        return None


def _read_each(
    files: tuple[BundleFile, ...], folder: str, read: Callable[[BundleFile], None], findings: list[Finding]
) -> None:
    for file in files:
        if file.name.startswith(folder):
            try:
                read(file)
            except BundleError as error:
                findings += error.findings


def _named(files: tuple[BundleFile, ...], name: str) -> BundleFile:
    return next(file for file in files if file.name == name)


def _directory(path: Path, files: tuple[BundleFile, ...]) -> Directory:
    try:
        directory = load_directory(path / IDENTITIES)
    except DirectoryError as error:
        raise BundleError(Finding(IDENTITIES, found.line, found.message) for found in error.findings) from error
    # The directory reads its file itself; what it read must be what the digest names.
    digested = [file.data for file in files if file.name == IDENTITIES]
    try:
        parsed = [(path / IDENTITIES).read_bytes()]
    except FileNotFoundError:
        parsed = []
    except OSError as error:
        raise BundleError([Finding(IDENTITIES, 0, f"cannot be read: {error.strerror}")]) from error
    if parsed != digested:
        raise BundleError([Finding(IDENTITIES, 0, "changed while it was read; try again")])
    return directory
