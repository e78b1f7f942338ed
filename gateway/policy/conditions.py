"""Compiles conditions over a request's context, with three answers: true, false, unknown.

A value that the context lacks, or holds in another type than the key's, makes a test unknown (None). `and`, `or` and
`not` carry it as Kleene's logic does: `false and unknown` is false, `true or unknown` is true, all else is unknown.
A row that allows applies only where its condition is true; a row that denies applies wherever it is not false. So a
missing value never opens what a rule would close.
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from gateway.policy.condition_grammar import (
    Call,
    Comparison,
    Condition,
    ConditionError,
    Joined,
    Key,
    Membership,
    Not,
    parse,
)
from gateway.policy.request import ContextValue

Context = Mapping[str, ContextValue]
Verdict = Callable[[Context], bool | None]

# Times and ages are whole seconds; `time` counts from the Unix epoch; `source` is the client's IP address.
CONTEXT_KEYS: Mapping[str, type] = {
    "time": int,
    "source": str,
    "provider": str,
    "username": str,
    "acr": str,
    "amr": tuple,
    "token_age_s": int,
    "auth_age_s": int,
    "method": str,
    "token_binding": str,
}

# Any at the library's edge: the kinds of both sides are made equal before an operator is chosen.
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KINDS = {int: "a number", str: "a text", tuple: "a list of texts"}
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z")


@lru_cache(maxsize=16_384)
def compile_condition(source: str) -> Verdict:
    """Parse, check and compile a condition that is not empty. Raises ConditionError."""
    return _compile(parse(source))


def parse_timestamp(text: str) -> int:
    """Return the Unix time of `2026-12-31T18:00Z` (RFC 3339, UTC, seconds optional). Raises ValueError."""
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"{text!r} is not a time like 2026-12-31T18:00Z")
    return int(datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC).timestamp())


def _compile(condition: Condition) -> Verdict:
    match condition:
        case Comparison():
            return _comparison(condition)
        case Membership():
            return _membership(condition)
        case Call(function, arguments):
            if function not in FUNCTIONS:
                raise ConditionError(f"unknown function {function!r}; known are {', '.join(FUNCTIONS)}")
            return FUNCTIONS[function](arguments)
        case Not(part):
            return _negation(_compile(part))
        case Joined(word, parts):
            return _join([_compile(part) for part in parts], decisive=word == "or")


def _negation(part: Verdict) -> Verdict:
    def holds(context: Context) -> bool | None:
        verdict = part(context)
        return None if verdict is None else not verdict

    return holds


def _join(parts: list[Verdict], *, decisive: bool) -> Verdict:
    """`or` is decided by the first true part, `and` by the first false one."""

    def holds(context: Context) -> bool | None:
        unknown = False
        for part in parts:
            verdict = part(context)
            if verdict is decisive:
                return decisive
            unknown = unknown or verdict is None
        return None if unknown else not decisive

    return holds


def _comparison(test: Comparison) -> Verdict:
    kinds = {_kind(test.left), _kind(test.right)}
    if not isinstance(test.left, Key) and not isinstance(test.right, Key):
        raise ConditionError(f"compares two literals with {test.operator}; its answer never changes")
    if tuple in kinds:
        raise ConditionError(f"{_list_key(test)} is a list of texts; ask `'x' in {_list_key(test)}`")
    if len(kinds) > 1:
        raise ConditionError(f"compares a number with a text ({test.operator})")
    if test.operator not in {"==", "!="} and kinds != {int}:
        raise ConditionError(f"{test.operator} compares numbers only")
    left, right, compare = _reader(test.left), _reader(test.right), _OPERATORS[test.operator]

    def holds(context: Context) -> bool | None:
        one, other = left(context), right(context)
        return None if one is None or other is None else compare(one, other)

    return holds


def _list_key(test: Comparison) -> str:
    return next(side.name for side in (test.left, test.right) if isinstance(side, Key) and _kind(side) is tuple)


def _membership(test: Membership) -> Verdict:
    item, negated = _reader(test.item), test.negated
    kind = _kind(test.item)
    if isinstance(test.container, Key):
        if _kind(test.container) is not tuple or kind is not str:
            raise ConditionError(f"`in {test.container.name}` asks for a text in a key that is a list of texts")
        many: Callable[[Context], object] = _reader(test.container)
    else:
        if not isinstance(test.item, Key):
            raise ConditionError("asks whether a literal is in a list of literals; its answer never changes")
        wrong = [literal for literal in test.container if type(literal) is not kind]
        if wrong:
            raise ConditionError(f"{test.item.name} is {_KINDS[kind]}; {wrong[0]!r} in its list is not")
        literals = test.container
        many = lambda context: literals  # noqa: E731 (the twin of the reader above)

    def holds(context: Context) -> bool | None:
        one, all_of_them = item(context), many(context)
        if one is None or not isinstance(all_of_them, tuple):
            return None
        return (one in all_of_them) is not negated

    return holds


def _kind(side: Key | str | int) -> type:
    if not isinstance(side, Key):
        return type(side)
    if side.name not in CONTEXT_KEYS:
        raise ConditionError(f"unknown key {side.name!r}; known are {', '.join(CONTEXT_KEYS)}")
    return CONTEXT_KEYS[side.name]


def _reader(side: Key | str | int) -> Callable[[Context], ContextValue | None]:
    if not isinstance(side, Key):
        return lambda context: side
    name, kind = side.name, CONTEXT_KEYS[side.name]

    def read(context: Context) -> ContextValue | None:
        value = context.get(name)
        return value if type(value) is kind else None

    return read


def _until(arguments: tuple[str, ...]) -> Verdict:
    return _clock("until", arguments, operator.lt)


def _since(arguments: tuple[str, ...]) -> Verdict:
    return _clock("since", arguments, operator.ge)


def _clock(name: str, arguments: tuple[str, ...], compare: Callable[[int, int], bool]) -> Verdict:
    if len(arguments) != 1:
        raise ConditionError(f"{name}() takes one time")
    try:
        moment = parse_timestamp(arguments[0])
    except ValueError as error:
        raise ConditionError(f"{name}(): {error}") from error

    def holds(context: Context) -> bool | None:
        now = context.get("time")
        return compare(now, moment) if type(now) is int else None

    return holds


def _source_in(arguments: tuple[str, ...]) -> Verdict:
    try:
        networks = [ipaddress.ip_network(argument) for argument in arguments]
    except ValueError as error:
        raise ConditionError(f"source_in(): {error}") from error

    def holds(context: Context) -> bool | None:
        source = context.get("source")
        address = _address(source) if type(source) is str else None
        return None if address is None else any(address in network for network in networks)

    return holds


@lru_cache(maxsize=4_096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address; one that is IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2) is the IPv4 address it stands for."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


FUNCTIONS: Mapping[str, Callable[[tuple[str, ...]], Verdict]] = {
    "until": _until,
    "since": _since,
    "source_in": _source_in,
}
