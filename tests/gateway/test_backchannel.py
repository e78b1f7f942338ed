"""Back-channel logout end to end: a provider says who has left, and they are out here too, open streams included."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from joserfc import jwt

from gateway.api.backchannel import PATH
from gateway.api.forms import MAX_FORM_BYTES
from identity.logout_token import EVENT
from tests.gateway.console.people import Person, answer_of, authorize_path, renewed, sent_to, tokens_for, whoami
from tests.parts.gateway import GatewayProcess, bearer, make_site, stored_rows
from tests.parts.http_browser import http_browser
from tests.parts.issuer import Issuer
from tests.parts.login_site import LoginSite
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawUpstream
from tests.parts.tail import line_then_silence, open_stream, tail_backend

CLIENT = "gateway-client"
FORM = "application/x-www-form-urlencoded"


class World:
    """A gateway with a provider whose tokens and logout tokens are signed here."""

    def __init__(self, gateway: GatewayProcess, issuer: Issuer) -> None:
        self.gateway, self.issuer = gateway, issuer

    def logout_token(self, **changes: object) -> str:
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 120,
            "jti": f"{time.monotonic_ns()}",
            "events": {EVENT: {}},
        }
        header = {"alg": self.issuer.algorithm, "typ": "logout+jwt", "kid": self.issuer.key.kid}
        return jwt.encode(header, claims | changes, self.issuer.key, algorithms=[self.issuer.algorithm])

    def log_out(self, token: str) -> httpx.Response:
        return self.post(urlencode({"logout_token": token}))

    def post(self, content: str | bytes, media_type: str = FORM) -> httpx.Response:
        return httpx.post(self.gateway.url + PATH, content=content, headers={"content-type": media_type})

    def who(self, token: str) -> httpx.Response:
        return httpx.get(f"{self.gateway.url}/-/api/v1/whoami", headers=bearer(token))

    def stream(self, token: str) -> RawClient:
        return open_stream(self.gateway.port, token)

    def records(self) -> list[dict[str, Any]]:
        rows = [json.loads(row.body) for row in stored_rows(self.gateway.site)]
        return [row for row in rows if row["kind"] == "authn" and row["client"] == "backchannel"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Issuer() as issuer, RawUpstream(line_then_silence) as upstream:
        backend = tail_backend(upstream.url)
        site = make_site(
            tmp_path_factory.mktemp("site"),
            providers=[{**issuer.settings, "client_id": CLIENT}],
            backends=[backend],
            rules=["p, group:corp:users, prod, logs/**, tail, allow,"],
            with_state=True,
        )
        with GatewayProcess(site) as gateway:
            yield World(gateway, issuer)


def test_a_session_that_the_provider_ended_is_out_with_its_streams(world: World) -> None:
    """SECURITY-CASES 28: with the answer it is done."""
    one = world.issuer.token("alice", groups=["users"], sid="s-1")
    other = world.issuer.token("alice", groups=["users"], sid="s-2")
    with world.stream(one) as stream, world.stream(other):
        answer = world.log_out(world.logout_token(sid="s-1", sub="sub-alice"))
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert world.who(one).json()["error"] == "token_revoked"
        stream.read_to_close()
    assert world.who(other).status_code == 200


def test_an_account_that_logged_out_is_out_with_every_session_and_may_come_back(world: World) -> None:
    """SECURITY-CASES 28"""
    tokens = [
        world.issuer.token("bob", groups=["users"]),
        world.issuer.token("bob", groups=["users"], sid="s-3"),
    ]
    with world.stream(tokens[0]) as stream:
        assert world.log_out(world.logout_token(sub="sub-bob")).status_code == 200
        stream.read_to_close()
    assert [world.who(token).json()["error"] for token in tokens] == ["token_revoked"] * 2
    later = world.issuer.token("bob", iat=int(time.time()) + 1)
    assert world.who(later).status_code == 200
    assert world.who(world.issuer.token("carol")).status_code == 200


def test_a_logout_token_counts_once(world: World) -> None:
    token = world.logout_token(sid="s-9")
    assert world.log_out(token).status_code == 200
    answer = world.log_out(token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "used before" in answer.json()["error_description"]


def test_logouts_are_recorded_good_or_bad_and_no_token_with_them(world: World) -> None:
    """SECURITY-CASES 24"""
    good, bad = world.logout_token(sub="sub-dave"), world.logout_token(sub="sub-dave", aud="other")
    assert world.log_out(good).status_code == 200
    assert world.log_out(bad).status_code == 400
    ok, fail = world.records()[-2:]
    assert (ok["action"], ok["result"], ok["provider"]) == ("logout", "ok", "corp")
    assert ok["detail"] == "the provider ended all of sub-dave: 0 sessions here"
    assert (fail["result"], fail["provider"]) == ("fail", "")
    assert fail["detail"].startswith("wrong_audience: ")
    everything = json.dumps([ok, fail]) + "".join(world.gateway.log)
    assert good not in everything and bad not in everything


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"", FORM),
        (b"logout_token=", FORM),
        (b"logout_token=x&logout_token=x", FORM),
        (b"token=x", FORM),
        (b"logout_token=x", "text/plain"),
        (b'{"logout_token": "x"}', "application/json"),
        (b"logout_token=%ff%fe", FORM),
        (b"logout_token=\xff", FORM),
        (b"logout_token=" + b"x" * 20_000, FORM),
        (b"logout_token=" + b"x" * 40_000, FORM),
        (b"&".join(b"a=1" for _ in range(100)), FORM),
        (b"logout_token=a.b.c", FORM),
    ],
)
def test_strangers_get_a_short_400(world: World, content: bytes, media_type: str) -> None:
    """OpenID Connect Back-Channel Logout 1.0, section 2.8; SECURITY-CASES 23"""
    answer = world.post(content, media_type)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.content) < 400


def test_a_form_that_no_logout_needs_is_not_read_to_its_end(world: World) -> None:
    """SECURITY-CASES 23"""
    answer = world.post(b"logout_token=" + b"x" * MAX_FORM_BYTES)
    assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")


def test_it_is_for_posts_only(world: World) -> None:
    assert httpx.get(world.gateway.url + PATH).status_code == 405


def test_a_logout_that_can_not_be_kept_is_to_be_sent_again(tmp_path: Path) -> None:
    """The token is not used up by the attempt."""
    with Issuer() as issuer:
        settings = {**issuer.settings, "client_id": CLIENT}
        site = make_site(tmp_path, providers=[settings], backends=[tail_backend()], with_state=True)
        with GatewayProcess(site) as gateway:
            world = World(gateway, issuer)
            alice, token = issuer.token("alice"), world.logout_token(sub="sub-alice")
            assert world.who(alice).status_code == 200
            (tmp_path / "identity.db").rename(tmp_path / "away")
            answer = world.log_out(token)
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
            assert answer.headers["retry-after"] == "5"
            (tmp_path / "away").rename(tmp_path / "identity.db")
            gateway.wait_until(lambda: world.log_out(token).status_code == 200, "the state to be used again")
            assert world.who(alice).json()["error"] == "token_revoked"


def test_a_logout_of_a_provider_that_is_away_is_to_be_sent_again(tmp_path: Path) -> None:
    issuer = Issuer()
    site = make_site(
        tmp_path,
        providers=[{**issuer.settings, "client_id": CLIENT}],
        backends=[tail_backend()],
        with_state=True,
    )
    with GatewayProcess(site, wait_ready=False) as gateway:
        world = World(gateway, issuer)
        token = world.logout_token(sub="sub-alice")
        assert world.log_out(token).status_code == 503
        with issuer:
            gateway.wait_until(lambda: world.log_out(token).status_code == 200, "the provider to be found")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginSite]:
    with LoginSite(tmp_path_factory.mktemp("logins")) as site:
        yield site


@pytest.mark.parametrize("by_session", [True, False])
def test_who_logs_out_at_a_certified_provider_is_out_everywhere(site: LoginSite, by_session: bool) -> None:
    """SECURITY-CASES 28: browser, command line and its refresh token; by session (`sid`) or for the account alone."""
    site.corp.set_client(backchannel_logout_uri=site.url + PATH, backchannel_logout_session_required=by_session)
    with http_browser() as first, http_browser() as second, http_browser() as third:
        alice, too, bob = Person(site, first, "alice"), Person(site, second, "alice"), Person(site, third, "bob")
        for person in (alice, too, bob):
            person.log_in()
        consent = alice.open(authorize_path())
        answered = alice.browser.submit(consent, stop_at="http://127.0.0.1:49152", decision="allow")
        tokens = tokens_for(site, answer_of(sent_to(answered))["code"]).json()
        assert whoami(site, tokens["access_token"]).status_code == 200

        told = site.corp.end_sessions("alice", revoke=False)

        assert {entry["status"] for entry in told} == {200}
        assert not alice.is_logged_in() and not too.is_logged_in()
        assert bob.is_logged_in()
        assert whoami(site, tokens["access_token"]).json()["error"] == "token_revoked"
        assert renewed(site, tokens["refresh_token"]).json()["error"] == "invalid_grant"
        logged_out_at = int(time.time())
        site.gateway.wait_until(lambda: time.time() >= logged_out_at + 1, "the next second")
        alice.log_in()
        assert alice.is_logged_in()
