"""`portcullis sessions` and `revoke`: the gateway's API in plain words, and no revocation by mistake."""

import pytest

from tests.gateway.cli.conftest import Run
from tests.gateway.cli.fake_gateway import FakeGateway

SESSION = {
    "id": "c2Vzc2lvbi1vZi1hbGljZQ",
    "client": "portcullis-cli",
    "provider": "corp",
    "source": "192.0.2.7",
    "created_at": 1_795_459_600,
    "renewed_at": 1_795_459_900,
    "expires_at": 1_795_999_999,
    "current": True,
}


@pytest.fixture
def gateway(fake_gateway: FakeGateway, run: Run, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    monkeypatch.setenv("PORTCULLIS_TOKEN", "the-token")
    monkeypatch.setenv("PORTCULLIS_GATEWAY", fake_gateway.url)
    answer = {"subject": "user:alice", "sessions": [SESSION, SESSION | {"current": False, "source": ""}]}
    fake_gateway.answers["/-/api/v1/sessions"] = 200, answer
    fake_gateway.answers["/-/api/v1/revocations"] = 200, {"revoked": "person", "sessions_ended": 2}
    return fake_gateway


def test_sessions_are_listed_one_a_line(gateway: FakeGateway, run: Run) -> None:
    done = run("sessions")
    first, second, total = done.out.splitlines()
    assert first == (
        "c2Vzc2lvbi1vZi1hbGljZQ  portcullis-cli through corp  from 192.0.2.7  since 2026-11-23T18:46:40Z  "
        "until 2026-11-30T00:53:19Z  this one"
    )
    assert "this one" not in second
    assert total == "user:alice has 2 sessions."
    assert gateway.asked == [("/-/api/v1/sessions", {}, "Bearer the-token")]


def test_another_person_s_sessions_are_asked_for_by_subject(gateway: FakeGateway, run: Run) -> None:
    assert run("sessions", "--person", "user:bob", "--format", "json").json["sessions"][0] == SESSION
    assert gateway.asked[-1][1] == {"subject": "user:bob"}


@pytest.mark.parametrize("answer", [{}, {"subject": "x", "sessions": [{}]}, {"subject": "x", "sessions": 7}])
def test_an_answer_in_another_form_is_told(gateway: FakeGateway, run: Run, answer: object) -> None:
    gateway.answers["/-/api/v1/sessions"] = 200, answer
    done = run("sessions")
    assert (done.code, "update portcullis" in done.err) == (2, True)
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("kind", "value"), [("person", "user:alice"), ("session", SESSION["id"]), ("token", "ab" * 32)]
)
def test_each_kind_of_revocation(gateway: FakeGateway, run: Run, kind: str, value: str) -> None:
    done = run("revoke", f"--{kind}", value)
    assert (done.code, done.out) == (0, f"Revoked: {kind} {value}; 2 sessions ended.\n")
    assert gateway.posted == [{kind: value}]
    assert run("revoke", f"--{kind}", value, "--format", "json").json["sessions_ended"] == 2


@pytest.mark.parametrize("arguments", [(), ("--person", "user:alice", "--session", "x")])
def test_nothing_and_two_things_are_not_revoked(gateway: FakeGateway, run: Run, arguments: tuple[str, ...]) -> None:
    done = run("revoke", *arguments)
    assert (done.code, "one of --person, --session and --token" in done.err) == (2, True)
    assert gateway.asked == []


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("person", "bob", "--person takes a policy subject, such as user:alice"),
        ("session", "1", "--session takes an id that `portcullis sessions` lists"),
        ("token", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "--token takes the token's SHA-256 in lower-case hex"),
    ],
)
def test_what_has_another_form_is_not_sent_nor_shown(
    gateway: FakeGateway, run: Run, kind: str, value: str, told: str
) -> None:
    """Somebody may give the token itself: it goes no further, and is not repeated."""
    done = run("revoke", f"--{kind}", value)
    assert (done.code, told in done.err) == (2, True)
    assert kind != "token" or value not in done.err
    assert gateway.asked == []


def test_sessions_are_those_of_a_policy_subject(gateway: FakeGateway, run: Run) -> None:
    done = run("sessions", "--person", "bob")
    assert (done.code, "--person takes a policy subject, such as user:alice" in done.err) == (2, True)
    assert gateway.asked == []


def test_a_revocation_that_the_policy_denies_is_a_finding(gateway: FakeGateway, run: Run) -> None:
    gateway.answers["/-/api/v1/revocations"] = 403, {"code": "denied", "detail": "no rule allows it"}
    done = run("revoke", "--person", "user:bob")
    assert (done.code, done.out) == (1, "")
    assert "no rule allows it" in done.err
