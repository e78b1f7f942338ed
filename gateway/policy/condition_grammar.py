"""Parses the text of a condition (a rule's `when` column) into a small checked tree.

    condition  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | "(" condition ")" | test
    test       = function "(" text { "," text } ")"
               | operand ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) operand
               | operand [ "not" ] "in" ( key | "(" literal { "," literal } [ "," ] ")" )
    operand    = key | literal
    literal    = text | number
    text       = "'" any characters but "'" "'"
    number     = [ "-" ] digit { digit }

`and` binds tighter than `or`, `not` tighter than both. A text has no escapes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

MAX_LENGTH = 1_000
MAX_DEPTH = 16
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_WORDS = frozenset({"and", "or", "not", "in"})
_TOKEN = re.compile(
    r" *(?:(?P<text>'[^']*')|(?P<number>-?[0-9]+)|(?P<name>[a-z_][a-z0-9_]*)|(?P<sign>[=!<>]=|[<>(),]))"
)


class ConditionError(Exception):
    """The condition does not parse; the text says what was found, where (1-based column), and what would do."""


@dataclass(frozen=True, slots=True)
class Key:
    """A value of the request's context."""

    name: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`; a `str` or `int` side is a literal."""

    left: Key | str | int
    operator: str
    right: Key | str | int


@dataclass(frozen=True, slots=True)
class Membership:
    """`item [not] in container`, the container a key of many values or a list of literals."""

    item: Key | str | int
    container: Key | tuple[str | int, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function of texts; its other operand is the context."""

    function: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts joined by `and` or by `or`."""

    word: str
    parts: tuple["Condition", ...]


Condition = Comparison | Membership | Call | Not | Joined


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(source: str) -> Condition:
    """Parse a condition. Raises ConditionError. Names and types are not checked here."""
    if len(source) > MAX_LENGTH:
        raise ConditionError(f"is longer than {MAX_LENGTH} characters")
    return _Parser(_tokens(source)).whole()


def _tokens(source: str) -> list[_Token]:
    tokens = []
    place = 0
    end = len(source.rstrip(" "))
    while place < end:
        found = _TOKEN.match(source, place, end)
        if found is None or found.lastgroup is None:
            rest = source[place:end].lstrip(" ")
            hint = "; texts stand in single quotes" if rest[0] in "\"'" else ""
            raise ConditionError(f"unexpected {rest[:20]!r} at column {end - len(rest) + 1}{hint}")
        kind = found.lastgroup
        text = found[kind]
        tokens.append(_Token("word" if text in _WORDS and kind == "name" else kind, text, found.start(kind) + 1))
        place = found.end()
    tokens.append(_Token("end", "", end + 1))
    return tokens


class _Parser:
    """Recursive descent; one method a rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def whole(self) -> Condition:
        condition = self._condition(0)
        if self._peek.kind != "end":
            self._fail("`and`, `or` or the end")
        return condition

    def _condition(self, depth: int) -> Condition:
        return self._joined("or", lambda: self._joined("and", lambda: self._negation(depth)))

    def _joined(self, word: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._took("word", word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _negation(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise ConditionError(f"is nested deeper than {MAX_DEPTH}")
        if self._took("word", "not"):
            return Not(self._negation(depth + 1))
        if self._took("sign", "("):
            condition = self._condition(depth + 1)
            self._expect(")")
            return condition
        if self._peek.kind == "name" and self._tokens[self._next + 1].text == "(":
            return self._call()
        return self._test()

    def _call(self) -> Condition:
        name = self._take().text
        self._expect("(")
        arguments = [self._text()]
        while self._took("sign", ","):
            arguments.append(self._text())
        self._expect(")")
        return Call(name, tuple(arguments))

    def _test(self) -> Condition:
        left = self._operand()
        if self._peek.text in _COMPARISONS and self._peek.kind == "sign":
            operator = self._take().text
            return Comparison(left, operator, self._operand())
        negated = self._took("word", "not")
        if not self._took("word", "in"):
            self._fail("a comparison or `in`")
        if self._peek.kind == "name":
            return Membership(left, Key(self._take().text), negated)
        self._expect("(")
        items = [self._literal()]
        while self._took("sign", ",") and self._peek.text != ")":
            items.append(self._literal())
        self._expect(")")
        return Membership(left, tuple(items), negated)

    def _operand(self) -> Key | str | int:
        if self._peek.kind == "name":
            return Key(self._take().text)
        return self._literal()

    def _literal(self) -> str | int:
        if self._peek.kind == "text":
            return self._text()
        if self._peek.kind != "number":
            self._fail("a key, a number or a text in single quotes")
        number = self._take()
        if len(number.text) > 18:
            raise ConditionError(f"the number at column {number.column} is too large")
        return int(number.text)

    def _text(self) -> str:
        if self._peek.kind != "text":
            self._fail("a text in single quotes")
        return self._take().text[1:-1]

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _took(self, kind: str, text: str) -> bool:
        if self._peek.kind == kind and self._peek.text == text:
            self._next += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._took("sign", sign):
            self._fail(f"`{sign}`")

    def _fail(self, expected: str) -> NoReturn:
        token = self._peek
        found = f"{token.text!r}" if token.kind != "end" else "the end"
        raise ConditionError(f"expected {expected} at column {token.column}, found {found}")
