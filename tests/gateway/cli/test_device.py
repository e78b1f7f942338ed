"""Where there is no browser, the person logs in on another device (RFC 8628)."""

import sys
from pathlib import Path

import httpx
import pytest

from gateway.cli.assurance import Assurance
from gateway.cli.authorization_server import discover
from gateway.cli.device import DeviceFlow
from gateway.cli.output import CommandError
from gateway.cli.sign_in import Wish, has_browser
from tests.gateway.cli.conftest import Run, address_to_open, finish, start
from tests.gateway.cli.fake_gateway import FakeGateway

DEVICE = "/-/oauth/device_authorization"


class Waits(list[float]):
    """The pauses of a flow, none of which takes time; `then` happens in the first one."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def flow(gateway: FakeGateway, waits: Waits) -> DeviceFlow:
    wish = Wish("partner", assurance=Assurance(("mfa",), 60))
    return DeviceFlow(httpx.Client(trust_env=False), discover(gateway.url), wish.parameters(), waits)


@pytest.mark.parametrize("arguments", [["--device"], []])
def test_a_device_login_prints_where_to_go_and_is_kept(
    home: Path, run: Run, fake_gateway: FakeGateway, arguments: list[str]
) -> None:
    """With --device, and by itself where no browser can be opened. A shell without a desktop is all it needs."""
    process = start("login", "--gateway", fake_gateway.url, *arguments)
    assert address_to_open(process) == f"{fake_gateway.url}/-/device"
    assert process.stderr is not None
    assert process.stderr.readline() == "and enter the code\n"
    code = process.stderr.readline().strip()
    address = address_to_open(process)
    assert address == f"{fake_gateway.url}/-/device?user_code={code}"
    assert httpx.get(address, trust_env=False).text == "allowed"
    done = finish(process)
    assert done.code == 0, done.err
    assert done.out.startswith(f"Logged in at {fake_gateway.url} as user:alice through corp")
    assert run("token").code == 0


def test_the_request_tells_what_login_is_wanted(fake_gateway: FakeGateway, home: Path) -> None:
    flow(fake_gateway, Waits())
    asked = {"client_id": "portcullis-cli", "provider": "partner", "acr_values": "mfa", "max_age": "60"}
    assert fake_gateway.oauth.requests == [asked]


def test_it_polls_as_often_as_it_may_and_slower_where_told(fake_gateway: FakeGateway, home: Path) -> None:
    """RFC 8628 section 3.5: `slow_down` adds five seconds for good."""
    fake_gateway.oauth.interval_s = 3
    fake_gateway.oauth.polls = ["authorization_pending", "slow_down", "authorization_pending", "slow_down"]
    waits = Waits()
    started = flow(fake_gateway, waits)
    fake_gateway.oauth.allow_device(started.user_code)
    assert started.wait(600).access_token
    assert waits == [3, 3, 8, 8, 13]


@pytest.mark.parametrize("interval", [None, 0, -1, "1", True])
def test_an_interval_that_is_none_is_five_seconds(fake_gateway: FakeGateway, home: Path, interval: object) -> None:
    answer = fake_gateway.oauth.device_authorization({"client_id": ["portcullis-cli"]})[1] | {"interval": interval}
    fake_gateway.answers[DEVICE] = 200, answer
    waits = Waits()
    started = flow(fake_gateway, waits)
    fake_gateway.oauth.allow_device(started.user_code)
    started.wait(600)
    assert waits == [5]


def test_a_gateway_that_restarts_does_not_end_the_login(fake_gateway: FakeGateway, home: Path) -> None:
    waits = Waits()
    started = flow(fake_gateway, waits)
    fake_gateway.oauth.allow_device(started.user_code)
    fake_gateway.answers["/-/oauth/token"] = lambda _: fake_gateway.answers.pop("/-/oauth/token") and (503, {})
    assert started.wait(600).access_token
    assert waits == [1, 2]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("access_denied", "was denied on the other device"),
        ("expired_token", "no longer good: run `portcullis login` again"),
        ("invalid_grant", "invalid_grant"),
    ],
)
def test_each_end_is_told_in_plain_words(fake_gateway: FakeGateway, home: Path, error: str, message: str) -> None:
    fake_gateway.oauth.polls = ["authorization_pending", error]
    with pytest.raises(CommandError, match=message):
        flow(fake_gateway, Waits()).wait(600)


def test_nobody_is_waited_for_longer_than_asked(fake_gateway: FakeGateway, home: Path) -> None:
    with pytest.raises(CommandError, match="nobody entered the code in time"):
        flow(fake_gateway, Waits()).wait(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verification_uri": "https://evil.example.com/device"}, "which is not its own"),
        ({"verification_uri_complete": "https://evil.example.com/device"}, "which is not its own"),
        ({"user_code": ""}, "holds no user_code"),
        ({"device_code": None}, "holds no device_code"),
    ],
)
def test_a_person_is_sent_to_the_gateways_own_page_only(
    fake_gateway: FakeGateway, home: Path, change: dict[str, object], message: str
) -> None:
    answer = fake_gateway.oauth.device_authorization({"client_id": ["portcullis-cli"]})[1] | change
    fake_gateway.answers[DEVICE] = 200, answer
    with pytest.raises(CommandError, match=message):
        flow(fake_gateway, Waits())


def test_a_gateway_that_gives_no_code_says_why(fake_gateway: FakeGateway, home: Path) -> None:
    fake_gateway.answers[DEVICE] = 400, {"error": "x", "error_description": "not now"}
    with pytest.raises(CommandError, match="no code for a device \\(not now\\)"):
        flow(fake_gateway, Waits())
    fake_gateway.answers[DEVICE] = 404, b"<h1>Not here</h1>"
    with pytest.raises(CommandError, match="no code for a device \\(404\\)"):
        flow(fake_gateway, Waits())


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"BROWSER": "firefox"}, True),
        ("linux", {"BROWSER": "firefox", "SSH_CONNECTION": "a b c d"}, True),
        ("linux", {"SSH_CONNECTION": "a b c d"}, False),
        ("darwin", {"SSH_CONNECTION": "a b c d"}, False),
    ],
)
def test_a_browser_is_expected_only_where_the_person_sits(
    home: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: bool
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_browser() is expected
