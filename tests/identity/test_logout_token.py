"""Logout tokens: what they must say, who must have signed them, and what they end (OIDC Back-Channel Logout 1.0)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.logout_token import EVENT, MAX_AGE_S, MAX_REMEMBERED, REMEMBER_S, LogoutTokens, ProviderLogout
from identity.revocation import Revocation
from tests.identity.issuer import NOW, Issuer, World, forge, private_key

CLIENT = "gateway-client"
LEEWAY_S = 60


def logout_token(issuer: Issuer, header: dict[str, object] | None = None, **changes: object) -> bytes:
    """Return a good logout token of alice's session but for the changes; a claim changed to None is left out."""
    claims: dict[str, object] = {
        "iss": issuer.url,
        "sub": "alice",
        "aud": CLIENT,
        "iat": NOW,
        "exp": NOW + 120,
        "jti": "bWJq",
        "sid": "08a5019c",
        "events": {EVENT: {}},
    }
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return forge(issuer.header(**({"typ": "logout+jwt"} | (header or {}))), kept, issuer.algorithm, issuer.key)


Story = Callable[[World, LogoutTokens], Awaitable[None]]


def with_tokens(story: Story, *issuers: Issuer, **settings: Any) -> None:
    """Let a story happen where these providers are known, with `settings` added to each one's own."""
    configured = [issuer.settings(client_id=CLIENT, **settings) for issuer in issuers]

    async def run() -> None:
        async with World(*issuers, settings=configured) as world:
            await story(world, LogoutTokens(world.federation.provider_of, world.clock))

    asyncio.run(run())


def verified(token: Callable[[Issuer], bytes], **settings: Any) -> ProviderLogout | str:
    """Return what one token says, or the code that it is refused with."""
    corp = Issuer()
    found: list[ProviderLogout | str] = []

    async def story(_: World, tokens: LogoutTokens) -> None:
        try:
            found.append(await tokens.verify(token(corp)))
        except InvalidCredentialError as error:
            found.append(error.code)

    with_tokens(story, corp, **settings)
    return found[0]


def test_a_session_that_has_ended_ends_with_its_grants_and_tokens() -> None:
    logout = verified(logout_token)
    assert logout == ProviderLogout("corp", "https://corp.example.com", "alice", "08a5019c", NOW, "bWJq")
    assert logout.grants() == (
        {"provider_session": ("corp", "08a5019c")},
        {"unnamed_session": ("corp", "alice"), "created_until": NOW},
    )
    assert logout.revocations() == (
        Revocation("provider_session", "corp:08a5019c", NOW, NOW + REMEMBER_S),
        Revocation("unnamed_session", "corp:alice", NOW, NOW + REMEMBER_S),
    )


def test_an_account_without_a_session_ends_with_all_its_logins_until_then() -> None:
    logout = verified(lambda corp: logout_token(corp, sid=None))
    assert isinstance(logout, ProviderLogout)
    assert logout.grants() == ({"account": ("corp", "alice"), "created_until": NOW},)
    assert logout.revocations() == (Revocation("account", "corp:alice", NOW, NOW + REMEMBER_S),)


def test_a_session_alone_is_enough() -> None:
    logout = verified(lambda corp: logout_token(corp, sub=None))
    assert isinstance(logout, ProviderLogout)
    assert (logout.subject, logout.session) == (None, "08a5019c")


@pytest.mark.parametrize(("issued_at", "until"), [(NOW - 300, NOW - 240), (NOW - 30, NOW), (NOW + 30, NOW)])
def test_logins_of_a_slow_clocks_leeway_have_ended_but_none_that_is_to_come(issued_at: int, until: int) -> None:
    logout = verified(lambda corp: logout_token(corp, iat=issued_at, sid=None))
    assert isinstance(logout, ProviderLogout)
    assert logout.until == until


