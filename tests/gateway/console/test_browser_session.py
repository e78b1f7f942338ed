"""Which session a request belongs to, as time goes by and things end elsewhere."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from adapters.state.database import StateDatabase, create_state
from adapters.state.state import SqlState
from gateway.console.browser_session import (
    COOKIE,
    BrowserSession,
    begin_session,
    current_session,
    is_login_for,
)
from gateway.console.cookies import cookie_headers, set_cookie
from gateway.console.services import ConsoleServices
from identity.issuer.grants import new_grant
from identity.login import LOGIN_WITHIN_S
from identity.principal import UNLIMITED, Principal
from identity.rejections import rejection
from identity.sealing import Sealer
from identity.state import Grant
from tests.identity.login_provider import NOW, SEALER, principal

IDLE_S, MAX_S = 3600, 86_400
PAGE = "/-/console/"


def request(cookie: str | None = None) -> Request:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie is not None else []
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "state": {}})


def given(asked: Request) -> str | None:
    """Return the session's cookie that the answer to a request sets, None where it sets none."""
    for header in cookie_headers(asked):
        if header.startswith(COOKIE + "="):
            return header.partition("=")[2].partition(";")[0]
    return None


@dataclass
class Gateway:
    """A console over a real store, at a time that is set by hand; `recheck` is the directory's word."""

    store: SqlState
    now: int = NOW
    recheck: Callable[[Principal], Principal] = lambda known: known
    sealer: Sealer = SEALER

    @property
    def services(self) -> ConsoleServices:
        parts: dict[str, Any] = {each.name: None for each in fields(ConsoleServices)}
        parts |= {"grants": self.store, "session_idle_s": IDLE_S, "sealer": self.sealer}
        return ConsoleServices(**{**parts, "recheck": self.recheck, "clock": lambda: self.now})

    def begin(self, page: str = PAGE, client: str = "console") -> tuple[Grant, str]:
        """Begin a session now; return its grant and cookie."""
        grant = new_grant(
            principal(),
            client=client,
            source="127.0.0.1",
            limits=UNLIMITED,
            confirmation=None,
            now=self.now,
            expires_at=self.now + MAX_S,
        )
        self.store.add_grant(grant)
        asked = request()
        begin_session(self.services, asked, grant, page)
        cookie = given(asked)
        assert cookie is not None
        return grant, cookie

    def asked(self, cookie: str) -> tuple[BrowserSession | None, str | None]:
        """Return the session that a cookie stands for now, and the cookie that takes its place."""
        asked = request(cookie)
        return asyncio.run(current_session(self.services, asked)), given(asked)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    url = f"sqlite:///{tmp_path / 'identity.db'}"
    create_state(url)
    return Gateway(SqlState(StateDatabase(url)))


def refused(known: Principal) -> Principal:
    raise rejection("person_deactivated")


def test_a_session_that_nobody_uses_ends(gateway: Gateway) -> None:
    _, cookie = gateway.begin()
    gateway.now = NOW + IDLE_S
    assert gateway.asked(cookie)[0] is not None
    gateway.now = NOW + IDLE_S + 1
    assert gateway.asked(cookie) == (None, None)


def test_a_session_that_is_used_goes_on_until_it_is_as_old_as_any_may_be(gateway: Gateway) -> None:
    _, cookie = gateway.begin()
    while gateway.now < NOW + MAX_S - IDLE_S:
        gateway.now += IDLE_S
        session, next_cookie = gateway.asked(cookie)
        assert session is not None and next_cookie is not None
        cookie = next_cookie
    gateway.now = NOW + MAX_S
    assert gateway.asked(cookie) == (None, None)


