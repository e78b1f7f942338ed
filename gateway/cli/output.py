"""How commands answer: text or JSON on standard output, errors on standard error, three exit codes.

Exit codes: 0 as asked, 1 a finding (denied, a failed check, a broken proof), 2 wrong use or unreadable input.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Protocol

import typer


class Format(StrEnum):
    """How a result is printed."""

    text = "text"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How the result is printed.")]


class CommandError(Exception):
    """Wrong use or unreadable input; the text says what was wrong and what to do. Ends the command with exit code 2."""


class DeniedError(CommandError):
    """What was asked for is denied; the text says why and what would help. Ends the command with exit code 1."""


class Located(Protocol):
    """Anything that says what is wrong in which line of which file."""

    @property
    def file(self) -> str:
        """The file's path."""
        ...

    @property
    def line(self) -> int:
        """The line, counted from 1; 0 for the file as a whole."""
        ...

    @property
    def message(self) -> str:
        """What is wrong and what to do."""
        ...


def print_text(text: str = "") -> None:
    """Print one line that holds no control character, whatever the text holds."""
    typer.echo(printable(text))


def print_json(document: object) -> None:
    """Print one JSON document. It escapes what is not ASCII, and with it all that a terminal would obey."""
    typer.echo(json.dumps(document, indent=2))


def print_error(text: str) -> None:
    """Print one or more lines on standard error."""
    for line in text.splitlines():
        typer.echo(printable(line), err=True)


def printable(text: str) -> str:
    """Return the text with everything a terminal could obey (C0, C1, bidirectional marks) written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def counted(number: int, noun: str) -> str:
    """Return `1 record`, `2 records`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def place(finding: Located) -> str:
    """Return `file:line: message`, as compilers print it and editors jump to it."""
    where = f"{finding.file}:{finding.line}" if finding.line else finding.file
    return f"{where}: {finding.message}"


def finding_documents(findings: Iterable[Located]) -> list[Mapping[str, object]]:
    """Return findings as JSON objects: `file`, `line`, `message`."""
    return [{"file": one.file, "line": one.line, "message": one.message} for one in findings]


def is_terminal() -> bool:
    """Whether a person watches standard error, and progress is worth drawing there."""
    return sys.stderr.isatty()
