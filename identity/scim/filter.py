"""SCIM filters and patch paths: parsed, and written out again (RFC 7644, sections 3.4.2.2 and 3.5.2).

`not` binds closer than `and`, `and` closer than `or`. Operators and words are read without case. Nothing here knows a
schema: whether an attribute exists is for `identity.scim.evaluation` to say.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from identity.scim.errors import ScimError, ScimType, bad_request

MAX_CHARACTERS: Final = 4096
MAX_DEPTH: Final = 16
MAX_TERMS: Final = 100

COMPARISONS: Final = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})

Value = str | int | float | bool | None

_TOKEN = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|[()\[\]]|[^\s()\[\]"]+')
_SPACE = re.compile(r"[ \t]*")
_NAME = re.compile(r"(?:([A-Za-z][^\s()\[\]\"]*):)?([A-Za-z][A-Za-z0-9_-]*|\$ref)(?:\.([A-Za-z][A-Za-z0-9_-]*|\$ref))?")
_SUB_ATTRIBUTE = re.compile(r"\.([A-Za-z][A-Za-z0-9_-]*|\$ref)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
_WORDS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Name:
    """An attribute as it is written: `urn:...:User:name.familyName` has all three parts."""

    uri: str | None
    attribute: str
    sub_attribute: str | None = None

    def __str__(self) -> str:
        uri = f"{self.uri}:" if self.uri is not None else ""
        return f"{uri}{self.attribute}" + (f".{self.sub_attribute}" if self.sub_attribute is not None else "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`userName eq "alice"`; the operator is in lower case."""

    name: Name
    operator: str
    value: Value

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {json.dumps(self.value)}"


@dataclass(frozen=True, slots=True)
class Present:
    """`title pr`."""

    name: Name

    def __str__(self) -> str:
        return f"{self.name} pr"


@dataclass(frozen=True, slots=True)
class Not:
    """`not (title pr)`."""

    inner: "Filter"

    def __str__(self) -> str:
        return f"not ({self.inner})"


@dataclass(frozen=True, slots=True)
class And:
    """`title pr and active eq true`; several are grouped from the left."""

    left: "Filter"
    right: "Filter"

    def __str__(self) -> str:
        left = f"({self.left})" if isinstance(self.left, Or) else str(self.left)
        right = f"({self.right})" if isinstance(self.right, And | Or) else str(self.right)
        return f"{left} and {right}"


@dataclass(frozen=True, slots=True)
class Or:
    """`title pr or active eq true`; several are grouped from the left."""

    left: "Filter"
    right: "Filter"

    def __str__(self) -> str:
        return f"{self.left} or " + (f"({self.right})" if isinstance(self.right, Or) else str(self.right))


@dataclass(frozen=True, slots=True)
class Selection:
    """`emails[type eq "work"]`: some value of the attribute fits the inner filter."""

    name: Name
    inner: "Filter"

    def __str__(self) -> str:
        return f"{self.name}[{self.inner}]"


Filter = Comparison | Present | Not | And | Or | Selection


@dataclass(frozen=True, slots=True)
class Path:
    """What a patch changes: an attribute, or those of its values that fit `selection`; then a sub-attribute of them."""

    name: Name
    selection: Filter | None = None
    sub_attribute: str | None = None

    def __str__(self) -> str:
        selection = f"[{self.selection}]" if self.selection is not None else ""
        return f"{self.name}{selection}" + (f".{self.sub_attribute}" if self.sub_attribute is not None else "")


def parse_filter(text: str) -> Filter:
    """Return the filter that a text means; raises ScimError (invalidFilter)."""
    parser = _Parser(text, "invalidFilter")
    found = parser.alternatives(within_value=False)
    parser.finish()
    return found


