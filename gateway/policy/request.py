"""What is asked of the policy engine, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

ContextValue = str | int | bool | tuple[str, ...]


class AccessRequest(NamedTuple):
    """May `subject` do `action` on `resource` in `environment`?

    `groups` act as `g` rows from the subject for this request only. `context` is what conditions can see; its keys
    are those of `gateway.policy.conditions.CONTEXT_KEYS`.
    """

    subject: str
    groups: tuple[str, ...]
    environment: str
    resource: str
    action: str
    context: Mapping[str, ContextValue]


@dataclass(frozen=True, slots=True)
class Revision:
    """Which policy decided: the git commit (empty outside a checkout, `-dirty` appended where the files differ from it)
    and the SHA-256 of the bundle's files, in hex.
    """

    commit: str
    digest: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy row: where it stands and its text."""

    file: str
    line: int
    text: str


class Decision(NamedTuple):
    """The engine's answer.

    `reason` is one of `allowed_by_rule`, `denied_by_rule`, `no_matching_rule`, and `evaluation_failed` where a model
    other than the shipped one could not be evaluated: that denies.

    `role_path` leads from the subject to the rule's own subject: `("user:alice", "group:corp:dev", "role:deployer")`.
    """

    allowed: bool
    reason: str
    rule: Rule | None
    role_path: tuple[str, ...]
    revision: Revision
