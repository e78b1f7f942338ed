"""Patterns over one claim's text: `*` is any run without `/` and `:`, `**` any run, all else itself.

A pattern fits the whole text or not at all, and case counts. It is no regular expression: each character of the text
costs one step over a set of places in the pattern, kept as the bits of one integer, so that no text and no pattern can
make a match slow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_PATTERN_LENGTH = 512
# A SPIFFE ID is at most 2,048 bytes, and no other claim that names a workload is as long.
MAX_TEXT_LENGTH = 2_048
SEPARATORS = "/:"


class ClaimPatternError(ValueError):
    """The text is no pattern; it says why and what to write."""


@dataclass(frozen=True, slots=True)
class ClaimPattern:
    """One pattern; `text` is how it was written. Raises ClaimPatternError where that can't be a pattern."""

    text: str
    _prefix: str = field(init=False, repr=False, compare=False)
    _places: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _waits_anywhere: int = field(init=False, repr=False, compare=False)
    _waits_in_part: int = field(init=False, repr=False, compare=False)
    _end: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = self.text
        if not text:
            raise ClaimPatternError("is empty; name the value, or leave the claim out")
        if len(text) > MAX_PATTERN_LENGTH:
            raise ClaimPatternError(f"is longer than {MAX_PATTERN_LENGTH} characters")
        if not text.isprintable():
            raise ClaimPatternError("has control or invisible characters")
        if "***" in text:
            raise ClaimPatternError("has more than two `*` in a row; write `**` for any run of characters")
        places: dict[str, int] = {}
        waits_anywhere = waits_in_part = 0
        place = 1
        rest = text
        while rest:
            if rest.startswith("**"):
                waits_anywhere |= place
                rest = rest[2:]
            elif rest[0] == "*":
                waits_in_part |= place
                rest = rest[1:]
            else:
                places[rest[0]] = places.get(rest[0], 0) | place
                place <<= 1
                rest = rest[1:]
        for name, value in (
            ("_prefix", text.partition("*")[0]),
            ("_places", places),
            ("_waits_anywhere", waits_anywhere),
            ("_waits_in_part", waits_in_part),
            ("_end", place),
        ):
            object.__setattr__(self, name, value)

    @property
    def literal_prefix(self) -> str:
        """What stands before the first wildcard; the whole text where there is none."""
        return self._prefix

    @property
    def is_literal(self) -> bool:
        """Whether it fits one text only."""
        return len(self._prefix) == len(self.text)

    @property
    def has_literal(self) -> bool:
        """Whether anything but wildcards and separators stands in it."""
        return any(character not in "*" + SEPARATORS for character in self.text)

    def matches(self, text: str) -> bool:
        """Tell whether the pattern fits the whole text; no text longer than MAX_TEXT_LENGTH fits any."""
        if self.is_literal:
            return text == self.text
        if len(text) > MAX_TEXT_LENGTH or not text.startswith(self._prefix):
            return False
        # Bit n is set where the first n plain characters of the pattern can have been used up so far.
        reached = 1 << len(self._prefix)
        places, anywhere, in_part = self._places, self._waits_anywhere, self._waits_in_part
        for character in text[len(self._prefix) :]:
            waits = anywhere if character in SEPARATORS else anywhere | in_part
            reached = ((reached & places.get(character, 0)) << 1) | (reached & waits)
            if not reached:
                return False
        return bool(reached & self._end)
