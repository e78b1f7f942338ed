"""What the patterns in a rule's columns match; the functions that the shipped model's matcher calls.

Every match is of the whole text, by code points and case-sensitive. Nothing here is a regular expression, so no
character of a pattern but `*` is special, and no text can make a match slow.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from gateway.policy.conditions import compile_condition
from gateway.policy.request import ContextValue

TextMatch = Callable[[str], bool]
# Signs of other pattern languages (globs, templates, regular expressions) and of quoting: refused, so that nobody
# believes they work.
_FOREIGN_SIGNS = frozenset("?[]{}\\\"'")


def environment_match(environment: str, pattern: str) -> bool:
    """Match an environment with its exact name or `*`."""
    return pattern == "*" or (pattern != "" and environment == pattern)


def action_match(action: str, pattern: str) -> bool:
    """Match an action with its exact name or with a prefix that ends in `*`."""
    if pattern.endswith("*"):
        return action.startswith(pattern[:-1])
    return pattern != "" and action == pattern


def resource_match(resource: str, pattern: str) -> bool:
    """Match a resource segment by segment.

    `*` stands for any run of characters, none included, inside one segment. A last segment `**` stands for the rest,
    none included: `a/**` matches `a`, `a/b` and `a/b/c`, not `ab`. Raises ValueError for a malformed pattern.
    """
    return is_matchable(resource) and compile_resource(pattern)(resource)


def is_matchable(resource: str) -> bool:
    """Say whether any pattern may match: an empty resource or one with a `.` or `..` segment is matched by none."""
    if "/." in resource or resource.startswith("."):
        segments = resource.split("/")
        return "." not in segments and ".." not in segments
    return resource != ""


def condition_holds(context: Mapping[str, ContextValue], condition: str, effect: str) -> bool:
    """Say whether a row with this `when` and `eft` applies; see `gateway.policy.conditions` for what is unknown."""
    if not condition:
        return True
    verdict = compile_condition(condition)(context)
    return verdict is not False if effect == "deny" else verdict is True


MATCHERS: Mapping[str, Callable[..., bool]] = {
    "environmentMatch": environment_match,
    "resourceMatch": resource_match,
    "actionMatch": action_match,
    "conditionHolds": condition_holds,
}


def environment_problem(pattern: str) -> str | None:
    """Say what is wrong with an environment column, or None."""
    if pattern == "*":
        return None
    if "*" in pattern:
        return "an environment is an exact name or `*` alone"
    return _sign_problem(pattern, spaces=False)


def action_problem(pattern: str) -> str | None:
    """Say what is wrong with an action column, or None."""
    if "*" in pattern[:-1]:
        return "`*` may only end an action, once"
    return _sign_problem(pattern, spaces=False)


def resource_problem(pattern: str) -> str | None:
    """Say what is wrong with a resource column, or None."""
    segments = pattern.split("/")
    if "" in segments:
        return "a resource has no empty segment: no leading, trailing or doubled `/`"
    if "." in segments or ".." in segments:
        return "a resource has no `.` or `..` segment"
    if any("**" in segment for segment in segments[:-1]) or ("**" in segments[-1] and segments[-1] != "**"):
        return "`**` must be the whole last segment"
    return _sign_problem(pattern, spaces=True)


def _sign_problem(pattern: str, *, spaces: bool) -> str | None:
    if not pattern:
        return "is empty"
    if not spaces and " " in pattern:
        return "holds a space"
    signs = sorted(_FOREIGN_SIGNS.intersection(pattern))
    if signs:
        return f"holds {' '.join(signs)}, which has no meaning in patterns; `*` is the only wildcard"
    return None


@lru_cache(maxsize=16_384)
def compile_resource(pattern: str) -> TextMatch:
    """Return the match of one resource pattern. Raises ValueError where it is malformed."""
    problem = resource_problem(pattern)
    if problem is not None:
        raise ValueError(f"resource pattern {pattern!r}: {problem}")
    if pattern == "**":
        return bool
    open_ended = pattern.endswith("/**")
    head = pattern[:-3] if open_ended else pattern
    if "*" in head:
        return _segments_match(head.split("/"), open_ended=open_ended)
    if not open_ended:
        return head.__eq__
    below = f"{head}/"
    return lambda resource: resource.startswith(below) or resource == head


def _segments_match(patterns: list[str], *, open_ended: bool) -> TextMatch:
    count = len(patterns)
    checks = [(place, _segment_match(pattern)) for place, pattern in enumerate(patterns) if pattern != "*"]

    def matches(resource: str) -> bool:
        segments = resource.split("/")
        if len(segments) < count or (len(segments) > count and not open_ended):
            return False
        for place, check in checks:  # noqa: SIM110 (a generator would double the time of a decision)
            if not check(segments[place]):
                return False
        return True

    return matches


def _segment_match(pattern: str) -> TextMatch:
    if "*" not in pattern:
        return pattern.__eq__
    first, *middle, last = pattern.split("*")
    shortest = len(first) + len(last)

    def matches(segment: str) -> bool:
        if len(segment) < shortest or not segment.startswith(first) or not segment.endswith(last):
            return False
        place, end = len(first), len(segment) - len(last)
        for part in middle:
            place = segment.find(part, place, end)
            if place < 0:
                return False
            place += len(part)
        return True

    return matches
