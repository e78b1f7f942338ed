"""People and the accounts that are theirs at each provider, and workloads by what their tokens say.

A person is found by the provider's name and the account's `sub`, or by an e-mail address that the provider has
verified and is trusted for. An account belongs to one person at most. Deactivation reaches exactly the accounts that
are listed: link by subject where it must not depend on an address that can change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from identity.rejections import rejection
from identity.workloads import Workload

SubjectAccount = tuple[str, str]
"""(provider name, `sub`)."""
EmailAccount = tuple[str, str]
"""(provider name, normalised e-mail address)."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a person as listed: by `sub` or by normalised e-mail address. `line` is in `identities.yaml`."""

    provider: str
    kind: Literal["subject", "email"]
    name: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Person:
    """One person; `user:<id>` is their policy subject. `name` is for people to read and decides nothing.

    `line` is where the person stands in `identities.yaml`, from 1.
    """

    id: str
    deactivated: bool = False
    name: str | None = field(default=None, compare=False)
    line: int = field(default=0, compare=False)
    accounts: tuple[Account, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Directory:
    """Who owns which account, and which workloads there are, in the order of the file."""

    by_subject: Mapping[SubjectAccount, Person]
    by_email: Mapping[EmailAccount, Person]
    workloads: tuple[Workload, ...] = ()
    _people: Mapping[str, Person] = field(init=False, repr=False, compare=False)
    _workloads: Mapping[str, tuple[Workload, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        owners = (*self.by_subject.values(), *self.by_email.values())
        object.__setattr__(self, "_people", {person.id: person for person in owners})
        by_provider: dict[str, tuple[Workload, ...]] = {}
        for workload in self.workloads:
            by_provider[workload.provider] = (*by_provider.get(workload.provider, ()), workload)
        object.__setattr__(self, "_workloads", by_provider)

    def owner(self, provider: str, token_subject: str, email: str | None) -> Person | None:
        """Return the person an account belongs to, deactivated or not; None where it is nobody's.

        `email` is given only where it may be believed (`identity.accounts.linkable_email`). Raises
        InvalidCredentialError (ambiguous_person) where subject and address belong to two people.
        """
        found = self.by_subject.get((provider, token_subject))
        by_email = self.by_email.get((provider, email)) if email is not None else None
        if found is not None and by_email is not None and found.id != by_email.id:
            raise rejection("ambiguous_person")
        return found or by_email

    def find(self, provider: str, token_subject: str, email: str | None) -> Person | None:
        """Return the active person an account belongs to, None where it is nobody's.

        Raises InvalidCredentialError: ambiguous_person, as `owner` does, or person_deactivated.
        """
        person = self.owner(provider, token_subject, email)
        if person is not None and person.deactivated:
            raise rejection("person_deactivated")
        return person

    def person(self, person_id: str) -> Person | None:
        """Return the person of that id, deactivated or not."""
        return self._people.get(person_id)

    def workload_names(self, provider: str, claims: Mapping[str, object]) -> tuple[str, ...]:
        """Return the names of all workloads that a verified token of the provider is, in the order of the file."""
        return tuple(workload.name for workload in self._workloads.get(provider, ()) if workload.matches(claims))

    def has_workload(self, provider: str, name: str) -> bool:
        """Tell whether a workload of that name is defined at the provider."""
        return self.workload(provider, name) is not None

    def workload(self, provider: str, name: str) -> Workload | None:
        """Return the workload of that name at the provider."""
        return next((each for each in self._workloads.get(provider, ()) if each.name == name), None)

    def workloads_at(self, provider: str) -> tuple[Workload, ...]:
        """Return the workloads of one provider, in the order of the file."""
        return self._workloads.get(provider, ())


EMPTY_DIRECTORY = Directory({}, {})