@pytest.mark.parametrize("typ", ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt", "JWT", None])
def test_the_type_is_that_of_a_logout_token_or_none_in_particular(typ: str | None) -> None:
    assert isinstance(verified(lambda corp: logout_token(corp, {"typ": typ})), ProviderLogout)


@pytest.mark.parametrize("audience", [CLIENT, [CLIENT], ["other", CLIENT]])
def test_the_audience_is_our_client(audience: object) -> None:
    assert isinstance(verified(lambda corp: logout_token(corp, aud=audience)), ProviderLogout)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "portcullis"}, "wrong_audience"),
        ({"aud": CLIENT + "x"}, "wrong_audience"),
        ({"aud": [CLIENT[:-1]]}, "wrong_audience"),
        ({"aud": None}, "wrong_audience"),
        ({"aud": [str(number) for number in range(64)] + [CLIENT]}, "wrong_audience"),
        ({"events": None}, "not_a_logout_token"),
        ({"events": {}}, "not_a_logout_token"),
        ({"events": EVENT}, "not_a_logout_token"),
        ({"events": [EVENT]}, "not_a_logout_token"),
        ({"events": {EVENT: None}}, "not_a_logout_token"),
        ({"events": {EVENT: "{}"}}, "not_a_logout_token"),
        ({"events": {EVENT + "/": {}}}, "not_a_logout_token"),
        ({"nonce": "n-0S6_WzA2Mj"}, "not_a_logout_token"),
        ({"nonce": ""}, "not_a_logout_token"),
        ({"jti": None}, "missing_claim"),
        ({"jti": 7}, "malformed_claim"),
        ({"jti": "x" * 256}, "malformed_claim"),
        ({"sub": None, "sid": None}, "missing_claim"),
        ({"sid": ["a"]}, "malformed_claim"),
        ({"sid": ""}, "malformed_claim"),
        ({"sub": "al\u00efce"}, "malformed_claim"),
        ({"iat": None}, "missing_claim"),
        ({"iat": str(NOW)}, "malformed_claim"),
        ({"iat": True}, "malformed_claim"),
        ({"iat": NOW - MAX_AGE_S - LEEWAY_S}, "token_expired"),
        ({"iat": NOW + LEEWAY_S + 1}, "token_not_yet_valid"),
        ({"exp": NOW - LEEWAY_S}, "token_expired"),
        ({"exp": 0}, "token_expired"),
        ({"exp": "later"}, "malformed_claim"),
        ({"iss": None}, "unknown_issuer"),
        ({"iss": "https://other.example.com"}, "unknown_issuer"),
    ],
)
def test_a_token_that_says_anything_else_is_refused(changes: dict[str, Any], code: str) -> None:
    """OpenID Connect Back-Channel Logout 1.0, section 2.6; SECURITY-CASES 19"""
    assert verified(lambda corp: logout_token(corp, **changes)) == code


@pytest.mark.parametrize("typ", ["at+jwt", "secevent+jwt", "dpop+jwt", "logout+jws", ""])
def test_tokens_of_other_types_are_refused(typ: str) -> None:
    """SECURITY-CASES 19: an access token logs nobody out, whatever it says."""
    assert verified(lambda corp: logout_token(corp, {"typ": typ})) == "not_a_logout_token"


def test_access_tokens_and_id_tokens_log_nobody_out() -> None:
    """SECURITY-CASES 19"""
    assert verified(lambda corp: corp.token(aud=CLIENT)) == "not_a_logout_token"
    assert verified(lambda corp: corp.token({"typ": "JWT"}, aud=CLIENT, nonce="n")) == "not_a_logout_token"


def test_an_age_is_granted_where_there_is_no_expiry() -> None:
    """The first versions of the standard had no `exp`."""
    good = NOW - MAX_AGE_S - LEEWAY_S + 1
    assert isinstance(verified(lambda corp: logout_token(corp, iat=good, exp=None)), ProviderLogout)
    assert verified(lambda corp: logout_token(corp, iat=good - 1, exp=None)) == "token_expired"


