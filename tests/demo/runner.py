"""Runs the story's steps one after another and prints what was typed, what came back and whether it was as told."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.json import JSON
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from tests.demo.answer import Answer, DiffersError

_SHOWN_HEADERS = ("content-type", "www-authenticate", "portcullis-request-id", "portcullis-receipt")


@dataclass(frozen=True, slots=True)
class Command:
    """One line that a person types, exactly as it is run, and what its answer must be.

    `check` raises DiffersError. With `within_s` the command is typed again until its answer is as told, at most that
    many seconds long. Of the answer, `shown_lines` lines are shown.
    """

    who: str
    line: str
    check: Callable[[Answer], None]
    within_s: float = 0.0
    shown_lines: int = 32


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the story: a title, why it matters in plain words, and its commands."""

    title: str
    words: str
    commands: Sequence[Command]


class StepFailedError(Exception):
    """A step's answer was not as told; the text names the step and what differed."""


class Runner:
    """Tells the story on `console`; `shell` returns a person's shell variables, `directory` is where they type."""

    def __init__(self, console: Console, shell: Callable[[str], Mapping[str, str]], directory: Path) -> None:
        self._console = console
        self._shell = shell
        self._directory = directory

    def tell(self, steps: Sequence[Step]) -> None:
        """Run every step; raises StepFailedError at the first whose answer differs."""
        for number, step in enumerate(steps, start=1):
            self._console.print(Rule(f"[bold]{number} of {len(steps)} · {step.title}", align="left"))
            self._console.print(Padding(step.words, (0, 0, 1, 0)))
            for command in step.commands:
                self._run(f"step {number} ({step.title})", command)

    def _run(self, step: str, command: Command) -> None:
        self._console.print(Text(f"{command.who}$", style="bold cyan"))
        self._console.print(Padding(Syntax(command.line, "bash", word_wrap=True, background_color="default"), (0, 2)))
        if command.within_s:
            self._console.print(f"  [dim](typed again until it is so, at most {command.within_s:.0f} s)")
        answer, difference = self._answer(command)
        self._show(answer, command.shown_lines)
        if difference:
            self._console.print("  [bold red]✘ not as told\n")
            raise StepFailedError(f"{step}, the command\n  {command.line}\n{difference}")
        self._console.print("  [green]✔ as told\n")

    def _answer(self, command: Command) -> tuple[Answer, DiffersError | None]:
        end = time.monotonic() + command.within_s
        while True:
            answer = self._type(command)
            difference = _difference(command, answer)
            if difference is None or time.monotonic() >= end:
                return answer, difference
            time.sleep(0.2)

    def _type(self, command: Command) -> Answer:
        try:
            done = subprocess.run(
                ["bash", "-c", command.line],
                env=dict(self._shell(command.who)),
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(124, "", "it did not end within 60 s")
        return Answer(done.returncode, done.stdout, done.stderr)

    def _show(self, answer: Answer, lines: int) -> None:
        self._show_text(answer.err, lines)
        if answer.out.startswith("HTTP/"):
            response = answer.http()
            head = [f"HTTP {response.status}"]
            head += [f"{name}: {response.headers[name]}" for name in _SHOWN_HEADERS if name in response.headers]
            self._console.print(Padding(Text("\n".join(head), style="yellow"), (0, 4)))
            self._show_text(response.body, lines)
        else:
            self._show_text(answer.out, lines)

    def _show_text(self, text: str, lines: int) -> None:
        if not text.strip():
            return
        try:
            shown = JSON(text, indent=2).text
            shown.no_wrap = False
        except ValueError:
            shown = Text(text.strip())
        all_lines = shown.split("\n")
        if len(all_lines) > lines:
            rest = Text(f"… and {len(all_lines) - lines} more lines", style="dim")
            shown = Text("\n").join([*all_lines[:lines], rest])
        self._console.print(Padding(shown, (0, 4)))


def _difference(command: Command, answer: Answer) -> DiffersError | None:
    try:
        command.check(answer)
    except DiffersError as difference:
        return difference
    except (LookupError, TypeError, ValueError) as error:
        # What a check takes apart is not there, or not of the kind it should be.
        return DiffersError(f"the answer has another form: {error!r}; it was {answer.out[:600]!r}")
    return None
