"""What the tests of the command line share: a home of their own, a way to run a command, a fake gateway."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from tests.gateway.cli.fake_gateway import FakeGateway


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]
PATIENCE_S = 60
ROOT = Path(__file__).parents[3]
BROWSER = f"{sys.executable} -m tests.parts.scripted_person %s"


def start(*arguments: str, browser: str | None = None, **environment: str) -> subprocess.Popen[str]:
    """Run a command in a process of its own, to be talked to while it waits."""
    variables = os.environ | environment | ({} if browser is None else {"BROWSER": browser})
    command = [sys.executable, "-c", "import sys; from gateway.cli.main import main; sys.exit(main())", *arguments]
    return subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Result:
    """Return what the command did, once it has ended; fails with what it printed where it does not."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{process.args!r} did not end in {PATIENCE_S} s:\n{out}{err}") from None
    return Result(process.returncode, out, err)


def address_to_open(process: subprocess.Popen[str]) -> str:
    """Return the first address that the command prints; a line with one begins with it, spaces aside."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip().startswith("http"):
            return line.strip()
    raise AssertionError("no address was printed")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's state directory, no PORTCULLIS_* variable from outside, and neither keyring, desktop nor browser."""
    ours = ("GATEWAY", "TOKEN", "TOKEN_STORE", "LISTEN", "DATABASE")
    desktop = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")
    for name in (*(f"PORTCULLIS_{name}" for name in ours), *desktop):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    state = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setenv("COLUMNS", "200")
    return state


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def fake_gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as gateway:
        yield gateway
