"""Where the gateway asks for a stronger login (RFC 9470), a person at a terminal is asked for it, a script is told."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.cli.assurance import Assurance, demanded, unverified_claims
from tests.gateway.cli.conftest import BROWSER, PATIENCE_S, ROOT, Result, Run, finish, start
from tests.gateway.cli.fake_authorization_server import jwt
from tests.gateway.cli.fake_gateway import Answer, FakeGateway

CHALLENGE = (
    'Bearer realm="portcullis", error="insufficient_user_authentication", error_description="the rule asks for it", '
    'acr_values="mfa hwk", max_age="300"'
)
SESSIONS = "/-/api/v1/sessions"


@pytest.fixture
def gateway(home: Path, fake_gateway: FakeGateway) -> FakeGateway:
    """A gateway where the person is logged in, that wants `mfa`, at most 300 s old, for the list of sessions."""

    def answer(token: str) -> Answer:
        if Assurance(("mfa", "hwk"), 300).lacking(unverified_claims(token), time.time()) is None:
            return 200, {"subject": "user:alice", "sessions": []}
        problem = {"code": "stronger_login_required", "detail": "the rule at rules/a.csv:3 asks for it"}
        return 401, problem, {"WWW-Authenticate": CHALLENGE}

    assert finish(start("login", "--gateway", fake_gateway.url, "--provider", "partner", browser=BROWSER)).code == 0
    fake_gateway.answers[SESSIONS] = answer
    return fake_gateway


@dataclass
class Terminal:
    """A terminal with a person before it: what a command prints there is read, and its standard output apart."""

    def run(self, *arguments: str, **environment: str) -> Result:
        leader, follower = os.openpty()
        command = [sys.executable, "-c", "import sys; from gateway.cli.main import main; sys.exit(main())", *arguments]
        process = subprocess.Popen(
            command,
            env=os.environ | {"BROWSER": BROWSER} | environment,
            cwd=ROOT,
            stdin=follower,
            stdout=subprocess.PIPE,
            stderr=follower,
            text=True,
        )
        os.close(follower)
        shown: list[bytes] = []
        reading = threading.Thread(target=lambda: shown.extend(_read(leader)))
        reading.start()
        out, _ = process.communicate(timeout=PATIENCE_S)
        reading.join(timeout=30)
        os.close(leader)
        return Result(process.returncode, out, b"".join(shown).decode().replace("\r\n", "\n"))


def _read(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, 4096)
        except OSError:
            # The last process that had the terminal open is gone.
            return
        if not data:
            return
        yield data


def test_a_person_logs_in_again_and_the_command_goes_on(gateway: FakeGateway, run: Run) -> None:
    gateway.oauth.acr = "mfa"
    done = Terminal().run("sessions")
    assert (done.code, done.out) == (0, "user:alice has 0 sessions.\n"), done.err
    assert "The gateway asks for a stronger login (the rule at rules/a.csv:3 asks for it). Log in again" in done.err
    asked = gateway.oauth.requests[-1]
    assert (asked["acr_values"], asked["max_age"], asked["provider"]) == ("mfa hwk", "300", "partner")
    assert run("sessions").code == 0


def test_it_is_tried_once(gateway: FakeGateway) -> None:
    """A provider that can't do better must not send the person round in circles."""
    done = Terminal().run("sessions")
    assert (done.code, done.out) == (1, "")
    assert len(gateway.oauth.requests) == 2
    assert "run `portcullis login --acr mfa --acr hwk --max-age 300`" in done.err


def test_a_script_is_told_the_command(gateway: FakeGateway, run: Run) -> None:
    done = run("sessions")
    assert (done.code, done.out) == (1, "")
    assert "asks for a stronger login (the rule at rules/a.csv:3 asks for it)" in done.err
    assert "run `portcullis login --acr mfa --acr hwk --max-age 300`" in done.err
    assert len(gateway.oauth.requests) == 1


def test_a_token_of_the_environment_is_not_replaced(gateway: FakeGateway) -> None:
    done = Terminal().run("sessions", PORTCULLIS_TOKEN="the-token", PORTCULLIS_GATEWAY=gateway.url)
    assert (done.code, "PORTCULLIS_TOKEN stands in for it" in done.err) == (1, True)
    assert len(gateway.oauth.requests) == 1


def test_token_gives_one_that_is_strong_enough(gateway: FakeGateway, run: Run) -> None:
    gateway.oauth.acr = "mfa"
    weaker = run("token").out
    done = Terminal().run("token", "--acr", "mfa", "--max-age", "60")
    assert done.code == 0, done.err
    assert "its authentication context is pwd, not mfa" in done.err
    assert unverified_claims(done.out.strip())["acr"] == "mfa"
    assert done.out != weaker
    assert run("token", "--acr", "mfa", "--max-age", "60").out == done.out
    assert len(gateway.oauth.requests) == 2


def test_token_that_is_not_strong_enough_is_never_printed(gateway: FakeGateway, run: Run) -> None:
    for done in (run("token", "--acr", "mfa"), Terminal().run("token", "--acr", "mfa")):
        assert (done.code, done.out) == (1, "")
        assert "run `portcullis login --acr mfa`" in done.err


@pytest.mark.parametrize(
    ("asked", "claims", "lacking"),
    [
        (Assurance(), {}, None),
        (Assurance(("mfa",)), {"acr": "mfa"}, None),
        (Assurance(("mfa",)), {"acr": "MFA"}, "its authentication context is MFA, not mfa"),
        (Assurance(("mfa", "hwk")), {}, "its authentication context is unknown, not mfa or hwk"),
        (Assurance(max_age_s=60), {"auth_time": 940}, None),
        (Assurance(max_age_s=60), {"auth_time": 939}, "its person authenticated 61 s ago, not 60"),
        (Assurance(max_age_s=60), {}, "it does not say when its person authenticated"),
    ],
)
def test_what_a_token_lacks(asked: Assurance, claims: dict[str, object], lacking: str | None) -> None:
    assert asked.lacking(claims, 1000.0) == lacking


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        (CHALLENGE, Assurance(("mfa", "hwk"), 300)),
        ('Bearer error="insufficient_user_authentication", acr_values="mfa"', Assurance(("mfa",))),
        ('Bearer error="insufficient_user_authentication", max_age="-1"', Assurance()),
        ('Bearer error="insufficient_user_authentication", max_age="\u0663"', Assurance()),
    ],
)
def test_a_challenge_is_read(challenge: str, expected: Assurance) -> None:
    assert demanded(challenge) == expected


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.b.c", f"a.{'W10'}.c", "a.\u00fc.c"])
def test_an_opaque_token_says_nothing(token: str) -> None:
    assert unverified_claims(token) == {}
    assert unverified_claims(jwt({"acr": "mfa"})) == {"acr": "mfa"}


def test_options_are_safe_to_paste_in_a_shell() -> None:
    """The values come from a server."""
    assert Assurance(("$(reboot)", "urn:x"), 0).options() == " --acr '$(reboot)' --acr urn:x --max-age 0"
