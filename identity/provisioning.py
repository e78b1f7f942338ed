"""What providers push about their accounts (SCIM), as requests are decided by it: kept in memory, always current.

- An account that its provider has deactivated or deleted is refused. A deleted one stays refused, and so does a name
  that an account no longer has, until an account of that name is pushed again.
- An account that the provider pushes has exactly the groups that were pushed.
- An account that it has not pushed follows its token, or is refused where the provider's setting `scim.required` says
  so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from identity.accounts import is_safe_name
from identity.claims import printable_text
from identity.rejections import rejection
from identity.scim_settings import ScimSettings
from identity.strict_json import JsonObject

KeyAttribute = Literal["externalId", "userName", "id"]

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FOLDING = str.maketrans(_UPPER, _UPPER.lower())


@dataclass(frozen=True, slots=True)
class Account:
    """One pushed account; `groups` are policy subjects (`group:corp:dev`)."""

    active: bool
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """What has changed of one provider's accounts; `position` is where to go on from next time."""

    accounts: Mapping[str, Account]
    position: int


class AccountReader(Protocol):
    """Reads what was pushed. It may block, and is called in a worker thread."""

    def accounts(self, provider: str, attribute: KeyAttribute, after: int) -> AccountChanges:
        """Return every account that has changed after that position (0: all there are), by its folded key.

        Raises StateUnavailableError.
        """
        ...


@dataclass(slots=True)
class _Feed:
    settings: ScimSettings
    accounts: dict[str, Account] = field(default_factory=dict)
    position: int = 0


class ProvisioningView:
    """Every pushed account, by the provider's name and the account's key. Belongs to one event loop.

    `feeds` are the providers that push accounts. The key is what `pushed_as` makes of a token's claim `scim.claim`, and
    is kept as `Principal.provisioned_as`.
    """

    def __init__(self, feeds: Mapping[str, ScimSettings] | None = None) -> None:
        self._feeds = {name: _Feed(settings) for name, settings in (feeds or {}).items()}

    def __len__(self) -> int:
        return sum(len(feed.accounts) for feed in self._feeds.values())

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of the providers that push accounts."""
        return tuple(self._feeds)

    def covers(self, provider: str) -> bool:
        """Tell whether the provider pushes accounts at all."""
        return provider in self._feeds

    def requires(self, provider: str) -> bool:
        """Tell whether only accounts that the provider has pushed may call."""
        feed = self._feeds.get(provider)
        return feed is not None and feed.settings.required

    def attribute(self, provider: str) -> KeyAttribute:
        """Return the SCIM attribute that names the provider's accounts; raises KeyError."""
        return self._feeds[provider].settings.attribute

    def find(self, provider: str, key: str) -> Account | None:
        """Return an account, None where the provider has never pushed one of that key."""
        feed = self._feeds.get(provider)
        return feed.accounts.get(key) if feed is not None else None

    def position(self, provider: str) -> int:
        """Return up to where the provider's accounts are known; raises KeyError."""
        return self._feeds[provider].position

    def apply(self, provider: str, changes: AccountChanges) -> None:
        """Put changes in force that were read from `position` on; those that a later reading overtook are dropped."""
        feed = self._feeds[provider]
        if changes.position > feed.position:
            feed.accounts.update(changes.accounts)
            feed.position = changes.position

    def replace(self, provider: str, changes: AccountChanges) -> None:
        """Put in force what was read from position 0 on, and forget all else: the store may be another one."""
        feed = self._feeds[provider]
        feed.accounts, feed.position = dict(changes.accounts), changes.position


NO_PROVISIONING = ProvisioningView()


def fold(text: str) -> str:
    """Return a text as names that differ by case only are compared: in ASCII lower case.

    Other letters stay as they are. Unicode's own folding makes an ASCII `k` of the Kelvin sign, and two people of one.
    """
    return text.translate(_FOLDING)


def account_key(attribute: KeyAttribute, value: str) -> str:
    """Return the key of an account: `userName` is compared without case, the others exactly (RFC 7643, section 2.2)."""
    return fold(value) if attribute == "userName" else value


def pushed_as(claims: JsonObject, settings: ScimSettings) -> str:
    """Return the key of the account that a token is of.

    Raises InvalidCredentialError where the token does not say: nobody could tell then whether it was deactivated.
    """
    if claims.get(settings.claim) is None:
        raise rejection("missing_claim", claim=settings.claim)
    text = printable_text(claims, settings.claim)
    if text is None:
        raise rejection("malformed_claim", claim=settings.claim)
    return account_key(settings.attribute, text)


def pushed_groups(provider: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return groups as policy subjects, sorted; a name that no rule can hold is dropped, as one of a token is."""
    return tuple(sorted({f"group:{provider}:{name}" for name in names if is_safe_name(name)}))
