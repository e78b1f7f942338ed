"""Templates of paths, parameters and resources: literal segments, at most one variable in each, an open end.

A segment is a literal, or a literal around one `{variable}` that is never empty; `**` or `{variable**}` as a path's
last segment covers one or more segments. Matching is exact and case-sensitive, on decoded text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from adapters.backend import UnclassifiedError

_VARIABLE = re.compile(r"([^{}*]*)\{([a-z][a-z0-9_]*)\}([^{}*]*)")
_REST = re.compile(r"\{([a-z][a-z0-9_]*)\*\*\}")
# What a template's author may have meant otherwise: escapes, a query, wildcards, or text that no target can carry.
_NOT_LITERAL = re.compile(r"[{}*%?#\\;\x00-\x20\x7f-\x9f]")
# A value that would read as several segments, as a pattern, or as nothing at all in a log or a rule.
_UNSAFE_VALUE = re.compile(r"[/\\*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\A\.{1,2}\Z")

Variables = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Segment:
    """`prefix{variable}suffix`; a literal is all prefix and has no variable."""

    prefix: str
    variable: str | None = None
    suffix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one segment of a template; raises ValueError."""
        with_variable = _VARIABLE.fullmatch(text)
        prefix, variable, suffix = with_variable.groups() if with_variable else (text, None, "")
        if _NOT_LITERAL.search(prefix + suffix):
            raise ValueError(
                f"{text!r} is no template: write literal text as it reads when decoded, with at most one {{variable}} "
                "of a-z, 0-9 and _; `**` only as the last segment"
            )
        if prefix in (".", "..") and variable is None:
            raise ValueError("`.` and `..` segments never reach a backend")
        return cls(prefix, variable, suffix)

    @classmethod
    def parse_parameter(cls, text: str) -> Self:
        """Read the template of a query parameter's value, whose literal text may be anything; raises ValueError."""
        if "{" not in text and "}" not in text:
            return cls(text)
        with_variable = _VARIABLE.fullmatch(text)
        if with_variable is None:
            raise ValueError(f"{text!r} is no template: write literal text with at most one {{variable}}")
        return cls(*with_variable.groups())

    def match(self, text: str) -> str | None:
        """Return the variable's value (`""` for a literal), None where the text is another."""
        if self.variable is None:
            return "" if text == self.prefix else None
        end = len(text) - len(self.suffix)
        if end <= len(self.prefix) or not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return None
        return text[len(self.prefix) : end]

    def fill(self, variables: Variables) -> str:
        """Return the segment with its variable's value in it."""
        return self.prefix if self.variable is None else self.prefix + variables[self.variable] + self.suffix


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed path or resource template; `open_end` says that it ends in `**`, kept as `rest` where it is named."""

    segments: tuple[Segment, ...]
    open_end: bool = False
    rest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `a/{b}/{rest**}`, without the leading slash; raises ValueError."""
        *leading, last = text.split("/")
        if "" in leading:
            raise ValueError("holds an empty segment (`//`)")
        rest = _REST.fullmatch(last)
        open_end = last == "**" or rest is not None
        parsed = tuple(Segment.parse(part) for part in (leading if open_end else [*leading, last]))
        template = cls(parsed, open_end, rest[1] if rest else None)
        names = template.variables
        if len(set(names)) != len(names):
            raise ValueError("uses a variable twice")
        return template

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the template's variables, in order."""
        names = [segment.variable for segment in self.segments if segment.variable is not None]
        return (*names, self.rest) if self.rest is not None else tuple(names)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """Return the variables' values, None where the path is another.

        Raises UnclassifiedError where a value would not read as the segments it stands for.
        """
        fixed = len(self.segments)
        if len(segments) <= fixed if self.open_end else len(segments) != fixed:
            return None
        values: dict[str, str] = {}
        for template, text in zip(self.segments, segments, strict=False):
            value = template.match(text)
            if value is None:
                return None
            if template.variable is not None:
                values[template.variable] = value
        for name, value in values.items():
            check_value(name, value)
        if self.rest is not None:
            tail = segments[fixed:]
            for position, part in enumerate(tail):
                # `/a/` and `/a` stay apart, as the backend may keep them apart; `//` would not be one resource.
                if part or position < len(tail) - 1 or not position:
                    check_value(self.rest, part)
            values[self.rest] = "/".join(tail)
        return values

    def fill(self, variables: Variables) -> str:
        """Return the path with every variable's value in it."""
        parts = [segment.fill(variables) for segment in self.segments]
        if self.rest is not None:
            parts.append(variables[self.rest])
        return "/".join(parts)


def check_value(name: str, value: str) -> None:
    """Raise UnclassifiedError where the value of `{name}` would not read as one segment of a resource."""
    if not value or _UNSAFE_VALUE.search(value) is not None:
        raise UnclassifiedError(f"the value of {{{name}}} cannot be named in a policy: {value!r}")
