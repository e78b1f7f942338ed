"""ID tokens of logins that the gateway began (OpenID Connect Core 1.0, section 3.1.3.7): which of them are believed."""

import base64
import hashlib
from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.directory import Directory, Person
from identity.principal import Principal
from identity.revocation import Revocation
from tests.identity.issuer import NOW, Issuer, World, b64, forge, in_world, private_key

CLIENT = "gateway"
NONCE = "n-1"
ACCESS_TOKEN = b"an-opaque-access-token"
HASHES: dict[str, Any] = {"256": hashlib.sha256, "384": hashlib.sha384}


def at_hash(algorithm: str, token: bytes = ACCESS_TOKEN) -> str:
    """Return the hash that an ID token signed with this algorithm has for its access token; Ed25519 hashes by 512."""
    digest = HASHES.get(algorithm[-3:], hashlib.sha512)(token).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def id_token(issuer: Issuer, header: dict[str, object] | None = None, **changes: Any) -> bytes:
    claims: dict[str, Any] = {"aud": CLIENT, "nonce": NONCE, "scope": None, "auth_time": NOW - 5}
    return issuer.token({"typ": "JWT"} | (header or {}), **(claims | changes))


def outcome(
    token: bytes,
    *issuers: Issuer,
    provider: str = "corp",
    nonce: str | None = NONCE,
    access_token: bytes | None = ACCESS_TOKEN,
    **options: Any,
) -> Principal | str:
    """Return whom the login stands for, or the code that it is refused with."""
    outcomes: list[Principal | str] = []

    async def story(world: World) -> None:
        try:
            outcomes.append(await world.federation.login(provider, token, nonce=nonce, access_token=access_token))
        except InvalidCredentialError as error:
            outcomes.append(error.code)

    each = issuers or (Issuer(),)
    settings = [issuer.settings(client_id=CLIENT, algorithms=[issuer.algorithm]) for issuer in each]
    in_world(story, *each, settings=settings, **options)
    return outcomes[0]


def test_a_login_stands_for_the_account_with_its_evidence() -> None:
    token = id_token(Issuer(), groups=["dev"], acr="urn:mfa", amr=["pwd", "otp"], sid="p-1", at_hash=at_hash("RS256"))
    principal = outcome(token)
    assert isinstance(principal, Principal)
    assert (principal.subject, principal.groups, principal.provider) == ("user:corp:alice", ("group:corp:dev",), "corp")
    assert (principal.authenticated_at, principal.acr, principal.amr) == (NOW - 5, "urn:mfa", ("pwd", "otp"))
    assert (principal.provider_session, principal.token_sha256) == ("p-1", hashlib.sha256(token).hexdigest())


@pytest.mark.parametrize(
    ("told", "began", "refused"),
    [
        (NONCE, NONCE, None),
        (NONCE, None, None),
        (None, None, None),
        (None, NONCE, "wrong_nonce"),
        ("", NONCE, "wrong_nonce"),
        ("n-2", NONCE, "wrong_nonce"),
        (NONCE + " ", NONCE, "wrong_nonce"),
        (NONCE.upper(), NONCE, "wrong_nonce"),
        ([NONCE], NONCE, "wrong_nonce"),
        (1, "1", "wrong_nonce"),
        (True, "True", "wrong_nonce"),
        ("\ud800", NONCE, "wrong_nonce"),
        ("n\u20111", NONCE, "wrong_nonce"),
    ],
)
def test_an_id_token_belongs_to_the_login_that_was_begun(told: object, began: str | None, refused: str | None) -> None:
    """SECURITY-CASES 25: a renewal alone asks for no nonce."""
    result = outcome(id_token(Issuer(), nonce=told), nonce=began)
    assert (result if isinstance(result, str) else None) == refused


@pytest.mark.parametrize(
    ("claims", "refused"),
    [
        ({}, None),
        ({"aud": [CLIENT]}, None),
        ({"azp": CLIENT}, None),
        ({"aud": [CLIENT, "grafana"], "azp": CLIENT}, None),
        ({"aud": [CLIENT, "grafana"]}, "wrong_authorized_party"),
        ({"aud": [CLIENT, "grafana"], "azp": "grafana"}, "wrong_authorized_party"),
        ({"azp": "grafana"}, "wrong_authorized_party"),
        ({"azp": ""}, "wrong_authorized_party"),
        ({"azp": [CLIENT]}, "wrong_authorized_party"),
        ({"aud": "grafana"}, "wrong_audience"),
        ({"aud": "portcullis"}, "wrong_audience"),
        ({"aud": CLIENT + "2"}, "wrong_audience"),
        ({"aud": CLIENT.upper()}, "wrong_audience"),
        ({"aud": None}, "wrong_audience"),
        ({"aud": {CLIENT: True}}, "wrong_audience"),
        ({"aud": []}, "wrong_audience"),
        ({"aud": [[CLIENT]]}, "wrong_audience"),
    ],
)
def test_an_id_token_was_made_for_the_gateways_own_client(claims: dict[str, Any], refused: str | None) -> None:
    """SECURITY-CASES 19: not for another client of the same provider, nor for the API's audience."""
    result = outcome(id_token(Issuer(), **claims))
    assert (result if isinstance(result, str) else None) == refused


