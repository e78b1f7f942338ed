"""From an account that a provider has vouched for to the caller in policies, as things stand now.

Which groups count: those of the provider that vouched, never a union over providers. Where that provider keeps the
account up to date by SCIM, the groups are SCIM's, whatever the token says; a token's claim is as old as the token.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from identity.accounts import account_subject
from identity.directory import EMPTY_DIRECTORY, Directory
from identity.principal import Delegate, Principal
from identity.provider_settings import ProviderSettings
from identity.provisioning import NO_PROVISIONING, ProvisioningView
from identity.rejections import rejection
from identity.revocation import Revocations
from identity.strict_json import JsonObject

_WORKLOAD = "workload"


class Resolver:
    """Who is who now: the people file, what providers provision, and what was revoked. Belongs to one event loop.

    `providers` are those configured: an address that a token or a session has kept counts only as long as its provider
    is believed for the domain. `ahead_s` tells by how many seconds the clock of a provider, by name, is ahead.
    """

    def __init__(
        self,
        directory: Directory = EMPTY_DIRECTORY,
        providers: Sequence[ProviderSettings] = (),
        ahead_s: Callable[[str], int] = lambda provider: 0,
    ) -> None:
        self._email_domains = {settings.name: frozenset(settings.email_domains) for settings in providers}
        self._ahead_s = ahead_s
        self.directory = directory
        self.provisioning: ProvisioningView = NO_PROVISIONING
        self.revocations = Revocations()

    def person_subject(self, provider: str, token_subject: str, username: str, email: str | None) -> str:
        """Return the policy subject of an account; raises InvalidCredentialError where its person is deactivated."""
        person = self.directory.find(provider, token_subject, self._believed(provider, email))
        return f"user:{person.id}" if person is not None else account_subject(provider, username)

    def _believed(self, provider: str, email: str | None) -> str | None:
        if email is None or email.rpartition("@")[2] not in self._email_domains.get(provider, ()):
            return None
        return email

    def workload_subjects(self, provider: str, claims: JsonObject) -> tuple[str, ...]:
        """Return the subject of every workload entry that the claims match, in file order.

        Raises InvalidCredentialError (unknown_workload) where there is none.
        """
        names = self.directory.workload_names(provider, claims)
        if not names:
            raise rejection("unknown_workload", provider=provider)
        return tuple(f"{_WORKLOAD}:{provider}:{name}" for name in names)

    def groups(self, provider: str, provisioned_as: str | None, told: tuple[str, ...]) -> tuple[str, ...]:
        """Return an account's groups; `told` are those of the token.

        Raises InvalidCredentialError: account_deprovisioned, or not_provisioned where only provisioned accounts count.
        """
        account = self.provisioning.find(provider, provisioned_as) if provisioned_as is not None else None
        if account is None:
            if self.provisioning.requires(provider):
                raise rejection("not_provisioned", provider=provider)
            return told
        if not account.active:
            raise rejection("account_deprovisioned", provider=provider)
        return account.groups

    def recheck(self, principal: Principal) -> Principal:
        """Return the same caller as things stand now; raises InvalidCredentialError where they are nobody any more."""
        self.revocations.check(principal, self._ahead_s(principal.provider))
        provider = principal.provider
        groups = principal.groups
        if principal.kind == _WORKLOAD:
            self._check_workload(provider, principal.subject)
        else:
            subject = self.person_subject(provider, principal.token_subject, principal.username, principal.email)
            if subject != principal.subject:
                raise rejection("identity_changed")
            if principal.provisioned_as is None and self.provisioning.covers(provider):
                # From before the provider pushed accounts: nobody can tell which of them this one is.
                raise rejection("identity_changed")
            groups = self.groups(provider, principal.provisioned_as, groups)
        delegates = tuple([self._recheck_delegate(delegate) for delegate in principal.delegates])
        if groups == principal.groups and delegates == principal.delegates:
            return principal
        return replace(principal, groups=groups, delegates=delegates)

    def _recheck_delegate(self, delegate: Delegate) -> Delegate:
        if delegate.subject.startswith(f"{_WORKLOAD}:"):
            self._check_workload(delegate.provider, delegate.subject)
            return delegate
        # A delegate's address is not kept: one that is linked by address alone is found by its subject's name.
        owner = self.directory.owner(delegate.provider, delegate.token_subject, None)
        name = delegate.subject.removeprefix("user:")
        person = owner or self.directory.person(name)
        if person is not None and person.deactivated:
            raise rejection("person_deactivated")
        if person is None and ":" not in name:
            # A person's id, which an account that nobody is linked to never looks like: the person was taken out.
            raise rejection("identity_changed")
        if owner is not None and delegate.subject != f"user:{owner.id}":
            raise rejection("identity_changed")
        groups = self.groups(delegate.provider, delegate.provisioned_as, delegate.groups)
        return delegate if groups == delegate.groups else replace(delegate, groups=groups)

    def _check_workload(self, provider: str, subject: str) -> None:
        name = subject.removeprefix(f"{_WORKLOAD}:{provider}:")
        if not self.directory.has_workload(provider, name):
            raise rejection("unknown_workload", provider=provider)
