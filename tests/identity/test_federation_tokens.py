"""Tokens that were forged, bent or sent to the wrong place, against a federation of two providers."""

import asyncio
import logging
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from identity.authenticator import InvalidCredentialError
from identity.directory import Directory, Person
from identity.principal import Principal
from identity.rejections import REJECTIONS
from tests.identity.issuer import NOW, Issuer, World, b64, forge, in_world, jwk, private_key, sign


def _code_of(token: bytes, *issuers: Issuer, **settings: Any) -> str | None:
    """Return the code a token is refused with, None where it is accepted."""
    return asyncio.run(_verdict(token, issuers or (Issuer(),), settings))


async def _verdict(token: bytes, issuers: tuple[Issuer, ...], settings: dict[str, Any]) -> str | None:
    async with World(*issuers, settings=[issuer.settings(**settings) for issuer in issuers]) as world:
        try:
            await world.federation.authenticate(token)
        except InvalidCredentialError as error:
            return error.code
    return None


def test_a_good_token_becomes_a_principal_with_its_evidence() -> None:
    corp = Issuer()
    token = corp.token(groups=["dev", "on call"], auth_time=NOW - 100, acr="urn:mfa", amr=["pwd", "otp"])

    async def story(world: World) -> None:
        principal = await world.federation.authenticate(token)
        assert principal == Principal(
            subject="user:corp:alice",
            provider="corp",
            issuer="https://corp.example.com",
            token_subject="alice",
            username="alice",
            groups=("group:corp:dev",),
            expires_at=NOW + 600,
            issued_at=NOW - 10,
            authenticated_at=NOW - 100,
            acr="urn:mfa",
            amr=("pwd", "otp"),
            token_sha256=principal.token_sha256,
        )
        assert len(principal.token_sha256) == 64
        assert await world.federation.authenticate(token) is principal

    in_world(story, corp)


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])
def test_every_configured_algorithm_is_accepted_and_no_other(algorithm: str) -> None:
    corp = Issuer(algorithm=algorithm)
    assert _code_of(corp.token(), corp, algorithms=[algorithm]) is None
    others = [other for other in ("RS384", "ES256") if other != algorithm]
    assert _code_of(corp.token(), corp, algorithms=others) == "algorithm_not_allowed"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS256", "hs256", "rs256", "RS256 ", ""])
def test_a_token_without_a_real_signature_is_refused(algorithm: str) -> None:
    """SECURITY-CASES 16: `alg: none` in any case."""
    corp = Issuer()
    unsigned = b".".join([*corp.token({"alg": algorithm}).split(b".")[:2], b""])
    assert _code_of(unsigned, corp) == "malformed_token"
    assert _code_of(corp.token({"alg": algorithm}), corp) == "algorithm_not_allowed"


def test_the_public_key_is_no_hmac_secret() -> None:
    """SECURITY-CASES 16: HS256 signed with the provider's public key in each of its spellings."""
    corp = Issuer()
    public = corp.key.public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        str(corp.published[0]["n"]).encode(),
    ]
    for secret in secrets:
        assert (
            _code_of(forge(corp.header(alg="HS256"), corp.claims(), "HS256", secret), corp) == "algorithm_not_allowed"
        )
        assert _code_of(forge(corp.header(), corp.claims(), "HS256", secret), corp) == "bad_signature"


def test_an_algorithm_of_the_list_with_a_key_of_another_type_is_refused() -> None:
    corp = Issuer(algorithm="ES256")
    confused = forge(corp.header(alg="RS256"), corp.claims(), "ES256", corp.key)
    assert _code_of(confused, corp) == "unknown_key"


def test_a_key_in_the_token_is_never_used() -> None:
    """SECURITY-CASES 17: embedded `jwk`, `jku`, `x5u`, `x5c`, and an unknown `crit`."""
    corp, evil = Issuer(), private_key("RS256", "evil")
    for member, value in (
        ("jwk", jwk(evil)),
        ("jku", "https://corp.example.com/jwks"),
        ("x5u", "https://evil.example.com/cert"),
        ("x5c", ["MIIB"]),
        ("crit", ["exp"]),
        ("crit", []),
    ):
        for key in (evil, corp.key):
            token = forge(corp.header(**{member: value}), corp.claims(), "RS256", key)
            assert _code_of(token, corp) == "header_not_allowed"


def test_a_key_of_one_issuer_never_vouches_for_another() -> None:
    """SECURITY-CASES 18: signed by A with `iss` B, also where both serve the same `kid`."""
    corp, partner = Issuer("corp"), Issuer("partner")
    assert corp.kid == partner.kid
    forged = forge(partner.header(), partner.claims(), "RS256", corp.key)
    assert _code_of(forged, corp, partner) == "bad_signature"
    assert _code_of(partner.token(), corp, partner) is None
    partner.rotate("partner", "another-id")
    assert _code_of(forge(corp.header(), partner.claims(), "RS256", corp.key), corp, partner) == "unknown_key"


