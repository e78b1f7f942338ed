"""Reads `identities.yaml`: the people and their accounts, with the line of everything that is wrong.

    people:
      alice:
        accounts:
          - {provider: corp, subject: "248289761001"}
          - {provider: partner, email: alice@example.com}
      bob:
        deactivated: true
        accounts:
          - {provider: corp, subject: "248289761002"}

A person's id is lower-case letters, digits, `.`, `_` and `-`; it has no `:`, so that `user:<id>` never equals the
`user:<provider>:<name>` of an account that nobody is linked to. Unknown keys are errors, and so is an account that two
people claim.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from identity.accounts import normalise_email
from identity.directory import EMPTY_DIRECTORY, Directory, EmailAccount, Person, SubjectAccount

_PERSON_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_STRING_TAG = "tag:yaml.org,2002:str"
_MAP_TAG = "tag:yaml.org,2002:map"
_BOOL_TAG = "tag:yaml.org,2002:bool"


class DirectoryFinding(NamedTuple):
    """One thing that is wrong; `line` counts from 1."""

    file: str
    line: int
    message: str


class DirectoryError(Exception):
    """The file can't be used; `findings` is everything that is wrong with it, in file order."""

    def __init__(self, findings: tuple[DirectoryFinding, ...]) -> None:
        super().__init__("\n".join(f"{file}:{line}: {message}" for file, line, message in findings))
        self.findings = findings


def load_directory(path: Path) -> Directory:
    """Return the directory that a file describes; a file that is not there describes nobody.

    Raises DirectoryError with every finding, also where the file can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except FileNotFoundError:
        return EMPTY_DIRECTORY
    except (OSError, UnicodeDecodeError) as error:
        raise DirectoryError((DirectoryFinding(str(path), 1, f"can't be read: {error}"),)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DirectoryError((DirectoryFinding(str(path), line, f"is not YAML: {error.problem}"),)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DirectoryError((DirectoryFinding(str(path), 1, "is not YAML, or nested too deeply"),)) from error
    reader = _Reader(str(path))
    if root is not None:
        reader.read(root)
    if reader.findings:
        raise DirectoryError(tuple(sorted(reader.findings, key=lambda finding: finding.line)))
    return Directory(reader.by_subject, reader.by_email)


class _Reader:
    """Walks the nodes of one file, keeping what is right and noting what is wrong."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: dict[tuple[str, str, str], int] = {}
        self.findings: list[DirectoryFinding] = []
        self.by_subject: dict[SubjectAccount, Person] = {}
        self.by_email: dict[EmailAccount, Person] = {}

    def read(self, root: Node) -> None:
        for _, people in self._members(root, "the file", allowed=("people",)):
            for key, body in self._members(people, "people"):
                if _PERSON_ID.fullmatch(key.value) is None:
                    self._wrong(key, f"the person {key.value!r}: an id is lower-case letters, digits and . _ -")
                else:
                    self._person(key.value, body)

    def _person(self, person_id: str, body: Node) -> None:
        what = f"the person {person_id!r}"
        members = {key.value: value for key, value in self._members(body, what, allowed=("accounts", "deactivated"))}
        deactivated = members.get("deactivated")
        if deactivated is not None and (deactivated.tag != _BOOL_TAG or deactivated.value not in ("true", "false")):
            self._wrong(deactivated, f"{what}: deactivated must be true or false")
        person = Person(person_id, deactivated is not None and deactivated.value == "true")
        accounts = members.get("accounts")
        if accounts is None:
            if isinstance(body, MappingNode):
                self._wrong(body, f"{what} has no accounts: list at least one")
        elif not isinstance(accounts, SequenceNode) or not accounts.value:
            self._wrong(accounts, f"{what}: accounts must be a list of at least one account")
        else:
            for account in accounts.value:
                self._account(person, account)

    def _account(self, person: Person, node: Node) -> None:
        what = f"an account of {person.id!r}"
        found = len(self.findings)
        members = {
            key.value: value for key, value in self._members(node, what, allowed=("provider", "subject", "email"))
        }
        texts = {name: self._text(value, f"{what}: {name}") for name, value in members.items()}
        if not isinstance(node, MappingNode) or len(self.findings) > found:
            return
        provider, subject, address = (texts.get(name) for name in ("provider", "subject", "email"))
        if provider is None or (subject is None) == (address is None):
            self._wrong(node, f"{what} needs a provider and either a subject or an email")
        elif _PROVIDER_NAME.fullmatch(provider) is None:
            self._wrong(members["provider"], f"{what}: {provider!r} is not a provider's name")
        elif subject is not None:
            self._link(person, node, "subject", provider, subject)
        elif address is not None:
            email = normalise_email(address)
            if email is None:
                self._wrong(members["email"], f"{what}: {address!r} is not a plain ASCII e-mail address")
            else:
                self._link(person, node, "email", provider, email)

    def _link(self, person: Person, node: Node, kind: str, provider: str, name: str) -> None:
        accounts = self.by_subject if kind == "subject" else self.by_email
        owner = accounts.get((provider, name))
        if owner is None:
            accounts[provider, name] = person
            self._lines[kind, provider, name] = _line(node)
            return
        line = self._lines[kind, provider, name]
        if owner.id == person.id:
            self._wrong(node, f"the {kind} {name!r} at {provider} is listed twice for {person.id!r} (line {line})")
        else:
            self._wrong(
                node, f"the {kind} {name!r} at {provider} belongs to {owner.id!r} (line {line}) and to {person.id!r}"
            )

    def _members(
        self, node: Node, what: str, allowed: tuple[str, ...] | None = None
    ) -> Iterator[tuple[ScalarNode, Node]]:
        """Yield the well-formed members of a mapping; notes everything else, repeated keys with both lines."""
        if not isinstance(node, MappingNode) or node.tag != _MAP_TAG:
            self._wrong(node, f"{what} must be a plain mapping")
            return
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag != _STRING_TAG:
                self._wrong(key, f"{what}: a key must be a text; put it in quotes")
            elif key.value in seen:
                self._wrong(key, f"{what}: the key {key.value!r} is already on line {seen[key.value]}")
            elif allowed is not None and key.value not in allowed:
                self._wrong(key, f"{what}: unknown key {key.value!r}; known are {', '.join(allowed)}")
            else:
                seen[key.value] = _line(key)
                yield key, value

    def _text(self, node: Node, what: str) -> str | None:
        if isinstance(node, ScalarNode) and node.tag == _STRING_TAG and node.value:
            return str(node.value)
        self._wrong(node, f"{what} must be a text: put it in quotes")
        return None

    def _wrong(self, node: Node, message: str) -> None:
        self.findings.append(DirectoryFinding(self._file, _line(node), message))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
