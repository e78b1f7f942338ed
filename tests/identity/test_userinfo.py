"""Group overage: all of the groups from userinfo, for the same person, or a refusal that says why."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.group_claim import is_overage
from identity.provider_client import provider_client
from identity.provider_metadata import ProviderMetadata
from identity.provider_settings import ProviderSettings
from identity.userinfo import AT_ONCE, MAX_WAITING, GroupOverage
from tests.identity.issuer import until
from tests.identity.unverified import unverified_claims
from tests.parts.oidc_provider import OidcProvider

ISSUER = "https://corp.example.com"
METADATA = ProviderMetadata(ISSUER, userinfo_endpoint=f"{ISSUER}/userinfo")
CLAIMS = {"sub": "alice", "_claim_names": {"groups": "src1"}}


def _settings(**changes: Any) -> ProviderSettings:
    fields = {"name": "corp", "issuer": ISSUER, "audiences": ["portcullis"], "groups_claim": "groups"}
    return ProviderSettings.model_validate(fields | changes)


def _groups(
    response: httpx.Response,
    *,
    access_token: bytes | None = b"token-of-alice",
    metadata: ProviderMetadata = METADATA,
    **changes: Any,
) -> object:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer token-of-alice"
        return response

    async def story() -> object:
        settings = _settings(**changes)
        async with provider_client(settings, httpx.MockTransport(answer)) as client:
            return await GroupOverage(settings, client, lambda: metadata).groups(CLAIMS, access_token)

    return asyncio.run(story())


def _answer(document: object = None, status: int = 200, media_type: str = "application/json") -> httpx.Response:
    body = httpx.ByteStream(json.dumps(document).encode())
    return httpx.Response(status, headers={"content-type": media_type}, stream=body)


def test_the_groups_are_those_of_userinfo_under_the_same_claim() -> None:
    assert _groups(_answer({"sub": "alice", "groups": ["a", "b"]})) == ["a", "b"]
    nested = {"sub": "alice", "realm_access": {"roles": ["a"]}}
    assert _groups(_answer(nested), groups_claim="realm_access.roles") == ["a"]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (_answer({"sub": "bob", "groups": ["admin"]}), "its userinfo is about somebody else"),
        (_answer({"sub": "alice"}), "its userinfo has no 'groups'"),
        (_answer({"error": "invalid_token"}, 401), "its userinfo does not accept this token"),
        (_answer({}, 403), "its userinfo does not accept this token"),
        (_answer("eyJ.eyJ.sig", media_type="application/jwt"), "is a signed JWT: have the provider answer plain JSON"),
    ],
)
def test_without_all_of_its_groups_a_token_is_refused(response: httpx.Response, reason: str) -> None:
    """A rule that denies a group would not match: dropping the groups could let somebody in."""
    with pytest.raises(InvalidCredentialError, match=reason) as caught:
        _groups(response)
    assert caught.value.code == "groups_not_listed"
    assert "token-of-alice" not in str(caught.value)


def test_an_answer_without_a_subject_is_about_nobody() -> None:
    with pytest.raises(InvalidCredentialError, match="missing_claim"):
        _groups(_answer({"groups": ["admin"]}))


@pytest.mark.parametrize("response", [_answer({}, 500), _answer({}, 429), _answer([1]), _answer({}, 302)])
def test_a_provider_that_does_not_answer_leaves_the_token_neither_good_nor_bad(response: httpx.Response) -> None:
    with pytest.raises(ProviderUnavailableError):
        _groups(response)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"groups_overage": "refuse"}, "groups_overage: refuse"),
        ({"access_token": None}, "it can't be asked"),
        ({"access_token": b"a\r\nX-Other: b"}, "it can't be asked"),
        ({"metadata": ProviderMetadata(ISSUER)}, "it can't be asked"),
    ],
)
def test_a_provider_that_is_not_asked_gives_no_groups(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidCredentialError, match=reason):
        _groups(_answer({"sub": "alice", "groups": ["a"]}), **changes)


def test_a_flood_asks_only_so_often_at_once() -> None:
    asked: list[httpx.Request] = []

    async def story() -> None:
        gate = asyncio.Event()

        async def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            await gate.wait()
            return _answer({"sub": "alice", "groups": ["a"]})

        settings = _settings()
        async with provider_client(settings, httpx.MockTransport(answer)) as client:
            overage = GroupOverage(settings, client, lambda: METADATA)
            flood = [asyncio.create_task(overage.groups(CLAIMS, b"t")) for _ in range(100)]
            await until(lambda: len(asked) == AT_ONCE)
            gate.set()
            results = await asyncio.gather(*flood, return_exceptions=True)
        refused = [result for result in results if isinstance(result, ProviderUnavailableError)]
        assert len(asked) == AT_ONCE + MAX_WAITING == 100 - len(refused)

    asyncio.run(story())


def test_a_real_provider_answers_for_a_login_whose_id_token_has_no_room() -> None:
    """A certified provider: a distributed claim in the ID token, the groups at userinfo, by the token beside it."""
    distributed = {
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://x.example.com"}},
    }

    async def story(provider: OidcProvider) -> None:
        settings = _settings(issuer=provider.issuer)
        metadata = ProviderMetadata(provider.issuer, userinfo_endpoint=f"{provider.issuer}/me")
        tokens = provider.tokens("alice")
        claims = unverified_claims(tokens.id_token)
        assert is_overage(claims, "groups")
        provider.set_account("alice", {"groups": [f"group-{number}" for number in range(300)]})
        async with provider_client(settings) as client:
            overage = GroupOverage(settings, client, lambda: metadata)
            groups = await overage.groups(claims, tokens.access_token.encode())
            assert isinstance(groups, list)
            assert len(groups) == 300
            bobs = provider.tokens("bob").access_token.encode()
            with pytest.raises(InvalidCredentialError, match="about somebody else"):
                await overage.groups(claims, bobs)

    with OidcProvider(resource_tokens=False, accounts={"alice": distributed, "bob": {"groups": ["x"]}}) as provider:
        asyncio.run(story(provider))