@pytest.mark.parametrize(
    "issuer",
    [None, "", 7, ["https://corp.example.com"], "https://corp.example.com/", "https://CORP.example.com", "corp"],
)
def test_an_issuer_is_matched_character_for_character(issuer: object) -> None:
    assert _code_of(Issuer().token(iss=issuer)) == "unknown_issuer"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": None}, "missing_claim"),
        ({"aud": "grafana"}, "wrong_audience"),
        ({"aud": "portcullis.evil"}, "wrong_audience"),
        ({"aud": ["grafana", "portcullis"]}, None),
        ({"sub": None}, "missing_claim"),
        ({"sub": ""}, "malformed_claim"),
        ({"sub": "alice smith"}, "unusable_username"),
        ({"exp": NOW - 60}, "token_expired"),
        ({"nbf": NOW + 120}, "token_not_yet_valid"),
        ({"exp": None}, "missing_claim"),
        ({"groups": 7}, "malformed_claim"),
        ({"auth_time": "now"}, "malformed_claim"),
    ],
)
def test_claims_are_held_to_their_form(changes: dict[str, Any], code: str | None) -> None:
    """SECURITY-CASES 19: missing, wrong or substring `aud` fails."""
    assert _code_of(Issuer().token(**changes)) == code


def test_an_id_token_passes_only_where_the_provider_is_configured_so() -> None:
    """SECURITY-CASES 19: an ID token is not an access token."""
    corp = Issuer()
    id_token = corp.token({"typ": None}, scope=None, nonce="n")
    assert _code_of(id_token, corp) == "id_token_not_accepted"
    assert _code_of(id_token, corp, client_id="portcullis", accept_id_tokens=True) is None
    assert _code_of(corp.token({"typ": "logout+jwt"}), corp) == "wrong_token_type"


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_byte_of_a_token_can_be_changed(part: int) -> None:
    corp = Issuer(algorithm="ES256")
    good = corp.token().split(b".")

    async def story(world: World) -> None:
        await world.federation.authenticate(b".".join(good))
        for place in range(0, len(good[part]), 7):
            changed = bytearray(good[part])
            changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
            token = b".".join([*good[:part], bytes(changed), *good[part + 1 :]])
            with pytest.raises(InvalidCredentialError):
                await world.federation.authenticate(token)

    in_world(story, corp)


def test_a_cached_token_ends_with_its_exp_and_its_leeway() -> None:
    """SECURITY-CASES 20: a cached verification ends at `exp` at the latest."""
    corp = Issuer()
    token = corp.token(exp=NOW + 100)

    async def story(world: World) -> None:
        for elapsed in (0, 99, 100, 159):
            world.clock.now = NOW + elapsed
            await world.federation.authenticate(token)
        world.clock.now = NOW + 160
        with pytest.raises(InvalidCredentialError, match="token_expired"):
            await world.federation.authenticate(token)

    in_world(story, corp)


def test_a_cached_token_is_verified_anew_after_five_minutes() -> None:
    corp = Issuer()
    token = corp.token(exp=NOW + 3600)

    async def story(world: World) -> None:
        first = await world.federation.authenticate(token)
        world.clock.now = NOW + 299
        assert await world.federation.authenticate(token) is first
        world.clock.now = NOW + 300
        assert await world.federation.authenticate(token) is not first

    in_world(story, corp)


def test_a_cached_token_serves_no_other_issuer_audience_or_gateway() -> None:
    """SECURITY-CASES 20: a cached verification is never shared."""
    corp, partner = Issuer("corp"), Issuer("partner")
    token = corp.token()

    async def story(world: World) -> None:
        await world.federation.authenticate(token)
        head, body, signature = token.split(b".")
        for other in (
            corp.token(aud="grafana"),
            b".".join([head, b64(b'{"iss":"https://partner.example.com"}'), signature]),
            b".".join([head, body, b64(sign("RS256", partner.key, head + b"." + body))]),
        ):
            with pytest.raises(InvalidCredentialError):
                await world.federation.authenticate(other)
        stricter = World(corp, settings=[corp.settings(audiences=["grafana"])])
        async with stricter:
            with pytest.raises(InvalidCredentialError, match="wrong_audience"):
                await stricter.federation.authenticate(token)

    in_world(story, corp, partner)