def test_algorithms_keys_and_headers_are_held_to_what_every_token_is() -> None:
    """SECURITY-CASES 16, 17"""

    def signed_by(key: Any, algorithm: str, **header: object) -> Callable[[Issuer], bytes]:
        def make(corp: Issuer) -> bytes:
            other = replace(corp, algorithm=algorithm, published=corp.published)
            other.key = key
            return logout_token(other, header)

        return make

    assert verified(signed_by(private_key("RS256", "stranger"), "RS256")) == "bad_signature"
    assert verified(signed_by(b"secret", "HS256")) == "algorithm_not_allowed"
    assert verified(lambda corp: logout_token(corp, {"alg": "none"})) == "algorithm_not_allowed"
    assert verified(lambda corp: logout_token(corp, {"kid": "unknown"})) == "unknown_key"
    assert verified(lambda corp: logout_token(corp, {"jku": "https://evil.example.com/jwks"})) == "header_not_allowed"
    assert verified(lambda corp: logout_token(corp, {"crit": ["exp"]})) == "header_not_allowed"
    assert verified(lambda corp: b"x" * 20_000) == "token_too_large"
    assert verified(lambda corp: b"") == "malformed_token"


def test_one_providers_key_ends_no_session_of_another() -> None:
    """SECURITY-CASES 18"""
    corp, partner = Issuer("corp"), Issuer("partner")

    async def story(_: World, tokens: LogoutTokens) -> None:
        with pytest.raises(InvalidCredentialError) as raised:
            await tokens.verify(logout_token(partner, iss=corp.url))
        assert raised.value.code == "bad_signature"

    with_tokens(story, corp, partner)


def test_a_provider_may_be_kept_from_it() -> None:
    assert verified(logout_token, backchannel_logout=False) == "logout_not_configured"


def test_a_token_counts_once_and_until_then_may_be_sent_again() -> None:
    corp, partner = Issuer("corp"), Issuer("partner")

    async def story(world: World, tokens: LogoutTokens) -> None:
        token = logout_token(corp)
        await tokens.verify(token)
        logout = await tokens.verify(token)
        tokens.use(logout)
        for again in (token, logout_token(corp, sid="another")):
            with pytest.raises(InvalidCredentialError) as raised:
                await tokens.verify(again)
            assert raised.value.code == "logout_token_used"
        await tokens.verify(logout_token(partner))
        await tokens.verify(logout_token(corp, jti="another"))
        world.clock.now += MAX_AGE_S + LEEWAY_S - 1
        with pytest.raises(InvalidCredentialError) as raised:
            await tokens.verify(logout_token(corp, exp=None))
        assert raised.value.code == "logout_token_used", "it is remembered for as long as it would be accepted"

    with_tokens(story, corp, partner)


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    corp = Issuer()

    async def story(_: World, tokens: LogoutTokens) -> None:
        logout = await tokens.verify(logout_token(corp))
        tokens.use(logout)
        for number in range(MAX_REMEMBERED - 1):
            tokens.use(replace(logout, token_id=str(number)))
        with pytest.raises(InvalidCredentialError):
            await tokens.verify(logout_token(corp))
        tokens.use(replace(logout, token_id="one more"))
        await tokens.verify(logout_token(corp))
        with pytest.raises(InvalidCredentialError):
            await tokens.verify(logout_token(corp, jti="one more"))

    with_tokens(story, corp)


def test_strangers_floods_cost_no_key_fetch_and_no_memory() -> None:
    """SECURITY-CASES 22: only what its text does not refuse already makes the provider's keys be looked at."""
    corp = Issuer()

    async def story(world: World, tokens: LogoutTokens) -> None:
        fetches = corp.key_fetches
        world.monotonic.now += 3600
        for number in range(300):
            for bad in (
                logout_token(corp, {"kid": f"flood-{number}"}, events=None),
                logout_token(corp, {"kid": f"flood-{number}"}, aud="other"),
                logout_token(corp, {"kid": f"flood-{number}"}, iat=NOW - 4000),
                logout_token(corp, {"kid": f"flood-{number}", "typ": "at+jwt"}),
            ):
                with pytest.raises(InvalidCredentialError):
                    await tokens.verify(bad)
        assert corp.key_fetches == fetches
        for number in range(300):
            with pytest.raises(InvalidCredentialError):
                await tokens.verify(logout_token(corp, {"kid": f"flood-{number}"}))
        assert corp.key_fetches == fetches + 1

    with_tokens(story, corp)


def test_a_provider_that_can_not_be_reached_is_no_bad_token() -> None:
    corp = Issuer(reachable=False)

    async def story(_: World, tokens: LogoutTokens) -> None:
        with pytest.raises(ProviderUnavailableError):
            await tokens.verify(logout_token(corp))

    with_tokens(story, corp)
