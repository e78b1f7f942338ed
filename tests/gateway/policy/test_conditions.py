"""Conditions say true, false or unknown, and nothing of Python."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.condition_grammar import MAX_DEPTH, MAX_LENGTH, ConditionError
from gateway.policy.conditions import CONTEXT_KEYS, compile_condition, parse_timestamp
from gateway.policy.matchers import condition_holds
from gateway.policy.request import ContextValue

CONTEXT: dict[str, ContextValue] = {
    "time": 1_790_000_000,
    "source": "10.1.2.3",
    "provider": "corp",
    "username": "alice@example.com",
    "acr": "gold",
    "amr": ("pwd", "otp"),
    "token_age_s": 30,
    "auth_age_s": 600,
    "method": "GET",
}


def verdict(condition: str, context: dict[str, ContextValue] | None = None) -> bool | None:
    return compile_condition(condition)(CONTEXT if context is None else context)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("acr == 'gold'", True),
        ("'gold' == acr", True),
        ("acr != 'gold'", False),
        ("auth_age_s < 600", False),
        ("auth_age_s <= 600", True),
        ("600 >= auth_age_s", True),
        ("token_age_s > -1", True),
        ("method in ('GET', 'HEAD')", True),
        ("method in ('HEAD',)", False),
        ("method not in ('GET', 'HEAD')", False),
        ("token_age_s in (30, 31)", True),
        ("'otp' in amr", True),
        ("'hwk' in amr", False),
        ("'hwk' not in amr", True),
        ("provider in amr", False),
        ("not acr == 'gold'", False),
        ("not not acr == 'gold'", True),
        ("acr == 'x' or provider == 'corp'", True),
        ("acr == 'x' and provider == 'corp' or method == 'GET'", True),
        ("acr == 'x' and (provider == 'corp' or method == 'GET')", False),
        ("provider == username", False),
        ("until('2026-09-21T14:13:20Z')", False),
        ("until('2026-09-21T14:13:21Z')", True),
        ("since('2026-09-21T14:13:20Z')", True),
        ("since('2026-09-21T14:13:21Z')", False),
        ("until('2026-12-31T18:00Z')", True),
        ("source_in('10.0.0.0/8')", True),
        ("source_in('192.168.0.0/16', '10.1.2.3')", True),
        ("source_in('2001:db8::/32')", False),
    ],
)
def test_a_condition_means_what_it_says(condition: str, expected: bool) -> None:
    assert verdict(condition) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("acr == 'gold'", None),
        ("acr != 'gold'", None),
        ("not acr == 'gold'", None),
        ("acr in ('a', 'b')", None),
        ("acr not in ('a', 'b')", None),
        ("'otp' in amr", None),
        ("'otp' not in amr", None),
        ("auth_age_s < 900", None),
        ("until('2026-12-31T18:00Z')", None),
        ("source_in('10.0.0.0/8')", None),
        ("acr == 'gold' or method == 'GET'", True),
        ("acr == 'gold' or method == 'PUT'", None),
        ("acr == 'gold' and method == 'GET'", None),
        ("acr == 'gold' and method == 'PUT'", False),
    ],
)
def test_an_absent_value_is_unknown_and_stays_so(condition: str, expected: bool | None) -> None:
    assert verdict(condition, {"method": "GET"}) is expected


def test_an_unknown_condition_never_opens_the_gate() -> None:
    """A row that allows needs its condition true; a row that denies applies unless its condition is false."""
    assert not condition_holds({}, "acr == 'gold'", "allow")
    assert condition_holds({}, "acr == 'gold'", "deny")
    assert condition_holds({}, "not source_in('10.0.0.0/8')", "deny")
    assert condition_holds({}, "", "allow")


@pytest.mark.parametrize(
    ("condition", "context"),
    [
        ("token_age_s < 60", {"token_age_s": "5"}),
        ("token_age_s < 60", {"token_age_s": True}),
        ("acr == 'gold'", {"acr": 5}),
        ("'p' in amr", {"amr": "pwd"}),
        ("source_in('10.0.0.0/8')", {"source": "10.0.0.1, 10.0.0.2"}),
        ("source_in('10.0.0.0/8')", {"source": ""}),
        ("until('2026-12-31T18:00Z')", {"time": "now"}),
    ],
)
def test_a_value_of_the_wrong_type_is_unknown(condition: str, context: dict[str, ContextValue]) -> None:
    assert verdict(condition, context) is None


def test_an_address_mapped_into_ipv6_is_the_ipv4_address() -> None:
    assert verdict("source_in('10.0.0.0/8')", {"source": "::ffff:10.1.2.3"}) is True


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("acr = 'gold'", "unexpected"),
        ("acr == gold", "unknown key 'gold'"),
        ('acr == "gold"', "single quotes"),
        ("acr == 'gold", "single quotes"),
        ("acr", "expected a comparison"),
        ("", "expected a key"),
        ("acr == 'a' acr == 'b'", "expected `and`, `or` or the end"),
        ("(acr == 'a'", "expected `\\)`"),
        ("acr == 5", "number with a text"),
        ("acr < 'b'", "numbers only"),
        ("amr == 'pwd'", "'x' in amr"),
        ("'a' == 'a'", "never changes"),
        ("'a' in ('a', 'b')", "never changes"),
        ("acr in (5)", "is not"),
        ("acr in ()", "expected a key"),
        ("'x' in acr", "list of texts"),
        ("5 in amr", "list of texts"),
        ("colour == 'red'", "unknown key 'colour'"),
        ("eval('1')", "unknown function 'eval'"),
        ("until(5)", "a text in single quotes"),
        ("until('tomorrow')", "not a time"),
        ("until('2026-02-30T00:00Z')", "until"),
        ("until('2026-12-31T18:00+01:00')", "not a time"),
        ("until('2026-12-31T18:00Z', '2026-12-31T18:00Z')", "one time"),
        ("source_in('10.0.0.1/8')", "host bits"),
        ("source_in('here')", "source_in"),
        ("acr == '\u2019'and", "expected a key"),
        ("acr.__class__ == 'x'", "unexpected"),
        ("__import__('os')", "unknown function"),
        ("token_age_s < 1234567890123456789", "too large"),
        ("a" * (MAX_LENGTH + 1), "longer than"),
        ("(" * (MAX_DEPTH + 2) + "acr == 'a'" + ")" * (MAX_DEPTH + 2), "deeper"),
        ("not " * (MAX_DEPTH + 2) + "acr == 'a'", "deeper"),
    ],
)
def test_what_does_not_parse_is_refused_with_its_reason(condition: str, message: str) -> None:
    with pytest.raises(ConditionError, match=message):
        compile_condition(condition)


def test_times_are_whole_seconds_of_utc() -> None:
    assert parse_timestamp("1970-01-01T00:00Z") == 0
    assert parse_timestamp("1970-01-01T00:00:59Z") == 59


_WORDS = [
    "and",
    "or",
    "not",
    "in",
    "(",
    ")",
    ",",
    "==",
    "<",
    "'a'",
    "'10.0.0.0/8'",
    "5",
    "until",
    "source_in",
    *CONTEXT_KEYS,
]
_VALUES = st.one_of(st.text(max_size=3), st.integers(), st.booleans(), st.lists(st.text(max_size=2)).map(tuple))


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_WORDS), max_size=25).map(" ".join)),
    st.dictionaries(st.sampled_from(sorted(CONTEXT_KEYS)), _VALUES),
)
def test_any_text_is_refused_or_gives_one_of_three_answers(source: str, context: dict[str, ContextValue]) -> None:
    """Conditions cannot reach Python: no text raises anything but ConditionError, no context raises at all."""
    try:
        compiled = compile_condition(source)
    except ConditionError:
        return
    assert compiled(context) in {True, False, None}
