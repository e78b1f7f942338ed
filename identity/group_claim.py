"""Where in a token the groups are: a name, a dotted path, or a JSON pointer (RFC 6901).

Keycloak nests roles (`realm_access.roles`), Auth0 names claims by URLs that hold dots, and a client's id may hold both
dots and slashes. So an exact top-level name always wins, a dotted path is tried next, and a pointer, which begins with
`/`, can name anything.
"""

import re

from identity.strict_json import JsonObject

_BAD_ESCAPE = re.compile(r"~(?![01])")


def path_problem(path: str) -> str | None:
    """Return what is wrong with a `groups_claim`, None where it is good."""
    if path.startswith("/") and _BAD_ESCAPE.search(path):
        return "must write `~` as `~0` and `/` as `~1` within a JSON pointer's names (RFC 6901)"
    return None


def find_groups(claims: JsonObject, path: str) -> object:
    """Return what stands at the path, None where nothing does. Lists are not looked into."""
    if path.startswith("/"):
        return _walk(claims, [_unescaped(name) for name in path[1:].split("/")])
    if path in claims:
        return claims[path]
    return _walk(claims, path.split(".")) if "." in path else None


def top_level_name(path: str) -> str:
    """Return the claim that a path begins with: the one that a provider lists among its claims."""
    return _unescaped(path[1:].split("/", maxsplit=1)[0]) if path.startswith("/") else path.split(".", maxsplit=1)[0]


def is_overage(claims: JsonObject, path: str) -> bool:
    """Tell whether the token says that its groups are too many to be listed in it.

    Entra ID says so by `_claim_names` (a distributed claim, OpenID Connect Core 1.0, section 5.6.2) or, in the implicit
    flow, by `hasgroups`.
    """
    if find_groups(claims, path) is not None:
        return False
    distributed = claims.get("_claim_names")
    return claims.get("hasgroups") in (True, "true") or (
        isinstance(distributed, dict) and (path in distributed or top_level_name(path) in distributed)
    )


def _walk(value: object, names: list[str]) -> object:
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _unescaped(name: str) -> str:
    return name.replace("~1", "/").replace("~0", "~")
