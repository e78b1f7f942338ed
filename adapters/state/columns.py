"""The metadata that all tables of the identity state share, and column types that mean the same on each database."""

import json
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, MetaData, Text
from sqlalchemy.types import TypeDecorator

metadata = MetaData()

# SQLite's strict tables know one type of integer, PostgreSQL's INTEGER ends in 2038.
Number = BigInteger().with_variant(Integer, "sqlite")


class AnyText(TypeDecorator[str]):
    r"""Any Python text. PostgreSQL holds no NUL and neither database a lone surrogate: these are kept as `\uXXXX`.

    A backslash is kept as two, so that each text has one kept form of its own and can be compared by it.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the form that is kept."""
        return None if value is None else kept_form(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text of a kept form."""
        if value is None or "\\" not in value:
            return value
        pieces = value.split("\\\\")
        return "\\".join(_unescaped(piece) for piece in pieces)


class JsonText(TypeDecorator[Any]):
    """A JSON value, in ASCII."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return the document."""
        return None if value is None else json.dumps(value, allow_nan=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the value."""
        return None if value is None else json.loads(value)


class TextTuple(TypeDecorator[tuple[str, ...]]):
    """Texts in order, as a JSON array."""

    impl = JsonText
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> list[str] | None:
        """Return what JsonText keeps."""
        return None if value is None else list(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...] | None:
        """Return the texts."""
        return None if value is None else tuple(value)


def kept_form(text: str) -> str:
    """Return how AnyText keeps a text."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\0" in text:
        text = text.replace("\0", "\\u0000")
    return text if text.isascii() else "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character


def _unescaped(piece: str) -> str:
    first, *others = piece.split("\\u")
    return first + "".join(chr(int(other[:4], 16)) + other[4:] for other in others)