PEOPLE = Directory(
    by_subject={("corp", "alice"): Person("alice"), ("partner", "a-77"): Person("alice")},
    by_email={("partner", "bob@example.com"): Person("bob")},
)


def test_one_person_is_the_same_whichever_provider_vouched() -> None:
    corp, partner = Issuer("corp"), Issuer("partner", algorithm="ES256")

    async def story(world: World) -> None:
        first = await world.federation.authenticate(corp.token(groups=["dev"]))
        second = await world.federation.authenticate(partner.token(sub="a-77", groups=["dev"]))
        assert first.subject == second.subject == "user:alice"
        assert (first.groups, second.groups) == (("group:corp:dev",), ("group:partner:dev",))
        stranger = await world.federation.authenticate(partner.token(sub="alice"))
        assert stranger.subject == "user:partner:alice"

    in_world(story, corp, partner, directory=PEOPLE)


@pytest.mark.parametrize(
    ("email", "verified", "subject"),
    [
        ("Bob@Example.com", True, "user:bob"),
        ("bob@example.com", False, "user:partner:b-1"),
        ("bob@example.com", "true", "user:partner:b-1"),
        ("bob@evil.com@example.com", True, "user:partner:b-1"),
        ("b\u043eb@example.com", True, "user:partner:b-1"),
        ("bob@example.com\u200b", True, "user:partner:b-1"),
        ("bob@sub.example.com", True, "user:partner:b-1"),
    ],
)
def test_a_person_is_found_by_a_verified_plain_address_only(email: str, verified: object, subject: str) -> None:
    """SECURITY-CASES 21."""
    partner = Issuer("partner")

    async def story(world: World) -> None:
        token = partner.token(sub="b-1", email=email, email_verified=verified)
        assert (await world.federation.authenticate(token)).subject == subject

    settings = [partner.settings(email_domains=["example.com"])]
    in_world(story, partner, settings=settings, directory=PEOPLE)


def test_a_changed_directory_holds_from_the_next_request_on() -> None:
    corp = Issuer()
    token = corp.token()

    async def story(world: World) -> None:
        assert (await world.federation.authenticate(token)).subject == "user:corp:alice"
        world.federation.use_directory(PEOPLE)
        assert (await world.federation.authenticate(token)).subject == "user:alice"
        world.federation.use_directory(Directory({("corp", "alice"): Person("alice", deactivated=True)}, {}))
        with pytest.raises(InvalidCredentialError, match="person_deactivated"):
            await world.federation.authenticate(token)

    in_world(story, corp)


def test_no_refusal_and_no_log_line_shows_any_part_of_a_token(caplog: pytest.LogCaptureFixture) -> None:
    """SECURITY-CASES 24."""
    caplog.set_level(logging.DEBUG)
    corp, marker = Issuer(), "SECRETMARKER"
    tokens = [
        corp.token({"kid": marker}),
        corp.token({"alg": marker}),
        corp.token({"typ": marker}),
        corp.token({"jku": marker}),
        *(corp.token(None, **{claim: marker}) for claim in ("iss", "aud", "exp", "iat", "nbf", "auth_time")),
        corp.token(sub=f"{marker} *"),
        corp.token(groups={marker: marker}),
        forge(f'{{"alg":"RS256","{marker}'.encode(), {}, "RS256", corp.key),
        forge(corp.header(), corp.claims(sub=marker), "RS256", private_key("RS256", "evil")),
        marker.encode(),
        (marker + ".").encode() * 3,
    ]

    async def story(world: World) -> None:
        for token in tokens:
            with pytest.raises(InvalidCredentialError) as caught:
                await world.federation.authenticate(token)
            error = caught.value
            chain = [error, error.__cause__, error.__context__ if not error.__suppress_context__ else None]
            shown = " ".join(f"{link!r} {link}" for link in chain if link is not None) + error.detail
            assert error.code in REJECTIONS
            assert marker not in shown
            assert not any(segment.decode()[:24] in shown for segment in token.split(b".") if len(segment) > 24)

    in_world(story, corp)
    assert marker not in caplog.text


def test_a_large_token_costs_less_than_a_signature_check() -> None:
    """SECURITY-CASES 23: a 1 MB token is refused cheaply, and leaves nothing behind."""
    assert _code_of(b"a" * 1_000_000) == "token_too_large"
    corp = Issuer()
    assert _code_of(corp.token({"zip": "DEF"}), corp) == "header_not_allowed"
    assert _code_of(corp.token(padding="x" * 16_384), corp) == "token_too_large"


def test_two_providers_of_one_issuer_are_refused() -> None:
    corp = Issuer()
    with pytest.raises(ValueError, match="issuer"):
        World(corp, settings=[corp.settings(), corp.settings(name="again")])
