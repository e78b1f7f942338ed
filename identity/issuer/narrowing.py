"""Limits of a token: how they are asked for, what is left of two of them, and how they are written.

Backends are asked for by address (`resource`, RFC 8707: `https://gateway.example.com/aws-prod`) or by name
(`audience`, RFC 8693); actions by scope values `action:PATTERN` (`action:s3:Get*`). Nothing else is a scope here.
"""

import re
from collections.abc import Collection
from typing import Any, Final

from identity.issuer.oauth_error import OAuthError
from identity.issuer.parameters import Parameters
from identity.principal import Limits

MAX_LIMITS: Final = 64
ACTION_SCOPE: Final = "action:"

_BACKEND = re.compile(r"[a-z0-9][a-z0-9-]{0,62}|-")
# A scope value may hold neither space, quote nor backslash (RFC 6749, appendix A.4); `*` ends a pattern.
_ACTION = re.compile(r"[!#-)+-\[\]-~]{0,254}(?:[!#-)+-\[\]-~]|\*)")


def requested_limits(parameters: Parameters, issuer: str) -> Limits:
    """Return what a request's `resource`, `audience` and `scope` ask for.

    Whether a backend exists is not looked at: strangers may ask. Raises OAuthError: invalid_target, invalid_scope.
    """
    scope = parameters.get("scope", longest=8192)
    return Limits(
        backends=_backends(parameters.all("resource"), parameters.all("audience"), issuer),
        actions=actions_of_scope(scope) if scope is not None else None,
    )


def actions_of_scope(scope: str) -> tuple[str, ...]:
    """Return the action patterns of a scope; raises OAuthError (invalid_scope) for any other value in it."""
    actions = tuple(dict.fromkeys(value.removeprefix(ACTION_SCOPE) for value in scope.split(" ")))
    if not all(value.startswith(ACTION_SCOPE) for value in scope.split(" ")) or len(actions) > MAX_LIMITS:
        raise OAuthError("invalid_scope", f"a scope holds only action:PATTERN values, at most {MAX_LIMITS}")
    if not all(_ACTION.fullmatch(action) for action in actions):
        raise OAuthError("invalid_scope", "an action pattern is a name, or its beginning and one * at the end")
    return actions


def check_known(limits: Limits, backends: Collection[str]) -> None:
    """Raise OAuthError (invalid_target) where the limits name a backend that is not there."""
    if limits.backends is not None and not all(name in backends for name in limits.backends):
        raise OAuthError("invalid_target", "no such backend is here: name the gateway's own, as its policy does")


def narrowed(limits: Limits, by: Limits) -> Limits:
    """Return what both allow, and nothing else. An empty tuple in the result allows nothing."""
    return Limits(_both_backends(limits.backends, by.backends), _both_actions(limits.actions, by.actions))


def narrowed_for(limits: Limits, by: Limits) -> Limits:
    """Return what both allow; raises OAuthError (invalid_target, invalid_scope) where that is nothing at all."""
    left = narrowed(limits, by)
    if left.backends == ():
        raise OAuthError("invalid_target", "the token that this would be made from is good for none of these backends")
    if left.actions == ():
        raise OAuthError("invalid_scope", "the token that this would be made from is good for none of these actions")
    return left


def audience_of(limits: Limits, issuer: str) -> str | list[str]:
    """Return the claim `aud` that says the backends."""
    return issuer if limits.backends is None else [f"{issuer}/{name}" for name in limits.backends]


def scope_of(limits: Limits) -> str | None:
    """Return the scope that says the actions, None for no limit."""
    return None if limits.actions is None else " ".join(f"{ACTION_SCOPE}{action}" for action in limits.actions)


def backend_at(address: str, issuer: str) -> str | None:
    """Return the name of the backend at an address of the gateway's, None where it is none."""
    name = address.removeprefix(f"{issuer}/")
    return name if name != address and _BACKEND.fullmatch(name) else None


def limits_document(limits: Limits) -> dict[str, Any]:
    """Return limits as JSON, as `stored_limits` reads them."""
    return {
        "backends": None if limits.backends is None else list(limits.backends),
        "actions": None if limits.actions is None else list(limits.actions),
    }


def stored_limits(document: dict[str, Any]) -> Limits:
    """Return the limits that were stored; raises KeyError or TypeError for what is no such document."""
    backends, actions = document["backends"], document["actions"]
    return Limits(None if backends is None else tuple(backends), None if actions is None else tuple(actions))


def _backends(resources: tuple[str, ...], audiences: tuple[str, ...], issuer: str) -> tuple[str, ...] | None:
    if not resources and not audiences:
        return None
    if issuer in resources or issuer in audiences:
        return None
    names = [backend_at(resource, issuer) for resource in resources]
    names += [audience if _BACKEND.fullmatch(audience) else None for audience in audiences]
    found = tuple(dict.fromkeys(name for name in names if name is not None))
    if None in names or len(found) > MAX_LIMITS:
        raise OAuthError("invalid_target", f"a target is {issuer}/BACKEND or a backend's name, at most {MAX_LIMITS}")
    return found


def _both_backends(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(name for name in one if name in other)


def _both_actions(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    # Of two prefixes either the longer one lies in the shorter one, or they have nothing in common.
    common = [left if _covers(right, left) else right for left in one for right in other if _meet(left, right)]
    return _without_covered(tuple(dict.fromkeys(common)))


def _meet(one: str, other: str) -> bool:
    return _covers(one, other) or _covers(other, one)


def _covers(pattern: str, other: str) -> bool:
    """Tell whether everything that `other` stands for, `pattern` stands for too."""
    if not pattern.endswith("*"):
        return pattern == other
    return other.removesuffix("*").startswith(pattern[:-1])


def _without_covered(patterns: tuple[str, ...]) -> tuple[str, ...]:
    # Else two lists of 64 could grow into one of 4096.
    return tuple(one for one in patterns if not any(other != one and _covers(other, one) for other in patterns))
