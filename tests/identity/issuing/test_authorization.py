"""The code flow: what is asked for is checked, what is answered goes to the client alone, and a code is good once."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from identity.authenticator import InvalidCredentialError
from identity.issuer.authorization import (
    CODE_LIFE_S,
    AuthorizationRequest,
    BadAuthorizationRequestError,
    LoginWish,
)
from identity.issuer.clients import COMMAND_LINE
from identity.issuer.oauth_error import OAuthError
from identity.principal import UNLIMITED, Confirmation, Limits
from tests.parts.issuing import PUBLIC_URL, REDIRECT_URI, VERIFIER, Issuing, challenge, form

JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def query(**changes: Any) -> bytes:
    """Return a good authorization request but for the changes; a parameter changed to None is left out."""
    parameters = {
        "response_type": "code",
        "client_id": "portcullis-cli",
        "redirect_uri": REDIRECT_URI,
        "state": "xyz",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    } | changes
    return urlencode({name: value for name, value in parameters.items() if value is not None}, doseq=True).encode()


def in_issuing(tmp_path: Path, story: Callable[[Issuing], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Issuing(tmp_path) as world:
            await story(world)

    asyncio.run(run())


def refusal(world: Issuing, encoded: bytes) -> BadAuthorizationRequestError:
    with pytest.raises(BadAuthorizationRequestError) as raised:
        world.authorization.request(encoded)
    return raised.value


def answered(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


async def code_for(world: Issuing, **changes: Any) -> tuple[str, str]:
    """Return a code, and the id of its grant."""
    grant = await world.begin()
    url = await world.authorization.allow(world.authorization.request(query(**changes)), grant)
    return answered(url)["code"], grant.id


def redemption(code: str, /, **changes: Any) -> Any:
    return form(**{"code": code, "code_verifier": VERIFIER, "redirect_uri": REDIRECT_URI} | changes)


def test_a_request_is_read_as_it_is_meant(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        assert world.authorization.request(query()) == AuthorizationRequest(
            client=COMMAND_LINE,
            redirect_uri=REDIRECT_URI,
            state="xyz",
            challenge=challenge(),
            limits=UNLIMITED,
            wish=LoginWish(None, None, None),
            prompt=frozenset(),
            proof_key=None,
        )
        full = world.authorization.request(
            query(
                state=None,
                resource=[f"{PUBLIC_URL}/aws-prod", f"{PUBLIC_URL}/logs-prod"],
                scope="action:s3:Get*",
                acr_values="urn:example:mfa",
                max_age="300",
                provider="corp",
                prompt="login consent",
                dpop_jkt=JKT,
                response_mode="query",
                unknown="ignored",
            )
        )
        assert full.limits == Limits(("aws-prod", "logs-prod"), ("s3:Get*",))
        assert full.wish == LoginWish("corp", "urn:example:mfa", 300)
        assert (full.state, full.prompt, full.proof_key) == (None, frozenset(("login", "consent")), JKT)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:1/callback",
        "http://127.0.0.1:65535/callback",
        "http://[::1]:8080/callback",
    ],
)
def test_a_native_client_listens_at_any_port_of_its_own_machine(tmp_path: Path, uri: str) -> None:
    """RFC 8252, section 7.3"""
    assert COMMAND_LINE.may_redirect_to(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:8080/callback/",
        "http://127.0.0.1:8080/callback?x=1",
        "http://127.0.0.1:8080/callback#x",
        "http://127.0.0.1:8080/Callback",
        "http://127.0.0.1:8080/x/../callback",
        "http://127.0.0.1:8080/%63allback",
        "http://127.0.0.1:8080@evil.example.com/callback",
        "http://evil.example.com:8080/callback",
        "http://127.0.0.1.evil.example.com:8080/callback",
        "http://127.0.0.1:8080\\@evil.example.com/callback",
        "http://127.0.0.1:\u0661/callback",
        "http://localhost:8080/callback",
        "http://127.1:8080/callback",
        "http://[::ffff:127.0.0.1]:8080/callback",
        "https://127.0.0.1:8080/callback",
        "HTTP://127.0.0.1:8080/callback",
        "http://127.0.0.1:8080/callback\n",
        " http://127.0.0.1:8080/callback",
        "javascript://127.0.0.1:8080/callback",
        "",
    ],
)
def test_no_other_address_is_ever_redirected_to(tmp_path: Path, uri: str) -> None:
    """SECURITY-CASES 26: the error stays at the gateway, since the address is the attacker's."""

    async def story(world: Issuing) -> None:
        assert not COMMAND_LINE.may_redirect_to(uri)
        refused = refusal(world, query(redirect_uri=uri))
        assert (refused.error.error, refused.redirect) == ("invalid_request", None)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "other"}, "invalid_client"),
        ({"client_id": "console"}, "invalid_client"),
        ({"client_id": ["portcullis-cli", "portcullis-cli"]}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": [REDIRECT_URI, REDIRECT_URI]}, "invalid_request"),
    ],
)
def test_without_a_known_client_nobody_is_redirected(tmp_path: Path, changes: dict[str, Any], error: str) -> None:
    """RFC 6749, section 4.1.2.1"""

    async def story(world: Issuing) -> None:
        refused = refusal(world, query(**changes))
        assert (refused.error.error, refused.redirect) == (error, None)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": ["code", "code"]}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": challenge() + "="}, "invalid_request"),
        ({"request": "eyJ9.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example.com/r"}, "request_not_supported"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"resource": "https://other.example.com/x"}, "invalid_target"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1e3"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"provider": "../corp"}, "invalid_request"),
        ({"acr_values": "x" * 257}, "invalid_request"),
        ({"dpop_jkt": "x"}, "invalid_request"),
        ({"unknown": ["1", "2"]}, "invalid_request"),
    ],
)
def test_any_other_fault_is_told_to_the_client_with_state_and_issuer(
    tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    """RFC 6749, section 4.1.2.1, and RFC 9207, section 2."""

    async def story(world: Issuing) -> None:
        refused = refusal(world, query(**changes))
        assert refused.redirect is not None and refused.redirect.startswith(f"{REDIRECT_URI}?")
        answer = answered(refused.redirect)
        assert (answer["error"], answer["state"], answer["iss"]) == (error, "xyz", PUBLIC_URL)

    in_issuing(tmp_path, story)


@pytest.mark.parametrize("state", [["a", "b"], "x" * 513, "a\r\nSet-Cookie: x=1", "\u00e9"])
def test_a_state_that_is_not_one_plain_text_is_not_sent_back(tmp_path: Path, state: object) -> None:
    async def story(world: Issuing) -> None:
        refused = refusal(world, query(state=state))
        assert refused.redirect is not None
        assert "state" not in answered(refused.redirect)

    in_issuing(tmp_path, story)


def test_a_code_is_answered_with_state_and_issuer_and_redeemed_once(tmp_path: Path) -> None:
    """SECURITY-CASES 25, the gateway's own side of RFC 9207."""

    async def story(world: Issuing) -> None:
        grant = await world.begin()
        url = await world.authorization.allow(world.authorization.request(query(state="a&b=c")), grant)
        answer = answered(url)
        assert (answer["state"], answer["iss"], set(answer)) == ("a&b=c", PUBLIC_URL, {"code", "state", "iss"})
        redeemed = await world.authorization.redeem(redemption(answer["code"]), COMMAND_LINE, None)
        assert redeemed == grant.id

    in_issuing(tmp_path, story)


def test_a_code_that_comes_a_second_time_ends_its_session(tmp_path: Path) -> None:
    """RFC 6749, section 4.1.2"""

    async def story(world: Issuing) -> None:
        code, grant_id = await code_for(world)
        await world.authorization.redeem(redemption(code), COMMAND_LINE, None)
        tokens = await world.sessions.answer(grant_id, COMMAND_LINE, None, world.record)
        assert await refused(world, redemption(code)) == "invalid_grant"
        assert await world.ended_as(grant_id) == "revoked"
        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await world.federation.authenticate(tokens.access_token.encode())

    in_issuing(tmp_path, story)


def test_of_two_redemptions_at_once_at_most_one_is_answered_and_the_session_ends(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        code, grant_id = await code_for(world)
        results = await asyncio.gather(
            *(world.authorization.redeem(redemption(code), COMMAND_LINE, None) for _ in range(2)),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["OAuthError", "str"]
        assert await world.ended_as(grant_id) == "revoked"

    in_issuing(tmp_path, story)


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": "v" * 42},
        {"code_verifier": challenge()},
        {"redirect_uri": "http://127.0.0.1:51235/callback"},
        {"redirect_uri": "http://[::1]:51234/callback"},
    ],
)
def test_a_code_with_anything_that_does_not_fit_it_ends_its_session(tmp_path: Path, changes: dict[str, str]) -> None:
    """RFC 7636: a code that was stolen on its way is worth nothing."""

    async def story(world: Issuing) -> None:
        code, grant_id = await code_for(world)
        assert await refused(world, redemption(code, **changes)) == "invalid_grant"
        assert await world.ended_as(grant_id) == "revoked"
        assert await refused(world, redemption(code)) == "invalid_grant"

    in_issuing(tmp_path, story)


async def refused(world: Issuing, parameters: Any, confirmation: Confirmation | None = None) -> str:
    with pytest.raises(OAuthError) as raised:
        await world.authorization.redeem(parameters, COMMAND_LINE, confirmation)
    return raised.value.error


@pytest.mark.parametrize("missing", ["code", "code_verifier", "redirect_uri"])
def test_a_redemption_that_lacks_something_leaves_the_code_good(tmp_path: Path, missing: str) -> None:
    async def story(world: Issuing) -> None:
        code, grant_id = await code_for(world)
        assert await refused(world, redemption(code, **{missing: ""})) == "invalid_request"
        assert await world.authorization.redeem(redemption(code), COMMAND_LINE, None) == grant_id

    in_issuing(tmp_path, story)


def test_a_code_is_good_for_a_minute(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        code, _ = await code_for(world)
        world.clock.now += CODE_LIFE_S
        assert await refused(world, redemption(code)) == "invalid_grant"

    in_issuing(tmp_path, story)


def test_a_code_bound_to_a_key_needs_its_proof(tmp_path: Path) -> None:
    """RFC 9449, section 10"""

    async def story(world: Issuing) -> None:
        code, grant_id = await code_for(world, dpop_jkt=JKT)
        key = Confirmation("jkt", JKT)
        assert await world.authorization.redeem(redemption(code), COMMAND_LINE, key) == grant_id
        code, _ = await code_for(world, dpop_jkt=JKT)
        assert await refused(world, redemption(code)) == "invalid_grant"

    in_issuing(tmp_path, story)


def test_a_denial_goes_to_the_client(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        request = world.authorization.request(query())
        url = world.authorization.deny(request, OAuthError("access_denied", "the person said no"))
        assert answered(url) == {
            "error": "access_denied",
            "error_description": "the person said no",
            "state": "xyz",
            "iss": PUBLIC_URL,
        }

    in_issuing(tmp_path, story)


def test_no_code_can_be_read_from_the_store(tmp_path: Path) -> None:
    async def story(world: Issuing) -> None:
        code, _ = await code_for(world)
        for path in tmp_path.iterdir():
            assert code.encode() not in path.read_bytes()

    in_issuing(tmp_path, story)