def parse_path(text: str) -> Path:
    """Return the path that a text means; raises ScimError (invalidPath)."""
    parser = _Parser(text, "invalidPath")
    name = parser.name()
    if not parser.accept("["):
        parser.finish()
        return Path(Name(name.uri, name.attribute), None, name.sub_attribute)
    if name.sub_attribute is not None:
        raise parser.error("a sub-attribute has no values to choose from")
    selection = parser.alternatives(within_value=True)
    parser.expect("]")
    sub_attribute = None
    if not parser.at_end:
        match = _SUB_ATTRIBUTE.fullmatch(parser.take())
        if match is None:
            raise parser.error("`.` and a sub-attribute, or nothing, may follow `]`")
        sub_attribute = match[1]
    parser.finish()
    return Path(name, selection, sub_attribute)


class _Parser:
    def __init__(self, text: str, scim_type: ScimType) -> None:
        self._scim_type = scim_type
        if len(text) > MAX_CHARACTERS:
            raise self.error(f"it is longer than {MAX_CHARACTERS} characters")
        self._tokens = self._split(text)
        self._next = 0
        self._depth = 0
        self._terms = 0

    @property
    def at_end(self) -> bool:
        return self._next == len(self._tokens)

    def error(self, what: str) -> ScimError:
        kind = "filter" if self._scim_type == "invalidFilter" else "path"
        return bad_request(self._scim_type, f"the {kind} can't be read: {what}")

    def take(self) -> str:
        if self.at_end:
            raise self.error("it ends too early")
        self._next += 1
        return self._tokens[self._next - 1]

    def accept(self, word: str) -> bool:
        """Take the next token where it is that word."""
        if self.at_end or self._tokens[self._next].lower() != word:
            return False
        self._next += 1
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(f"`{word}` is missing")

    def finish(self) -> None:
        if not self.at_end:
            raise self.error("something follows its end")

    def alternatives(self, *, within_value: bool) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(f"it is nested more than {MAX_DEPTH} deep")
        found = self._conjunction(within_value)
        while self.accept("or"):
            found = Or(found, self._conjunction(within_value))
        self._depth -= 1
        return found

    def name(self) -> Name:
        match = _NAME.fullmatch(self.take())
        if match is None:
            raise self.error("the name of an attribute is missing or malformed")
        return Name(match[1], match[2], match[3])

    def _conjunction(self, within_value: bool) -> Filter:
        found = self._term(within_value)
        while self.accept("and"):
            found = And(found, self._term(within_value))
        return found

    def _term(self, within_value: bool) -> Filter:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self.error(f"it has more than {MAX_TERMS} terms")
        negated = self._next + 1 < len(self._tokens) and self._tokens[self._next + 1] == "(" and self.accept("not")
        if self.accept("("):
            inner = self.alternatives(within_value=within_value)
            self.expect(")")
            return Not(inner) if negated else inner
        name = self.name()
        if self.accept("["):
            if within_value or name.sub_attribute is not None:
                raise self.error("a sub-attribute has no values to choose from")
            inner = self.alternatives(within_value=True)
            self.expect("]")
            return Selection(name, inner)
        operator = self.take().lower()
        if operator == "pr":
            return Present(name)
        if operator not in COMPARISONS:
            raise self.error("`pr` or a comparison (eq, ne, co, sw, ew, gt, ge, lt, le) must follow an attribute")
        return Comparison(name, operator, self._value())

    def _value(self) -> Value:
        token = self.take()
        if token.startswith('"'):
            try:
                text = json.loads(token)
                text.encode()
            except ValueError:
                raise self.error("a text holds an unknown escape, or half of a character") from None
            assert isinstance(text, str)
            return text
        if token.lower() in _WORDS:
            return _WORDS[token.lower()]
        if _NUMBER.fullmatch(token):
            return float(token) if "." in token else int(token)
        raise self.error('the value must be a "text", a number, true, false or null')

    def _split(self, text: str) -> list[str]:
        tokens: list[str] = []
        at = _space_end(text, 0)
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error('a `"` is not closed, or there is a control character')
            tokens.append(match[0])
            at = _space_end(text, match.end())
        return tokens


def _space_end(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    assert match is not None
    return match.end()
