"""Patterns match what they say and nothing else."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.matchers import (
    action_match,
    action_problem,
    compile_resource,
    environment_match,
    environment_problem,
    is_matchable,
    resource_match,
    resource_problem,
)


@pytest.mark.parametrize(
    ("resource", "pattern"),
    [
        pytest.param("admin\n", "admin", id="29"),
        pytest.param("logs/admin\n", "logs/admin", id="29 below"),
        pytest.param("api/v1X0/x", "api/v1.0/x", id="30"),
        pytest.param("logs/../admin", "logs/*", id="31"),
        pytest.param("logs/../admin", "logs/**", id="31 rest"),
        pytest.param("logs/./admin", "logs/**", id="31 single dot"),
        pytest.param("logs/..", "logs/*", id="31 last"),
        pytest.param("foo/a/SECRET", "foo/*/public", id="32"),
        pytest.param("publicadmin", "public", id="33"),
        pytest.param("xpublic", "public", id="33 front"),
        pytest.param("publicadmin", "public/**", id="33 rest"),
        pytest.param("xANYTHING/y", "x:8080/y", id="34"),
        pytest.param("xANYTHING/y", "x:name/y", id="34 name"),
    ],
)
def test_the_holes_of_the_stock_matchers_are_not_here(resource: str, pattern: str) -> None:
    """SECURITY-CASES 29, 30, 31, 32, 33, 34: what matched wrongly elsewhere matches nothing here."""
    assert not resource_match(resource, pattern)


@pytest.mark.parametrize(
    ("resource", "pattern", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/B", "a/b", False),
        ("a/b/c", "a/b", False),
        ("a", "a/**", True),
        ("a/b/c", "a/**", True),
        ("a/", "a/**", True),
        ("ab", "a/**", False),
        ("anything/at/all", "**", True),
        ("", "**", False),
        ("a/b", "a/*", True),
        ("a/b/c", "a/*", False),
        ("a", "a/*", False),
        ("a/.git/config", "a/**", True),
        ("a/.git", "a/*", True),
        ("logs-prod/x", "logs-*/x", True),
        ("logs-/x", "logs-*/x", True),
        ("logs/x", "logs-*/x", False),
        ("a/x-1-y/b", "a/x*y/*", True),
        ("a/xy/b", "a/x*y/b", True),
        ("a/x/b", "a/x*x/b", False),
        ("a/abcabc/z", "a/*b*c/z", True),
        ("a/abca/z", "a/*b*c/z", False),
        ("aws/s3/b/k/1/2", "aws/s3/*/k/**", True),
        ("aws/s3/b/k", "aws/s3/*/k/**", True),
        ("aws/s3/b/x/k", "aws/s3/*/k/**", False),
        ("a/b\nc", "a/*", True),
        ("a/b\n/c", "a/*", False),
        ("a/%2e%2e/b", "a/*/b", True),
    ],
)
def test_a_resource_matches_segment_by_segment(resource: str, pattern: str, expected: bool) -> None:
    assert resource_match(resource, pattern) is expected


@pytest.mark.parametrize(
    ("action", "pattern", "expected"),
    [
        ("s3:GetObject", "s3:GetObject", True),
        ("s3:GetObject", "s3:Get*", True),
        ("s3:getObject", "s3:Get*", False),
        ("xs3:GetObject", "s3:Get*", False),
        ("s3:Get", "s3:Get*", True),
        ("s3:GetObject\n", "s3:GetObject", False),
        ("read", "*", True),
        ("read", "rea", False),
        ("read", "", False),
    ],
)
def test_an_action_matches_by_name_or_by_prefix(action: str, pattern: str, expected: bool) -> None:
    assert action_match(action, pattern) is expected


def test_an_environment_matches_by_name_or_any() -> None:
    assert environment_match("prod", "prod")
    assert environment_match("prod", "*")
    assert not environment_match("prod\n", "prod")
    assert not environment_match("prod", "pro")
    assert not environment_match("", "")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "a/**/b",
        "**/a",
        "a**",
        "a/b**",
        "a/***",
        "a/../b",
        "a/.",
        "a/[bc]",
        "a/b?",
        "a/{id}",
        "a\\b",
        'a"',
    ],
)
def test_a_malformed_resource_pattern_is_refused(pattern: str) -> None:
    assert resource_problem(pattern) is not None
    with pytest.raises(ValueError, match="resource pattern"):
        compile_resource(pattern)


@pytest.mark.parametrize("pattern", ["", "s3:*Object", "**", "a b", "get?"])
def test_a_malformed_action_pattern_is_refused(pattern: str) -> None:
    assert action_problem(pattern) is not None


@pytest.mark.parametrize("pattern", ["", "pro*", "**", "a b"])
def test_a_malformed_environment_pattern_is_refused(pattern: str) -> None:
    assert environment_problem(pattern) is not None


def test_many_stars_take_no_longer_than_few() -> None:
    """A pattern cannot be made slow by the text it meets."""
    pattern = "a/" + "*x" * 40
    begin = time.perf_counter()
    assert not resource_match("a/" + "x" * 20_000 + "y", pattern)
    assert time.perf_counter() - begin < 5


_SEGMENTS = st.lists(st.text("ab*", max_size=4).filter(lambda text: text and "**" not in text), min_size=1, max_size=3)
_RESOURCES = st.lists(st.text("ab\n", max_size=4), min_size=1, max_size=4).map("/".join)


@settings(deadline=None)
@given(_SEGMENTS, st.booleans(), _RESOURCES)
def test_matching_equals_its_definition(segments: list[str], open_ended: bool, resource: str) -> None:
    """The compiled matchers say what a plain reading of the rule says, written here as an anchored expression."""
    pattern = "/".join([*segments, "**"] if open_ended else segments)
    expression = "/".join("[^/]*".join(map(re.escape, segment.split("*"))) for segment in segments)
    if open_ended:
        expression += "(/.*)?"
    expected = re.fullmatch(expression, resource, re.DOTALL) is not None and resource != ""
    assert resource_match(resource, pattern) is expected


@settings(deadline=None)
@given(st.text(max_size=20), st.text("ab/*.", max_size=8))
def test_no_input_makes_a_match_raise_anything_but_a_pattern_error(resource: str, pattern: str) -> None:
    if resource_problem(pattern) is None:
        assert resource_match(resource, pattern) in {True, False}


@pytest.mark.parametrize("resource", ["..", "../a", "a/..", "a/./b", ".", ""])
def test_a_resource_with_dot_segments_is_matched_by_nothing(resource: str) -> None:
    assert not is_matchable(resource)


@pytest.mark.parametrize("resource", ["a/...", ".a/b", "a/..b", "a.b", "-/audit"])
def test_dots_inside_a_name_are_ordinary(resource: str) -> None:
    assert is_matchable(resource)
