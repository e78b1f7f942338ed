"""What a command answered, and how a step says that it was not what was told."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class DiffersError(Exception):
    """An answer is not what the story tells; the text names what differed."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One response as `curl -i` prints it; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        """Return the body's JSON value; raises DiffersError where it is none."""
        return parse_json(self.body, "the body")


@dataclass(frozen=True, slots=True)
class Answer:
    """One command's exit code and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the JSON value that was printed; raises DiffersError where it is none."""
        return parse_json(self.out, "the output")

    def http(self) -> HttpAnswer:
        """Return the (last) response that `curl -i` printed; raises DiffersError where there is none."""
        if not self.out.startswith("HTTP/"):
            raise DiffersError(f"expected an HTTP response, the answer was {self.out[:200]!r} {self.err[:200]!r}")
        head, _, body = self.out.replace("\r\n", "\n").partition("\n\n")
        while body.startswith("HTTP/"):  # `100 Continue` stands before the response itself
            head, _, body = body.partition("\n\n")
        status, *lines = head.split("\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return HttpAnswer(int(status.split()[1]), headers, body)


def parse_json(text: str, what: str) -> Any:
    """Return the JSON value in `text`; raises DiffersError naming `what`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise DiffersError(f"expected JSON in {what}, it was {text[:300]!r}") from error


def same(what: str, actual: object, expected: object) -> None:
    """Raise DiffersError unless both are equal."""
    if actual != expected:
        raise DiffersError(f"{what}: expected {expected!r}, the answer was {actual!r}")


def holds(what: str, text: str, *parts: str) -> None:
    """Raise DiffersError unless every part stands in the text."""
    for part in parts:
        if part not in text:
            raise DiffersError(f"{what}: expected {part!r} in it, the answer was {text[:600]!r}")


def lacks(what: str, text: str, *parts: str) -> None:
    """Raise DiffersError where any part stands in the text; the parts themselves are not shown."""
    for part in parts:
        if part in text:
            raise DiffersError(f"{what}: holds something it must not hold")


def exit_code(answer: Answer, expected: int) -> None:
    """Raise DiffersError unless the command ended with that code."""
    if answer.code != expected:
        raise DiffersError(
            f"exit code: expected {expected}, it was {answer.code}; it said {(answer.err or answer.out)[-600:]!r}"
        )
