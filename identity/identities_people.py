"""Reads `people:` of `identities.yaml`.

    people:
      alice:
        name: Alice Example
        accounts:
          - {provider: corp, subject: "248289761001"}
          - {provider: partner, email: alice@example.com}
      bob:
        deactivated: true
        accounts:
          - {provider: corp, subject: "248289761002"}

A person's id is lower-case letters, digits, `.`, `_` and `-`; it has no `:`, so that `user:<id>` never equals the
`user:<provider>:<name>` of an account that nobody is linked to.
"""

import re

from yaml.nodes import MappingNode, Node

from identity.accounts import normalise_email
from identity.directory import Account, EmailAccount, Person, SubjectAccount
from identity.identities_nodes import BOOL_TAG, NodeReader, line_of

PERSON_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
MAX_NAME_LENGTH = 128


class PeopleReader:
    """Collects who owns which account, and notes every account that two people claim, with both lines."""

    def __init__(self, nodes: NodeReader) -> None:
        self._nodes = nodes
        self._lines: dict[tuple[str, str, str], int] = {}
        self.by_subject: dict[SubjectAccount, Person] = {}
        self.by_email: dict[EmailAccount, Person] = {}

    def read(self, people: Node) -> None:
        """Read the value of `people`."""
        for key, body in self._nodes.members(people, "people"):
            if PERSON_ID.fullmatch(key.value) is None:
                self._nodes.wrong(key, f"the person {key.value!r}: an id is lower-case letters, digits and . _ -")
            else:
                self._person(key.value, line_of(key), body)

    def _person(self, person_id: str, line: int, body: Node) -> None:
        what = f"the person {person_id!r}"
        allowed = ("accounts", "deactivated", "name")
        members = {key.value: value for key, value in self._nodes.members(body, what, allowed=allowed)}
        deactivated = self._is_true(members.get("deactivated"), f"{what}: deactivated")
        name = self._name(members.get("name"), f"{what}: name")
        if "accounts" not in members:
            if isinstance(body, MappingNode):
                self._nodes.wrong(body, f"{what} has no accounts: list at least one")
            return
        nodes = self._nodes.elements(members["accounts"], f"{what}: accounts")
        found = [(account, node) for node in nodes if (account := self._account(person_id, node)) is not None]
        person = Person(person_id, deactivated, name, line, tuple(account for account, _ in found))
        for account, node in found:
            self._link(person, account, node)

    def _is_true(self, node: Node | None, what: str) -> bool:
        if node is not None and (node.tag != BOOL_TAG or node.value not in ("true", "false")):
            self._nodes.wrong(node, f"{what} must be true or false")
        return node is not None and node.value == "true"

    def _name(self, node: Node | None, what: str) -> str | None:
        name = self._nodes.text(node, what) if node is not None else None
        if node is not None and name is not None and (len(name) > MAX_NAME_LENGTH or not name.isprintable()):
            self._nodes.wrong(node, f"{what} must be at most {MAX_NAME_LENGTH} printable characters")
        return name

    def _account(self, person_id: str, node: Node) -> Account | None:
        what = f"an account of {person_id!r}"
        before = len(self._nodes.findings)
        allowed = ("provider", "subject", "email")
        members = {key.value: value for key, value in self._nodes.members(node, what, allowed=allowed)}
        texts = {name: self._nodes.text(value, f"{what}: {name}") for name, value in members.items()}
        if len(self._nodes.findings) > before:
            return None
        provider, subject, address = (texts.get(name) for name in allowed)
        if provider is None or (subject is None) == (address is None):
            self._nodes.wrong(node, f"{what} needs a provider and either a subject or an email")
        elif PROVIDER_NAME.fullmatch(provider) is None:
            self._nodes.wrong(members["provider"], f"{what}: {provider!r} is not a provider's name")
        elif subject is not None:
            return Account(provider, "subject", subject, line_of(node))
        elif address is not None:
            email = normalise_email(address)
            if email is not None:
                return Account(provider, "email", email, line_of(node))
            self._nodes.wrong(members["email"], f"{what}: {address!r} is not a plain ASCII e-mail address")
        return None

    def _link(self, person: Person, account: Account, node: Node) -> None:
        accounts = self.by_subject if account.kind == "subject" else self.by_email
        place = (account.provider, account.name)
        owner = accounts.get(place)
        if owner is None:
            accounts[place] = person
            self._lines[account.kind, *place] = account.line
            return
        what = f"the {account.kind} {account.name!r} at {account.provider}"
        line = self._lines[account.kind, *place]
        if owner.id == person.id:
            self._nodes.wrong(node, f"{what} is listed twice for {person.id!r} (line {line})")
        else:
            self._nodes.wrong(node, f"{what} belongs to {owner.id!r} (line {line}) and to {person.id!r}")
