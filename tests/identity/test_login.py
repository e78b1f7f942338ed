"""Logins at a provider: what is asked of it, and which of its answers lead to a login."""

import asyncio
import base64
import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.issuer.grants import new_grant, principal_of_grant
from identity.login import LOGIN_WITHIN_S, BegunLogin, FinishedLogin, RelyingParty
from identity.principal import UNLIMITED, Principal
from identity.relying_party_messages import LoginError
from identity.sealing import Sealer
from identity.state import Grant
from tests.identity.login_provider import (
    NOW,
    Clock,
    FakeFederation,
    TokenEndpoint,
    principal,
    provider_settings,
    refused,
    relying_party,
    tokens,
)

CONSOLE = "/-/console/"
CORP = {"iss": "https://corp.example.com"}


def query(url: str) -> dict[str, str]:
    fields = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert all(len(values) == 1 for values in fields.values())
    return {name: values[0] for name, values in fields.items()}


def finish(party: RelyingParty, begun: BegunLogin, *, came_to: str = "corp", **answer: str) -> FinishedLogin:
    async def story() -> FinishedLogin:
        pending = party.pending(answer.get("state", begun.state), begun.sealed)
        try:
            return await party.finish(pending, {"code": "c-1", **CORP, **answer}, came_to=came_to)
        finally:
            await party.close()

    return asyncio.run(story())


def test_the_request_asks_for_a_code_with_pkce_state_and_nonce() -> None:
    begun = relying_party(provider_settings(scopes=["openid", "email", "offline_access"])).begin("corp", CONSOLE)
    sent = query(begun.url)
    assert begun.url.startswith("https://corp.example.com/authorize?tenant=1&")
    assert sent.pop("state") == begun.state
    assert len(sent.pop("nonce")) >= 32
    assert len(sent.pop("code_challenge")) == 43
    assert sent == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "gate way:1",
        "redirect_uri": "https://gateway.example.com/-/login/callback/corp",
        "scope": "openid email offline_access",
        "code_challenge_method": "S256",
    }


def test_two_logins_share_nothing() -> None:
    party = relying_party()
    first, second = (query(party.begin("corp", CONSOLE).url) for _ in range(2))
    assert not {first[name] for name in ("state", "nonce", "code_challenge")} & set(second.values())


def test_how_strong_and_how_fresh_the_login_should_be_is_passed_on() -> None:
    party = relying_party()
    asked = query(party.begin("corp", CONSOLE, acr_values="phr phrh", max_age=300).url)
    assert (asked["acr_values"], asked["max_age"], asked.get("prompt")) == ("phr phrh", "300", None)
    assert query(party.begin("corp", CONSOLE, max_age=0).url)["prompt"] == "login"
    assert query(party.begin("corp", CONSOLE, prompt="select_account").url)["prompt"] == "select_account"


def test_a_login_can_be_begun_only_for_a_known_provider_and_a_page_of_the_gateway() -> None:
    """SECURITY-CASES 26."""
    workloads = provider_settings("ci", tokens="workloads", client_id=None)
    party = relying_party(provider_settings(), provider_settings("nologin", client_id=None), workloads)
    assert party.providers == ("corp",)
    with pytest.raises(KeyError):
        party.begin("nologin", CONSOLE)
    with pytest.raises(ValueError, match="return_to"):
        party.begin("corp", "//evil.example.com")


def test_a_provider_that_names_no_endpoint_is_unavailable() -> None:
    with pytest.raises(ProviderUnavailableError, match="authorization_endpoint"):
        relying_party(federation=FakeFederation(authorization_endpoint=None)).begin("corp", CONSOLE)


