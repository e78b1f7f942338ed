"""Workloads: jobs and services that come with a token of their own and are nobody's account.

An entry of `identities.yaml` says by claims of the token which workload it is; `workload:<provider>:<name>` is then the
policy subject. All conditions of an entry must hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from identity.claim_pattern import ClaimPattern

MAX_CLAIM_NAME_LENGTH = 255


class ClaimNameError(ValueError):
    """The text names no claim; it says why and what to write."""


def claim_path(name: str) -> tuple[str, ...]:
    """Return the keys that lead to a claim: its own name, or those of a JSON pointer (RFC 6901), which begins with `/`.

    A pointer leads through objects only, never into a list. Raises ClaimNameError.
    """
    if not name or len(name) > MAX_CLAIM_NAME_LENGTH or not name.isprintable():
        raise ClaimNameError(f"must be 1 to {MAX_CLAIM_NAME_LENGTH} printable characters")
    if not name.startswith("/"):
        return (name,)
    keys = name[1:].split("/")
    if not all(keys):
        raise ClaimNameError("has an empty part; a pointer is written as in /kubernetes.io/namespace")
    for key in keys:
        if "~" in key.replace("~0", "").replace("~1", ""):
            raise ClaimNameError("has a lone `~`; write `~0` for `~` and `~1` for `/`")
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)


@dataclass(frozen=True, slots=True)
class ClaimCondition:
    """One claim and the patterns of which one must fit it; `claim` is as written (see `claim_path`)."""

    claim: str
    patterns: tuple[ClaimPattern, ...]
    _path: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_path", claim_path(self.claim))

    def holds(self, claims: Mapping[str, object]) -> bool:
        """Tell whether a pattern fits the claim, or one element of it where it is a list; an absent one fits none."""
        value: object = claims
        for key in self._path:
            if not isinstance(value, Mapping) or key not in value:
                return False
            value = value[key]
        elements = value if isinstance(value, list) else [value]
        return any(
            pattern.matches(text)
            for element in elements
            if (text := _json_text(element)) is not None
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """One entry; `line` is where it stands in `identities.yaml`, from 1."""

    name: str
    provider: str
    conditions: tuple[ClaimCondition, ...]
    line: int = field(default=0, compare=False)

    @property
    def subject(self) -> str:
        """The policy subject."""
        return f"workload:{self.provider}:{self.name}"

    def matches(self, claims: Mapping[str, object]) -> bool:
        """Tell whether a verified token of the entry's provider is this workload's."""
        return all(condition.holds(claims) for condition in self.conditions)

    def unmet(self, claims: Mapping[str, object]) -> tuple[str, ...]:
        """Return the names of the claims, as written, whose conditions do not hold."""
        return tuple(condition.claim for condition in self.conditions if not condition.holds(claims))


def _json_text(value: object) -> str | None:
    """Return a text as it is, a truth value or whole number as JSON writes it, None for what has no one spelling."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None
