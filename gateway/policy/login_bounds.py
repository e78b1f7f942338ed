"""What a bundle's conditions compare a login with: the classes (`acr`) and ages (`auth_age_s`) that matter."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.policy.condition_grammar import Call, Comparison, Condition, Joined, Key, Membership, Not, parse
from gateway.policy.rows import Row

# Each is tried for a denial, while others wait; the first rows' classes count. Ages can't be left out: a suggested one
# must be good from now until then.
MAX_ACR_VALUES: Final = 16
# Ten years. No login is older, and times since 1970 are no ages.
MAX_AGE_S: Final = 315_360_000
# `acr_values` is a list with spaces in a quoted text (RFC 9470, section 3): another value can't be asked for.
_ACR_VALUE = re.compile(r"[!#-\[\]-~]{1,255}")


@dataclass(frozen=True, slots=True)
class LoginBounds:
    """The literals of the rules, in row order and ascending. `ages_s` goes from 0 to MAX_AGE_S, or is empty.

    A condition answers the same for all ages between two neighbours in `ages_s` as for one of them.
    """

    acr_values: tuple[str, ...] = ()
    ages_s: tuple[int, ...] = ()


NO_LOGIN_BOUNDS = LoginBounds()


def login_bounds(rules: Iterable[Row]) -> LoginBounds:
    """Collect the bounds of rules of the shipped model, whose conditions are known to be good."""
    acr_values: dict[str, None] = {}
    ages: set[int] = set()
    for condition in dict.fromkeys(row.fields[5] for row in rules):
        if "acr" not in condition and "auth_age_s" not in condition:
            continue
        for key, literal in _literals(parse(condition)):
            if key == "acr" and isinstance(literal, str) and _ACR_VALUE.fullmatch(literal):
                acr_values[literal] = None
            elif key == "auth_age_s" and isinstance(literal, int) and 0 <= literal < MAX_AGE_S:
                ages.add(literal)
    return LoginBounds(tuple(acr_values)[:MAX_ACR_VALUES], _around(ages))


def _around(ages: set[int]) -> tuple[int, ...]:
    if not ages:
        return ()
    near = {age + step for age in ages for step in (-1, 0, 1)}
    return tuple(sorted({0, 1, *(age for age in near if age >= 0), MAX_AGE_S}))


def _literals(condition: Condition) -> Iterator[tuple[str, str | int]]:
    """Yield each literal that a key is compared with, and the key's name."""
    match condition:
        case Comparison(left, _, right):
            for key, literal in ((left, right), (right, left)):
                if isinstance(key, Key) and not isinstance(literal, Key):
                    yield key.name, literal
        case Membership(Key(name), container, _) if not isinstance(container, Key):
            for literal in container:
                yield name, literal
        case Not(part):
            yield from _literals(part)
        case Joined(_, parts):
            for part in parts:
                yield from _literals(part)
        case Membership() | Call():
            return
