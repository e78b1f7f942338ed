"""The gateway's own tokens before its federation: what passes, what is refused and why, and who gets to see it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from identity.authenticator import InvalidCredentialError
from identity.claim_pattern import ClaimPattern
from identity.directory import Directory
from identity.federation import Federation
from identity.issuer.own_claims import claims_of
from identity.issuer.signing_keys import SigningKeys
from identity.principal import Confirmation, Delegate, Limits, Principal
from identity.revocation import Revocation
from identity.sealing import Sealer
from identity.state import SealedKey
from identity.workloads import ClaimCondition, Workload
from tests.identity.issuer import NOW, Clock, Issuer, World, code_of, forge, json_response, private_key
from tests.parts.issuing import PUBLIC_URL, Issuing, alice

OTHER_GATEWAY = "https://other.example.com"
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
OWN_KEY = private_key("ES256", "the gateway's")
AGENT = Delegate("workload:ci:agent", "ci", "repo:x", ())


class OneKey:
    """A `SigningKeyStore` in memory that holds one key, known to the test."""

    def __init__(self, sealer: Sealer, key_id: str, published_until: int) -> None:
        assert isinstance(OWN_KEY, ec.EllipticCurvePrivateKey)
        encoded = OWN_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._key = SealedKey(key_id, sealer.seal("signing_key", encoded), NOW, NOW, published_until)

    def signing_keys(self, now: int) -> Sequence[SealedKey]:
        return [self._key]

    def add_signing_key(self, key: SealedKey, *, newest_before: int) -> bool:
        return False


async def own_keys(clock: Clock, published_until: int = NOW + 86_400) -> SigningKeys:
    """Return the gateway's keys: `OWN_KEY` alone, with the id `own-1`."""
    sealer = Sealer(bytes(32))
    store = OneKey(sealer, "own-1", published_until)
    keys = SigningKeys(store, sealer, issuer=PUBLIC_URL, signing_key_s=7 * 86_400, clock=clock)
    await keys.load()
    return keys


def own_token(
    header: dict[str, object] | None = None,
    key: Any = OWN_KEY,
    algorithm: str = "ES256",
    principal: Principal | None = None,
    **changes: Any,
) -> bytes:
    """Return a token as the gateway makes them but for the changes; a claim changed to None is left out."""
    claims = claims_of(principal or alice(), issuer=PUBLIC_URL, client_id="c", token_id="t" * 16, issued_at=NOW)
    members = {"alg": "ES256", "typ": "at+jwt", "kid": "own-1"} | (header or {})
    return forge(
        {name: value for name, value in members.items() if value is not None},
        {name: value for name, value in (claims | changes).items() if value is not None},
        algorithm,
        key,
    )


def in_gateway(story: Callable[[World], Awaitable[None]], *issuers: Issuer, **options: Any) -> None:
    async def run() -> None:
        world = World(*(issuers or (Issuer("corp"),)), **options)
        world.federation.trust(await own_keys(world.clock))
        async with world:
            await story(world)

    asyncio.run(run())


def code(token: bytes, *issuers: Issuer, **options: Any) -> str | None:
    codes: list[str | None] = []

    async def story(world: World) -> None:
        codes.append(await code_of(world, token))

    in_gateway(story, *issuers, **options)
    return codes[0]


@pytest.mark.parametrize(
    ("header", "refused"),
    [
        ({}, None),
        ({"typ": "application/at+jwt"}, None),
        ({"typ": "AT+JWT"}, None),
        ({"typ": "JWT"}, "wrong_token_type"),
        ({"typ": None}, "wrong_token_type"),
        ({"typ": "logout+jwt"}, "wrong_token_type"),
        ({"typ": "dpop+jwt"}, "wrong_token_type"),
        ({"kid": "own-2"}, "unknown_key"),
        ({"kid": None}, "unknown_key"),
        ({"kid": ""}, "malformed_token"),
        ({"alg": "none"}, "algorithm_not_allowed"),
        ({"alg": "HS256"}, "algorithm_not_allowed"),
        ({"alg": "ES384"}, "algorithm_not_allowed"),
        ({"alg": "RS256"}, "algorithm_not_allowed"),
        ({"alg": "es256"}, "algorithm_not_allowed"),
        ({"jwk": {"kty": "EC"}}, "header_not_allowed"),
        ({"crit": ["exp"]}, "header_not_allowed"),
    ],
)
def test_the_header_of_an_own_token_is_exactly_what_is_made_here(
    header: dict[str, object], refused: str | None
) -> None:
    """SECURITY-CASES 16, 17, 19."""
    assert code(own_token(header)) == refused