@pytest.mark.parametrize("algorithm", ["RS256", "ES384", "PS512", "ES512", "EdDSA", "Ed25519"])
def test_an_access_token_beside_it_is_the_one_that_it_was_issued_with(algorithm: str) -> None:
    corp = Issuer(algorithm=algorithm)
    good = at_hash(algorithm)
    assert isinstance(outcome(id_token(corp, at_hash=good), corp), Principal)
    assert outcome(id_token(corp, at_hash=good), corp, access_token=b"another") == "wrong_access_token_hash"
    for bad in (good[:-1], good + "A", "", 7, [good], "\ud800", at_hash(algorithm, b"another")):
        assert outcome(id_token(corp, at_hash=bad), corp) == "wrong_access_token_hash"
    assert isinstance(outcome(id_token(corp), corp), Principal), "the code flow may leave it out"
    assert isinstance(outcome(id_token(corp, at_hash=good), corp, access_token=None), Principal)


def test_an_id_token_of_another_provider_is_no_login_at_this_one() -> None:
    """SECURITY-CASES 18, 25: mix-up; also where both serve the same key id."""
    corp, partner = Issuer("corp"), Issuer("partner")
    assert outcome(id_token(partner), corp, partner) == "unknown_issuer"
    assert isinstance(outcome(id_token(partner), corp, partner, provider="partner"), Principal)
    forged = forge(corp.header(typ="JWT"), corp.claims(aud=CLIENT, nonce=NONCE), "RS256", partner.key)
    assert outcome(forged, corp, partner) == "bad_signature"
    assert outcome(id_token(corp, iss="https://evil.example.com"), corp) == "unknown_issuer"


@pytest.mark.parametrize(
    ("header", "claims", "refused"),
    [
        ({"alg": "none"}, {}, "algorithm_not_allowed"),
        ({"alg": "HS256"}, {}, "algorithm_not_allowed"),
        ({"jwk": {}}, {}, "header_not_allowed"),
        ({"kid": "k2"}, {}, "unknown_key"),
        ({}, {"exp": NOW - 60}, "token_expired"),
        ({}, {"exp": None}, "missing_claim"),
        ({}, {"iat": NOW + 61}, "token_not_yet_valid"),
        ({}, {"sub": None}, "missing_claim"),
        ({}, {"sub": "al ice"}, "unusable_username"),
        ({}, {"groups": {"dev": True}}, "malformed_claim"),
        ({}, {"hasgroups": True}, "groups_not_listed"),
    ],
)
def test_an_id_token_is_verified_as_any_token_is(
    header: dict[str, object], claims: dict[str, Any], refused: str
) -> None:
    """SECURITY-CASES 16, 17."""
    assert outcome(id_token(Issuer(), header, **claims)) == refused


@pytest.mark.parametrize("text", [b"", b"opaque", b"a.b.c", b"{}", b"x" * 20_000, "\u00e9".encode()])
def test_what_is_no_jwt_is_no_login(text: bytes) -> None:
    assert outcome(text) in ("malformed_token", "token_too_large")


def test_a_login_of_somebody_deactivated_or_revoked_is_none() -> None:
    """Who was revoked may log in again: a second later, not in the same one."""
    corp = Issuer()
    gone = Directory({("corp", "alice"): Person("alice", deactivated=True)}, {})
    assert outcome(id_token(corp), corp, directory=gone) == "person_deactivated"

    async def story(world: World) -> None:
        world.federation.revoke([Revocation("account", "corp:alice", NOW)])

        async def log_in(issued_at: int) -> Principal:
            token = id_token(corp, iat=issued_at)
            return await world.federation.login("corp", token, nonce=NONCE, access_token=None)

        with pytest.raises(InvalidCredentialError, match="token_revoked"):
            await log_in(NOW)
        world.clock.now += 1
        assert (await log_in(NOW + 1)).subject == "user:corp:alice"

    in_world(story, corp, settings=[corp.settings(client_id=CLIENT)])


def test_an_id_token_of_a_login_stays_no_access_token() -> None:
    """SECURITY-CASES 19: it is not kept as one either."""
    corp = Issuer()
    token = id_token(corp)

    async def story(world: World) -> None:
        await world.federation.login("corp", token, nonce=NONCE, access_token=None)
        with pytest.raises(InvalidCredentialError, match="id_token_not_accepted"):
            await world.federation.authenticate(token)

    in_world(story, corp, settings=[corp.settings(client_id=CLIENT, audiences=[CLIENT])])


def test_a_login_at_a_provider_that_is_not_there() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        with pytest.raises(KeyError):
            await world.federation.login("partner", id_token(corp), nonce=NONCE, access_token=None)

    in_world(story, corp, settings=[corp.settings(client_id=CLIENT)])
    corp.reachable = False

    async def away(world: World) -> None:
        with pytest.raises(ProviderUnavailableError):
            await world.federation.login("corp", id_token(corp), nonce=NONCE, access_token=None)

    in_world(away, corp, settings=[corp.settings(client_id=CLIENT)])


def test_another_key_signs_no_login() -> None:
    corp = Issuer()
    header, _, rest = id_token(corp).partition(b".")
    body = rest.partition(b".")[0]
    evil = private_key("RS256", "evil")
    forged = forge(corp.header(typ="JWT"), corp.claims(aud=CLIENT, nonce=NONCE), "RS256", evil)
    assert outcome(forged, corp) == "bad_signature"
    assert outcome(header + b"." + body + b"." + b64(bytes(256)), corp) == "bad_signature"
