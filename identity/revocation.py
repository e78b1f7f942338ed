"""Which tokens are no longer good before they expire: kept in memory, asked when a token is verified.

A revocation names a person, an account at a provider, a session or one token, and reaches whatever was made from it by
exchanges, whether it stood for the subject or for who acts. Of persons and accounts it ends
what was issued up to that second: who logs in afterwards is let in again. To keep somebody out, deactivate them in
`identities.yaml` or at the provider.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from identity.principal import Delegate, Principal
from identity.rejections import rejection

RevocationKind = Literal["person", "account", "unnamed_session", "session", "provider_session", "token"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revocation; times are whole seconds since the Unix epoch.

    `key` by kind: `person`: the policy subject (`user:alice`, `workload:github:deploy`); `account`:
    `<provider>:<sub>`; `unnamed_session`: the same, of an account's tokens that do not say of which of the provider's
    sessions they are; `session`: the gateway's session id; `provider_session`: `<provider>:<sid>`; `token`: the
    token's SHA-256 in hex, as audit records name it. `at`: what was issued up to then is refused (sessions and tokens:
    whatever was). `until`: when it may be forgotten, None for never.
    """

    kind: RevocationKind
    key: str
    at: int
    until: int | None = None


class Revocations:
    """The revocations in force. Belongs to one event loop."""

    def __init__(self) -> None:
        self._by_kind: dict[RevocationKind, dict[str, Revocation]] = {
            "person": {},
            "account": {},
            "unnamed_session": {},
            "session": {},
            "provider_session": {},
            "token": {},
        }

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._by_kind.values())

    def apply(self, revocations: Iterable[Revocation]) -> None:
        """Put revocations in force; of two with the same key the later one counts."""
        for revocation in revocations:
            entries = self._by_kind[revocation.kind]
            known = entries.get(revocation.key)
            if known is None or known.at <= revocation.at:
                entries[revocation.key] = revocation

    def forget(self, now: float) -> None:
        """Drop what is over."""
        for entries in self._by_kind.values():
            for key in [key for key, entry in entries.items() if entry.until is not None and entry.until < now]:
                del entries[key]

    def check(self, principal: Principal, ahead_s: int = 0) -> None:
        """Raise InvalidCredentialError (token_revoked) where a revocation reaches the principal or a delegate."""
        if self.reaches(principal, ahead_s):
            raise rejection("token_revoked")

    def reaches(self, principal: Principal, ahead_s: int = 0) -> bool:
        """Tell whether any revocation ends this principal's token.

        `ahead_s` is by how much the clock of the principal's provider is ahead. A token of the provider's own was
        issued that much earlier than it says.
        """
        tokens = self._by_kind["token"]
        if principal.token_sha256 in tokens or principal.token_twin_sha256 in tokens:
            return True
        if not tokens.keys().isdisjoint(principal.made_from):
            return True
        issued_at = principal.issued_at - (ahead_s if principal.session is None else 0)
        parties: tuple[Principal | Delegate, ...] = (principal, *principal.delegates)
        return any(self._reaches_party(party, issued_at) for party in parties)

    def _reaches_party(self, party: Principal | Delegate, issued_at: int) -> bool:
        by_kind, provider = self._by_kind, party.provider
        if party.session in by_kind["session"]:
            return True
        # A token of no session must not be found under the name `None`.
        if party.provider_session is not None and f"{provider}:{party.provider_session}" in by_kind["provider_session"]:
            return True
        account = f"{provider}:{party.token_subject}"
        named = [by_kind["person"].get(party.subject), by_kind["account"].get(account)]
        if party.provider_session is None:
            named.append(by_kind["unnamed_session"].get(account))
        return any(entry is not None and issued_at <= entry.at for entry in named)
