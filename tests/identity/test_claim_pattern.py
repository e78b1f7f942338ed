"""Claim patterns: the whole text, case counted, and no text or pattern that makes them slow."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from identity.claim_pattern import MAX_PATTERN_LENGTH, MAX_TEXT_LENGTH, ClaimPattern, ClaimPatternError


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("main", ["main"], ["Main", "main\n", "main ", " main", "mai", "mainz", "", "refs/heads/main"]),
        ("refs/heads/*", ["refs/heads/main", "refs/heads/"], ["refs/heads/a/b", "refs/heads/a:b", "refs/tags/v1"]),
        ("refs/heads/**", ["refs/heads/", "refs/heads/a/b:c"], ["refs/heads", "xrefs/heads/a"]),
        ("*-deploy", ["a-deploy", "-deploy"], ["a-deploy-evil", "a/b-deploy", "deploy"]),
        ("a*b", ["ab", "aXb", "abb"], ["a/b", "a:b", "aXbX"]),
        ("**/x", ["/x", "a/b:c/x"], ["x", "a/x/"]),
        ("a**b*c", ["abc", "a/b/bXc"], ["a/b/bX/c", "ab"]),
        ("*:*", [":", "a:b"], ["a", "a:b:c", "a/b:c"]),
        ("a.c", ["a.c"], ["abc"]),
        ("[ab]?(x)+^$\\", ["[ab]?(x)+^$\\"], ["a", "b"]),
        ("**", ["", "a", "/:\n"], []),
        ("*", ["", "a\n"], ["/", ":"]),
        ("caf\u00e9/*", ["caf\u00e9/x"], ["cafe\u0301/x"]),
    ],
)
def test_a_pattern_fits_the_whole_text_or_not_at_all(pattern: str, fits: list[str], does_not: list[str]) -> None:
    """SECURITY-CASES 29 to 33: the same families of mistake, in claims."""
    compiled = ClaimPattern(pattern)
    assert [text for text in fits if not compiled.matches(text)] == []
    assert [text for text in does_not if compiled.matches(text)] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("a***", "more than two"),
        ("a\n", "control"),
        ("a\u200b", "invisible"),
        ("x" * (MAX_PATTERN_LENGTH + 1), "longer"),
    ],
)
def test_what_is_no_pattern_says_why(text: str, reason: str) -> None:
    with pytest.raises(ClaimPatternError, match=reason):
        ClaimPattern(text)


def _slowly(pattern: str, text: str) -> bool:
    """The same in the plainest words: each wildcard tries every run, shortest first."""
    if not pattern:
        return not text
    if pattern[0] != "*":
        return text[:1] == pattern[0] and _slowly(pattern[1:], text[1:])
    width = 2 if pattern.startswith("**") else 1
    for taken in range(len(text) + 1):
        if width == 1 and taken and text[taken - 1] in "/:":
            return False
        if _slowly(pattern[width:], text[taken:]):
            return True
    return False


_PATTERNS = st.lists(st.sampled_from(["a", "b", "/", ":", "*", "**"]), min_size=1, max_size=7).map("".join)


@given(_PATTERNS.filter(lambda text: "***" not in text), st.text("ab/:", max_size=9))
@example("a**a*a", "a/aa")
@example("**a*", "a:a")
def test_it_answers_as_trying_every_way_would(pattern: str, text: str) -> None:
    assert ClaimPattern(pattern).matches(text) == _slowly(pattern, text)


@given(st.text(st.characters(exclude_characters="*", categories=("L", "N", "P", "S")), min_size=1, max_size=40))
def test_a_text_without_wildcards_fits_itself_and_nothing_else(text: str) -> None:
    pattern = ClaimPattern(text)
    assert pattern.is_literal
    assert pattern.matches(text)
    for other in (text + "\n", " " + text, text[1:], text + text):
        assert not pattern.matches(other)


@pytest.mark.parametrize("pattern", ["*a" * 200 + "b", "**a" * 150 + "b", "a*" * 200 + "b", "**a*a" * 100 + "b"])
def test_no_text_and_no_pattern_makes_it_slow(pattern: str) -> None:
    """What takes a backtracking matcher longer than the universe has been there."""
    compiled = ClaimPattern(pattern)
    began = time.process_time()
    assert not compiled.matches("a" * MAX_TEXT_LENGTH)
    # It is about a millisecond; a second says that it is not exponential, on whatever machine.
    assert time.process_time() - began < 1.0


def test_a_text_beyond_any_workload_name_fits_nothing() -> None:
    assert ClaimPattern("**").matches("a" * MAX_TEXT_LENGTH)
    assert not ClaimPattern("**").matches("a" * (MAX_TEXT_LENGTH + 1))