def test_only_the_gateways_own_key_makes_its_tokens() -> None:
    """SECURITY-CASES 16, 18: not another key under the same id, no provider's, and not the public one as a secret."""
    corp = Issuer("corp", "ES256", kid="own-1")
    assert code(own_token(key=private_key("ES256", "evil")), corp) == "bad_signature"
    assert code(own_token(key=corp.key), corp) == "bad_signature"
    assert code(own_token({"kid": "k1"}, key=corp.key), Issuer("corp", "ES256", kid="k1")) == "unknown_key"
    point = OWN_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert code(own_token({"alg": "HS256"}, key=point), corp) == "algorithm_not_allowed"
    assert code(own_token(key=point), corp) == "bad_signature"


def test_the_gateways_own_key_vouches_for_no_provider() -> None:
    """SECURITY-CASES 18."""
    corp = Issuer("corp", "ES256", kid="own-1")
    token = forge(corp.header(), corp.claims(), "ES256", OWN_KEY)
    assert code(token, corp) == "bad_signature"


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"iss": OTHER_GATEWAY}, "unknown_issuer"),
        ({"iss": PUBLIC_URL + "/"}, "unknown_issuer"),
        ({"iss": PUBLIC_URL.upper()}, "unknown_issuer"),
        ({"iss": None}, "unknown_issuer"),
        ({"iss": [PUBLIC_URL]}, "unknown_issuer"),
        ({"aud": None}, "missing_claim"),
        ({"aud": OTHER_GATEWAY}, "wrong_audience"),
        ({"aud": PUBLIC_URL + "/"}, "wrong_audience"),
        ({"aud": PUBLIC_URL + ".evil.example.com"}, "wrong_audience"),
        ({"aud": "gateway"}, "wrong_audience"),
        ({"aud": [PUBLIC_URL + "/logs-prod", OTHER_GATEWAY + "/logs-prod"]}, "wrong_audience"),
        ({"aud": [PUBLIC_URL + "/../logs-prod"]}, "wrong_audience"),
        ({"aud": []}, "malformed_claim"),
        ({"aud": [PUBLIC_URL + "/logs-prod"]}, None),
        ({"exp": None}, "missing_claim"),
        ({"exp": NOW - 5}, "token_expired"),
        ({"exp": NOW - 4}, None),
        ({"exp": True}, "malformed_claim"),
        ({"iat": None}, "missing_claim"),
        ({"iat": NOW + 5}, None),
        ({"iat": NOW + 6}, "token_not_yet_valid"),
        ({"nbf": NOW + 6}, "token_not_yet_valid"),
        ({"sub": "alice"}, "malformed_claim"),
        ({"sub": "group:corp:admins"}, "malformed_claim"),
        ({"jti": None}, "missing_claim"),
        ({"idp": None}, "missing_claim"),
        ({"groups": None}, "missing_claim"),
        ({"groups": ["admins"]}, "malformed_claim"),
        ({"scope": "openid"}, "malformed_claim"),
        ({"cnf": {"jwk": {}}}, "sender_constrained"),
        # The provider that vouched is configured no more, or its name means another one now.
        ({"idp": "partner"}, "unknown_issuer"),
        ({"idp_iss": "https://old.example.com"}, "unknown_issuer"),
    ],
)
def test_the_claims_of_an_own_token_are_held_to_their_form(changes: dict[str, Any], refused: str | None) -> None:
    """SECURITY-CASES 18, 19."""
    assert code(own_token(None, **changes)) == refused


def test_what_a_removed_provider_vouched_for_ends_with_it_delegates_too() -> None:
    corp, ci = Issuer("corp"), Issuer("ci")
    entry = Workload("agent", "ci", (ClaimCondition("repository", (ClaimPattern("example/*"),)),))
    directory = Directory({}, {}, (entry,))
    delegated = own_token(principal=replace(alice(), delegates=(AGENT,)))
    both = [corp.settings(), ci.settings(tokens="workloads", groups_claim=None)]
    assert code(delegated, corp, ci, settings=both, directory=directory) is None
    assert code(delegated, corp, directory=directory) == "unknown_issuer"
    assert code(delegated, ci, settings=both[1:], directory=directory) == "unknown_issuer"
    assert code(own_token(idp="ci"), corp, ci, settings=both) == "unknown_issuer", "one's name, the other's issuer"


