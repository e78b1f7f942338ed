"""People and the accounts that are theirs at each provider.

A person is found by the provider's name and the account's `sub`, or by an e-mail address that the provider has
verified and is trusted for. An account belongs to one person at most. Deactivation reaches exactly the accounts that
are listed: link by subject where it must not depend on an address that can change.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from identity.rejections import rejection

SubjectAccount = tuple[str, str]
"""(provider name, `sub`)."""
EmailAccount = tuple[str, str]
"""(provider name, normalised e-mail address)."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person; `user:<id>` is their policy subject."""

    id: str
    deactivated: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """Who owns which account."""

    by_subject: Mapping[SubjectAccount, Person]
    by_email: Mapping[EmailAccount, Person]

    def find(self, provider: str, token_subject: str, email: str | None) -> Person | None:
        """Return the person an account belongs to, None where it is nobody's.

        `email` is given only where it may be believed (`identity.accounts.linkable_email`). Raises
        InvalidCredentialError: person_deactivated, or ambiguous_person where subject and address belong to two people.
        """
        found = self.by_subject.get((provider, token_subject))
        by_email = self.by_email.get((provider, email)) if email is not None else None
        if found is not None and by_email is not None and found.id != by_email.id:
            raise rejection("ambiguous_person")
        person = found or by_email
        if person is not None and person.deactivated:
            raise rejection("person_deactivated")
        return person

    def dead_links(self, providers: Iterable[str], providers_with_email: Iterable[str]) -> tuple[str, ...]:
        """Return, in words, the links that can't match with these providers (all names; those trusted for e-mail)."""
        known, trusted = frozenset(providers), frozenset(providers_with_email)
        unknown = {name for name, _ in (*self.by_subject, *self.by_email)} - known
        untrusted = {name for name, _ in self.by_email} & known - trusted
        return (
            *(f"accounts are linked at the provider {name!r}, which is not configured" for name in sorted(unknown)),
            *(
                f"accounts are linked by e-mail at the provider {name!r}, which has no email_domains"
                for name in sorted(untrusted)
            ),
        )


EMPTY_DIRECTORY = Directory({}, {})