def test_a_login_gives_the_principal_and_the_providers_refresh_token() -> None:
    federation, endpoint = FakeFederation(), TokenEndpoint()
    party = relying_party(federation=federation, endpoint=endpoint)
    begun = party.begin("corp", CONSOLE)
    done = finish(party, begun)
    assert done == FinishedLogin(principal(), "again")
    form = endpoint.form
    digest = hashlib.sha256(form.pop("code_verifier").encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == query(begun.url)["code_challenge"]
    assert federation.asked == [("corp", query(begun.url)["nonce"], b"opaque")]
    assert form == {
        "grant_type": "authorization_code",
        "code": "c-1",
        "redirect_uri": "https://gateway.example.com/-/login/callback/corp",
        "client_id": "gate way:1",
    }
    assert endpoint.basic is None


def test_the_client_signs_in_as_it_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret with `%`, `+`, `:` and letters beyond ASCII arrives whole, and a replaced one counts at once."""
    file = tmp_path / "corp.secret"
    endpoint = TokenEndpoint()
    for secret in ("a%2F+ :ä&=", "the next one"):
        file.write_text(secret + "\n")
        party = relying_party(provider_settings(client_secret_file=file), endpoint=endpoint)
        finish(party, party.begin("corp", CONSOLE))
        assert endpoint.basic == ("gate way:1", secret)
        assert "client_id" not in endpoint.form and "client_secret" not in endpoint.form
    monkeypatch.setenv("CORP_SECRET", "a%2F+ :ä&=")
    settings = provider_settings(client_secret_env="CORP_SECRET", client_auth="client_secret_post")
    party = relying_party(settings, endpoint=endpoint)
    finish(party, party.begin("corp", CONSOLE))
    assert endpoint.basic is None
    assert (endpoint.form["client_id"], endpoint.form["client_secret"]) == ("gate way:1", "a%2F+ :ä&=")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"iss": "https://partner.example.com"}, "wrong_issuer"),
        ({"iss": "https://corp.example.com/"}, "wrong_issuer"),
        ({"iss": ""}, "wrong_issuer"),
        ({"iss": "https://partner.example.com", "error": "access_denied"}, "wrong_issuer"),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "server_error"}, "provider_error"),
        ({"error": "<script>alert(1)</script>"}, "provider_error"),
        ({"code": ""}, "malformed_answer"),
    ],
)
def test_an_answer_that_is_not_this_providers_code_is_no_login(answer: dict[str, str], code: str) -> None:
    """Mix-up between providers fails before the code goes anywhere (RFC 9207). SECURITY-CASES 25."""
    endpoint = TokenEndpoint()
    party = relying_party(endpoint=endpoint)
    with pytest.raises(LoginError) as refusal:
        finish(party, party.begin("corp", CONSOLE), **answer)
    assert refusal.value.code == code
    assert "<" not in refusal.value.detail
    assert not endpoint.requests


@pytest.mark.parametrize("sends_issuer", [True, False])
@pytest.mark.parametrize("came_to", ["partner", "", "corp/", "CORP"])
def test_an_answer_that_comes_to_another_providers_redirect_uri_is_not_read(came_to: str, sends_issuer: bool) -> None:
    """RFC 9700, section 4.4.2.2: the code of one provider is not sent to another. SECURITY-CASES 25."""
    endpoint = TokenEndpoint()
    party = relying_party(
        provider_settings(),
        provider_settings("partner"),
        federation=FakeFederation(sends_issuer=sends_issuer),
        endpoint=endpoint,
    )
    for answer in ({}, {"error": "access_denied"}):
        with pytest.raises(LoginError, match="wrong_issuer"):
            finish(party, party.begin("corp", CONSOLE), came_to=came_to, **answer)
    assert not endpoint.requests


def test_each_provider_has_a_redirect_uri_of_its_own() -> None:
    party = relying_party(provider_settings(), provider_settings("partner"))
    uris = [query(party.begin(name, CONSOLE).url)["redirect_uri"] for name in ("corp", "partner")]
    assert uris == [f"https://gateway.example.com/-/login/callback/{name}" for name in ("corp", "partner")]


def test_iss_may_be_absent_only_where_the_provider_does_not_send_it() -> None:
    """SECURITY-CASES 25."""
    for sends_issuer in (True, False):
        party = relying_party(federation=FakeFederation(sends_issuer=sends_issuer))
        begun = party.begin("corp", CONSOLE)
        pending = party.pending(begun.state, begun.sealed)
        if sends_issuer:
            with pytest.raises(LoginError, match="wrong_issuer"):
                asyncio.run(party.finish(pending, {"code": "c-1"}, came_to="corp"))
        else:
            assert asyncio.run(party.finish(pending, {"code": "c-1"}, came_to="corp")).principal == principal()


def test_a_login_belongs_to_the_browser_the_state_and_the_gateway_that_began_it() -> None:
    """SECURITY-CASES 25."""
    clock = Clock()
    party = relying_party(clock=clock)
    begun, other = party.begin("corp", CONSOLE), party.begin("corp", CONSOLE)
    changed = bytes([*begun.sealed[:-1], begun.sealed[-1] ^ 1])
    foreign = relying_party(sealer=Sealer(bytes([1] * 32))).begin("corp", CONSOLE)
    another_purpose = Sealer(bytes(32)).seal("session", b"{}")
    for state, sealed in [
        (begun.state, other.sealed),
        (other.state, begun.sealed),
        (begun.state[:-1], begun.sealed),
        (begun.state.upper(), begun.sealed),
        ("", begun.sealed),
        (begun.state, b""),
        (begun.state, changed),
        (foreign.state, foreign.sealed),
        (begun.state, another_purpose),
    ]:
        with pytest.raises(LoginError, match="login_not_begun"):
            party.pending(state, sealed)
    assert party.pending(begun.state, begun.sealed).return_to == CONSOLE
    clock.now += LOGIN_WITHIN_S
    with pytest.raises(LoginError, match="login_not_begun"):
        party.pending(begun.state, begun.sealed)
    clock.now = NOW - 1
    with pytest.raises(LoginError, match="login_not_begun"):
        party.pending(begun.state, begun.sealed)


def test_a_sealed_login_of_another_version_is_refused_not_a_fault() -> None:
    party = relying_party()
    for text in (b"{}", b"[]", b'{"provider":"corp"}', b'{"state":1,"unknown":2}', b"\xff", b"null"):
        assert party.unsealed(Sealer(bytes(32)).seal("login", text)) is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused("invalid_grant"), "invalid_grant"),
        (refused("invalid_scope"), "provider_error"),
        (refused({"a": 1}), "provider_error"),
        (tokens(id_token=None), "no_id_token"),
        (tokens(id_token=7), "no_id_token"),
        (tokens(id_token="go\nod"), "no_id_token"),
    ],
)
def test_a_refused_or_useless_token_response_is_no_login(answer: httpx.Response, code: str) -> None:
    party = relying_party(endpoint=TokenEndpoint(lambda _: answer))
    with pytest.raises(LoginError) as refusal:
        finish(party, party.begin("corp", CONSOLE))
    assert refusal.value.code == code
    assert "<" not in refusal.value.detail


def test_an_id_token_that_is_not_believed_is_no_login() -> None:
    party = relying_party(endpoint=TokenEndpoint(lambda _: tokens(id_token="bad")))
    with pytest.raises(InvalidCredentialError, match="bad_signature"):
        finish(party, party.begin("corp", CONSOLE))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, json={"error": "invalid_grant"}),
        httpx.Response(429, json={}),
        httpx.Response(200, text="<html>"),
        httpx.Response(400, text="<html>"),
        httpx.Response(302, headers={"location": "https://evil.example.com/"}),
        httpx.Response(200, json={"id_token": "good" * 100_000}),
    ],
)
def test_a_token_endpoint_that_does_not_answer_as_one_is_unavailable(answer: httpx.Response) -> None:
    party = relying_party(endpoint=TokenEndpoint(lambda _: answer))
    with pytest.raises(ProviderUnavailableError):
        finish(party, party.begin("corp", CONSOLE))


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_an_expired_client_secret_is_told_to_the_operator_by_setting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    (file := tmp_path / "corp.secret").write_text("expired-secret")
    settings = provider_settings(client_secret_file=file)
    party = relying_party(settings, endpoint=TokenEndpoint(lambda _: refused(error, 401)))
    with caplog.at_level(logging.ERROR), pytest.raises(LoginError) as refusal:
        finish(party, party.begin("corp", CONSOLE))
    assert refusal.value.code == "client_refused"
    assert str(file) not in refusal.value.detail
    assert "identity.providers, corp" in caplog.text
    assert f"client_secret_file ({file})" in caplog.text
    assert "expired-secret" not in caplog.text + refusal.value.detail


def test_a_client_secret_that_has_gone_is_told_to_the_operator(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = TokenEndpoint()
    party = relying_party(provider_settings(client_secret_file=tmp_path / "gone"), endpoint=endpoint)
    with caplog.at_level(logging.ERROR), pytest.raises(LoginError, match="client_refused"):
        finish(party, party.begin("corp", CONSOLE))
    assert "identity.providers, corp, client_secret" in caplog.text
    assert not endpoint.requests


@pytest.mark.parametrize(
    ("authenticated_at", "max_age", "code"),
    [
        (NOW - 1000, None, None),
        (None, None, None),
        (NOW - 300, 300, None),
        (NOW - 360, 300, None),
        (NOW - 361, 300, "login_too_old"),
        (NOW - 61, 0, "login_too_old"),
        (NOW + 5, 0, None),
        (None, 300, "login_age_unknown"),
    ],
)
def test_a_login_that_had_to_be_fresh_is_held_to_it(
    authenticated_at: int | None, max_age: int | None, code: str | None
) -> None:
    """The provider's leeway of 60 s applies. A provider that ignores `max_age` does not pass for one that heeds it."""
    party = relying_party(federation=FakeFederation(principal(authenticated_at=authenticated_at)))
    begun = party.begin("corp", CONSOLE, max_age=max_age)
    if code is None:
        assert finish(party, begun).principal.authenticated_at == authenticated_at
        return
    with pytest.raises(LoginError) as refusal:
        finish(party, begun)
    assert refusal.value.code == code


def grant(**changes: Any) -> Grant:
    """Return the grant of alice's session, for renewals."""
    fields: dict[str, Any] = {"client": "portcullis-cli", "source": "127.0.0.1", "now": NOW, "expires_at": NOW + 3600}
    made = new_grant(principal(), limits=UNLIMITED, confirmation=None, **fields)
    return replace(made, **changes)


def renew(party: RelyingParty, of: Grant) -> tuple[Principal, str | None]:
    return asyncio.run(party.renew(of, "the-refresh-token"))


def test_a_renewal_returns_whom_the_provider_vouches_for_now_and_its_next_token() -> None:
    """No nonce is demanded of an ID token that no browser asked for; `at_hash` still is."""
    now = principal(groups=("group:corp:ops",))
    federation, endpoint = FakeFederation(now), TokenEndpoint()
    assert renew(relying_party(federation=federation, endpoint=endpoint), grant()) == (now, "again")
    assert endpoint.form == {
        "grant_type": "refresh_token",
        "refresh_token": "the-refresh-token",
        "client_id": "gate way:1",
    }
    assert federation.asked == [("corp", None, b"opaque")]


def test_a_renewal_without_an_id_token_leaves_the_person_as_they_were() -> None:
    endpoint = TokenEndpoint(lambda _: tokens(id_token=None, refresh_token=None))
    of = grant()
    assert renew(relying_party(endpoint=endpoint), of) == (principal_of_grant(of), None)


@pytest.mark.parametrize(
    ("answer", "found", "code"),
    [
        (refused("invalid_grant"), principal(), "invalid_grant"),
        (tokens(), principal(token_subject="m-1"), "invalid_grant"),
        (refused("invalid_client", 401), principal(), "client_refused"),
        (refused("invalid_scope"), principal(), "provider_error"),
    ],
)
def test_a_renewal_that_the_provider_refuses_is_told_from_one_that_is_our_own_fault(
    answer: httpx.Response, found: Principal, code: str
) -> None:
    """Only `invalid_grant` says that the person is not vouched for any more."""
    party = relying_party(federation=FakeFederation(found), endpoint=TokenEndpoint(lambda _: answer))
    with pytest.raises(LoginError) as refusal:
        renew(party, grant())
    assert refusal.value.code == code


def test_a_renewal_at_a_provider_that_is_away_is_no_refusal() -> None:
    party = relying_party(endpoint=TokenEndpoint(lambda _: httpx.Response(502)))
    with pytest.raises(ProviderUnavailableError):
        renew(party, grant())


def test_a_provider_that_was_taken_out_of_the_configuration_vouches_for_nobody() -> None:
    with pytest.raises(LoginError, match="invalid_grant"):
        renew(relying_party(), grant(provider="former"))
