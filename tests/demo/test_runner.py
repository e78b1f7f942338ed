import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from tests.demo.answer import Answer, exit_code, holds, same
from tests.demo.runner import Command, Runner, Step, StepFailedError


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def runner(printed: io.StringIO, tmp_path: Path) -> Runner:
    shell = {"PATH": os.environ["PATH"], "GREETING": "good morning"}
    return Runner(Console(file=printed, width=100), lambda _: shell, tmp_path)


def greets(answer: Answer) -> None:
    exit_code(answer, 0)
    holds("the greeting", answer.out, "good morning")


def test_a_command_runs_in_its_persons_shell_and_is_shown_as_typed(runner: Runner, printed: io.StringIO) -> None:
    runner.tell([Step("Greeting", "A greeting.", [Command("alice", "echo $GREETING, alice", greets)])])

    assert "echo $GREETING, alice" in printed.getvalue()
    assert "good morning, alice" in printed.getvalue()
    assert "✔ as told" in printed.getvalue()


def test_an_answer_that_differs_names_the_step_the_command_and_the_difference(runner: Runner) -> None:
    steps = [
        Step("Greeting", "A greeting.", [Command("alice", "echo $GREETING", greets)]),
        Step("Parting", "No greeting.", [Command("alice", "echo good night", greets)]),
    ]

    with pytest.raises(StepFailedError, match=r"step 2 \(Parting\)") as failure:
        runner.tell(steps)

    assert "echo good night" in str(failure.value)
    assert "the greeting: expected 'good morning' in it, the answer was 'good night\\n'" in str(failure.value)


def test_nothing_runs_after_an_answer_that_differs(runner: Runner, tmp_path: Path) -> None:
    commands = [Command("alice", "false", greets), Command("alice", "touch later", greets)]

    with pytest.raises(StepFailedError, match="exit code: expected 0, it was 1"):
        runner.tell([Step("Failing", "One fails.", commands)])

    assert not (tmp_path / "later").exists()


def test_a_command_with_time_is_typed_again_until_it_is_as_told(runner: Runner, tmp_path: Path) -> None:
    third = Command("alice", "echo . >> tries; wc -l < tries", lambda a: same("tries", a.out.strip(), "3"), within_s=20)

    runner.tell([Step("Waiting", "It takes three tries.", [third])])

    assert (tmp_path / "tries").read_text() == ".\n" * 3


def test_an_http_answer_is_read_past_the_interim_response() -> None:
    out = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n\r\n{"code": 1}'

    answer = Answer(0, out, "").http()

    assert (answer.status, answer.headers["content-type"], answer.json()) == (403, "application/json", {"code": 1})


def test_an_answer_of_another_form_is_a_difference_too(runner: Runner) -> None:
    def has_a_subject(answer: Answer) -> None:
        same("subject", answer.json()["subject"], "user:alice")

    with pytest.raises(StepFailedError, match="the answer has another form"):
        runner.tell([Step("Who", "Who is it?", [Command("alice", "echo '[]'", has_a_subject)])])