def test_an_own_token_brings_its_limits_its_key_and_its_delegates_with_it() -> None:
    principal = alice(
        limits=Limits(("logs-prod",), ("s3:Get*",)), confirmation=Confirmation("jkt", JKT), session="s" * 16
    )

    async def story(world: World) -> None:
        shown = await world.federation.authenticate(own_token(principal=principal))
        assert replace(shown, token_sha256=principal.token_sha256) == principal

    in_gateway(story)


def test_a_cached_own_token_ends_with_its_exp_and_with_its_session() -> None:
    """SECURITY-CASES 20."""
    token, other = (own_token(principal=alice(session=name * 16)) for name in "st")

    async def story(world: World) -> None:
        assert [await code_of(world, each) for each in (token, other)] == [None, None]
        world.federation.revoke([Revocation("session", "s" * 16, NOW)])
        assert [await code_of(world, each) for each in (token, other)] == ["token_revoked", None]
        for elapsed, refused in ((599, None), (604, None), (605, "token_expired")):
            world.clock.now = NOW + elapsed
            assert await code_of(world, other) == refused

    in_gateway(story)


def test_a_key_that_is_published_no_more_verifies_nothing() -> None:
    async def run() -> None:
        world = World(Issuer("corp"))
        world.federation.trust(await own_keys(world.clock, published_until=NOW + 400))
        async with world:
            assert await code_of(world, own_token()) is None
            world.clock.now = NOW + 400
            assert await code_of(world, own_token(jti="u" * 16)) == "unknown_key"

    asyncio.run(run())


def test_a_gateway_without_an_issuer_knows_no_own_tokens() -> None:
    async def run() -> None:
        async with World(Issuer("corp")) as world:
            assert await code_of(world, own_token()) == "unknown_issuer"

    asyncio.run(run())


def test_a_provider_can_not_call_itself_the_gateway() -> None:
    """The gateway's own keys are asked first, and a provider's token of that issuer is none of them."""
    impostor = Issuer("corp", "ES256")
    impostor.url = PUBLIC_URL
    impostor.metadata = {"issuer": PUBLIC_URL, "jwks_uri": f"{PUBLIC_URL}/jwks"}
    assert code(impostor.token(), impostor) == "unknown_key"


@pytest.mark.parametrize("prefix", [None, "prt", "prt_"])
def test_an_own_refresh_token_is_no_bearer_token_and_is_shown_to_no_provider(
    tmp_path: Path, prefix: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SECURITY-CASES 19, 24: sent to the wrong place by its owner, it goes no further."""
    monkeypatch.setenv("SECRET", "s3cret")
    shown: list[bytes] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/.well-known"):
            endpoints = {"jwks_uri": f"{corp.url}/jwks", "introspection_endpoint": f"{corp.url}/introspect"}
            return json_response({"issuer": corp.url, **endpoints})
        if request.url.path == "/jwks":
            return json_response({"keys": corp.published})
        shown.append(request.content)
        return json_response({"active": False})

    corp = Issuer("corp")
    introspection = {"client_id": "gateway", "client_secret_env": "SECRET", "token_prefix": prefix}
    settings = [corp.settings(introspection=introspection)]

    async def run() -> None:
        async with Issuing(tmp_path) as issuing:
            _, refresh_token = await issuing.tokens_of_a_login()
            federation = Federation(settings, transport=httpx.MockTransport(answer), clock=issuing.clock)
            federation.trust(issuing.keys)
            await federation.start()
            await federation.first_attempts()
            with pytest.raises(InvalidCredentialError, match="wrong_token_type"):
                await federation.authenticate(refresh_token.encode())
            assert shown == []
            with pytest.raises(InvalidCredentialError, match=r"token_inactive|malformed_token"):
                await federation.authenticate(b"prt-of-somebody-else")
            assert len(shown) == (prefix != "prt_")
            await federation.close()

    asyncio.run(run())


def test_tokens_of_a_real_store_are_good_here_and_at_no_other_gateway(tmp_path: Path) -> None:
    """SECURITY-CASES 18: the same provider, another gateway's issuer and keys."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    async def run() -> None:
        async with (
            Issuing(tmp_path / "one") as one,
            Issuing(tmp_path / "two", public_url=OTHER_GATEWAY, secret=b"\1" * 32) as two,
            Issuing(tmp_path / "one", database=one.database) as replica,
        ):
            token, _ = await one.tokens_of_a_login()
            verdicts = [await code_of(each.world, token.encode()) for each in (one, two, replica)]
            assert verdicts == [None, "unknown_issuer", None]

    asyncio.run(run())