def test_a_cookie_is_written_anew_once_a_minute_at_most_and_never_outlives_the_session(gateway: Gateway) -> None:
    _, cookie = gateway.begin()
    gateway.now = NOW + 59
    assert gateway.asked(cookie)[1] is None
    gateway.now = NOW + 60
    assert gateway.asked(cookie)[1] not in (None, cookie)
    gateway.now = NOW + IDLE_S
    asked = request(cookie)
    asyncio.run(current_session(gateway.services, asked))
    assert f"Max-Age={IDLE_S};" in cookie_headers(asked)[0]
    while gateway.now < NOW + MAX_S - 100:
        gateway.now = min(gateway.now + IDLE_S, NOW + MAX_S - 100)
        asked = request(given(asked))
        asyncio.run(current_session(gateway.services, asked))
    assert "Max-Age=100;" in cookie_headers(asked)[0]


def test_a_session_that_ended_elsewhere_is_out_at_the_next_request(gateway: Gateway) -> None:
    """SECURITY-CASES 28."""
    grant, cookie = gateway.begin()
    assert gateway.asked(cookie)[0] is not None
    gateway.store.end_grants(now=NOW, reason="logged_out", grant_id=grant.id)
    assert gateway.asked(cookie)[0] is None


def test_somebody_who_was_deactivated_revoked_or_became_somebody_else_is_out(gateway: Gateway) -> None:
    """SECURITY-CASES 28."""
    _, cookie = gateway.begin()
    gateway.recheck = refused
    assert gateway.asked(cookie)[0] is None
    gateway.recheck = lambda known: replace(known, subject="user:mallory")
    assert gateway.asked(cookie)[0] is None
    gateway.recheck = lambda known: replace(known, groups=("group:corp:ops",))
    session = gateway.asked(cookie)[0]
    assert session is not None and session.principal.groups == ("group:corp:ops",)


def test_only_a_session_of_the_console_is_one(gateway: Gateway) -> None:
    _, cookie = gateway.begin(client="portcullis-cli")
    assert gateway.asked(cookie)[0] is None


def test_a_cookie_of_another_gateway_purpose_or_version_is_no_session(gateway: Gateway) -> None:
    """SECURITY-CASES 15, 27."""
    _, cookie = gateway.begin()
    foreign = replace(gateway, sealer=Sealer(bytes([1]) * 32))
    assert foreign.asked(cookie)[0] is None
    for purpose, text in (
        ("login", b"{}"),
        ("session", b"{}"),
        ("session", b"[]"),
        ("session", b"\xff"),
        ("session", b'{"grant_id":"x","secret":"y","seen_at":0,"answers":"","more":1}'),
    ):
        asked = request()
        set_cookie(asked, COOKIE, gateway.sealer.seal(purpose, text), 60)
        assert gateway.asked(str(given(asked)))[0] is None


def test_a_login_is_for_the_page_that_asked_for_it_once_and_for_ten_minutes(gateway: Gateway) -> None:
    """It is the store that knows of the answer: the browser may send the cookie that it had before."""
    _, cookie = gateway.begin("/-/oauth/authorize?state=1")
    session = gateway.asked(cookie)[0]
    assert session is not None
    assert is_login_for(gateway.services, session, "/-/oauth/authorize?state=1")
    assert not is_login_for(gateway.services, session, "/-/oauth/authorize?state=2")
    gateway.now = NOW + LOGIN_WITHIN_S
    assert not is_login_for(gateway.services, session, "/-/oauth/authorize?state=1")
    gateway.now = NOW
    gateway.store.use_login(session.grant.id, NOW)
    used = gateway.asked(cookie)[0]
    assert used is not None, "the person stays logged in"
    assert not is_login_for(gateway.services, used, "/-/oauth/authorize?state=1")


def test_a_login_for_the_device_page_is_for_it_whatever_code_its_address_held(gateway: Gateway) -> None:
    session = gateway.asked(gateway.begin("/-/device?user_code=BBBB-BBBB")[1])[0]
    assert session is not None
    assert is_login_for(gateway.services, session, "/-/device")


def test_a_cookie_too_large_to_be_kept_is_a_fault_here_and_not_a_riddle_in_the_browser() -> None:
    with pytest.raises(ValueError, match="too large"):
        set_cookie(request(), COOKIE, bytes(4096), 60)
