"""Whom a revocation reaches: a decision table, and what holds whatever the order revocations arrive in."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from identity.authenticator import InvalidCredentialError
from identity.base64url import decode_base64url
from identity.principal import Delegate, Principal
from identity.revocation import Revocation, RevocationKind, Revocations
from tests.identity.issuer import NOW, Issuer, World, b64, code_of, in_world

BEFORE, SAME_SECOND, AFTER = NOW - 1, NOW, NOW + 1
AGENT = Delegate("workload:ci:agent", "ci", "repo:x", ())
HELPER = Delegate("user:bob", "partner", "b-1", (), session="s-2", provider_session="p-2")
ALICE = Principal(
    subject="user:alice",
    provider="corp",
    issuer="https://corp.example.com",
    token_subject="a-1",
    username="alice",
    groups=(),
    expires_at=NOW + 600,
    issued_at=SAME_SECOND,
    authenticated_at=None,
    acr=None,
    amr=(),
    token_sha256="aa",
    token_twin_sha256="bb",
    session="s-1",
    provider_session="p-1",
    delegates=(AGENT, HELPER),
    made_from=("cc", "dd"),
)

UP_TO_THEN = (True, True, False)
WHENEVER = (True, True, True)
NEVER = (False, False, False)


@pytest.mark.parametrize(
    ("kind", "key", "refused"),
    [
        ("person", "user:alice", UP_TO_THEN),
        ("account", "corp:a-1", UP_TO_THEN),
        ("session", "s-1", WHENEVER),
        ("provider_session", "corp:p-1", WHENEVER),
        ("token", "aa", WHENEVER),
        ("token", "bb", WHENEVER),
        # Who acts for the person.
        ("person", "workload:ci:agent", UP_TO_THEN),
        ("account", "ci:repo:x", UP_TO_THEN),
        ("person", "user:bob", UP_TO_THEN),
        ("account", "partner:b-1", UP_TO_THEN),
        ("session", "s-2", WHENEVER),
        ("provider_session", "partner:p-2", WHENEVER),
        # What the token was made from.
        ("token", "cc", WHENEVER),
        ("token", "dd", WHENEVER),
        # Somebody or something else, however alike.
        ("person", "user:al", NEVER),
        ("person", "user:Alice", NEVER),
        ("person", "alice", NEVER),
        ("person", "user:corp:alice", NEVER),
        ("person", "corp:a-1", NEVER),
        ("account", "partner:a-1", NEVER),
        ("account", "corp:alice", NEVER),
        ("account", "corp:b-1", NEVER),
        ("account", "user:alice", NEVER),
        ("session", "p-1", NEVER),
        ("session", "aa", NEVER),
        ("provider_session", "p-1", NEVER),
        ("provider_session", "partner:p-1", NEVER),
        ("provider_session", "corp:s-1", NEVER),
        ("provider_session", "corp:p-2", NEVER),
        ("provider_session", "ci:None", NEVER),
        # Alice's and bob's tokens say which session they are of, the agent's does not.
        ("unnamed_session", "corp:a-1", NEVER),
        ("unnamed_session", "partner:b-1", NEVER),
        ("unnamed_session", "ci:repo:x", UP_TO_THEN),
        ("session", "None", NEVER),
        ("token", "AA", NEVER),
        ("token", "s-1", NEVER),
    ],
)
def test_who_is_refused_by_when_the_token_was_issued(
    kind: RevocationKind, key: str, refused: tuple[bool, bool, bool]
) -> None:
    """Of a person and an account what was issued up to that second ends; a session and a token end for good."""
    revocations = Revocations()
    revocations.apply([Revocation(kind, key, NOW)])
    issued = (BEFORE, SAME_SECOND, AFTER)
    assert tuple(revocations.reaches(replace(ALICE, issued_at=at)) for at in issued) == refused


def test_of_a_clock_that_is_ahead_the_providers_own_tokens_are_older_than_they_say() -> None:
    """Else what was issued before a revocation would survive it; the gateway's own tokens have its own clock."""
    revocations = Revocations()
    revocations.apply([Revocation("person", "user:alice", NOW)])
    own, providers = replace(ALICE, issued_at=NOW + 20), replace(ALICE, issued_at=NOW + 20, session=None)
    assert revocations.reaches(providers, ahead_s=20)
    assert not revocations.reaches(providers, ahead_s=19)
    assert not revocations.reaches(own, ahead_s=20)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("session", "None"),
        ("session", ""),
        ("provider_session", "corp:None"),
        ("provider_session", "corp:"),
        ("token", "None"),
        ("token", ""),
    ],
)
def test_what_a_token_does_not_have_is_under_no_name(kind: RevocationKind, key: str) -> None:
    """A provider may call a session `None`; that ends no token that has none."""
    revocations = Revocations()
    revocations.apply([Revocation(kind, key, NOW)])
    plain = replace(
        ALICE, session=None, provider_session=None, token_twin_sha256=None, delegates=(AGENT,), made_from=()
    )
    assert not revocations.reaches(plain)


def test_a_refusal_says_what_to_do_and_names_nobody() -> None:
    """SECURITY-CASES 24."""
    revocations = Revocations()
    revocations.apply([Revocation("person", "user:alice", NOW)])
    with pytest.raises(InvalidCredentialError) as refused:
        revocations.check(ALICE)
    assert refused.value.code == "token_revoked"
    assert "alice" not in refused.value.detail


def test_a_revocation_is_forgotten_when_it_is_over_and_not_a_second_earlier() -> None:
    revocations = Revocations()
    revocations.apply(
        [Revocation("person", "user:alice", NOW, until=NOW + 60), Revocation("session", "s-1", NOW, until=None)]
    )
    revocations.forget(NOW + 60)
    assert len(revocations) == 2
    revocations.forget(NOW + 61)
    assert len(revocations) == 1
    assert revocations.reaches(ALICE)
    assert not revocations.reaches(replace(ALICE, session=None))


times = st.integers(NOW - 5, NOW + 5)


@given(st.lists(times, min_size=1, max_size=6), times, st.randoms())
def test_of_revocations_in_any_order_the_latest_counts(revoked_at: list[int], issued_at: int, order: Any) -> None:
    """Replicas read them from the database in different pieces."""
    shuffled = list(revoked_at)
    order.shuffle(shuffled)
    revocations = Revocations()
    for at in shuffled:
        revocations.apply([Revocation("person", "user:alice", at)])
    assert revocations.reaches(replace(ALICE, issued_at=issued_at)) is (issued_at <= max(revoked_at))
    assert len(revocations) == 1


@given(times, times)
def test_a_revocation_of_a_person_reaches_each_delegate_as_it_reaches_the_person(issued_at: int, at: int) -> None:
    verdicts = set()
    for subject in (ALICE.subject, AGENT.subject, HELPER.subject):
        revocations = Revocations()
        revocations.apply([Revocation("person", subject, at)])
        verdicts.add(revocations.reaches(replace(ALICE, issued_at=issued_at)))
    assert len(verdicts) == 1


ORDERS = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def other_spelling(algorithm: str, token: bytes) -> bytes:
    """Return the token with the other signature that anybody can make of its own (ECDSA: s becomes n - s)."""
    signed, _, encoded = token.rpartition(b".")
    signature = decode_base64url(encoded)
    half = len(signature) // 2
    s = ORDERS[algorithm].group_order - int.from_bytes(signature[half:])
    return signed + b"." + b64(signature[:half] + s.to_bytes(half))


@pytest.mark.parametrize("algorithm", ORDERS)
@pytest.mark.parametrize("known_before", [True, False])
def test_a_revoked_token_is_revoked_in_both_of_its_spellings(algorithm: str, known_before: bool) -> None:
    """Whoever holds a token with an ECDSA signature can write it in another way, with another SHA-256."""
    corp = Issuer(algorithm=algorithm)
    token = corp.token()
    twin = other_spelling(algorithm, token)
    assert twin != token
    assert other_spelling(algorithm, twin) == token

    async def story(world: World) -> None:
        shown = await world.federation.authenticate(token)
        if known_before:
            assert (await world.federation.authenticate(twin)).subject == shown.subject
        world.federation.revoke([Revocation("token", shown.token_sha256, NOW)])
        assert [await code_of(world, each) for each in (token, twin)] == ["token_revoked"] * 2
        assert await code_of(world, corp.token(jti="another")) is None

    in_world(story, corp, settings=[corp.settings(algorithms=[algorithm])])


def _story(revocation: Revocation, **claims: object) -> tuple[str | None, str | None, str | None]:
    """Return the verdicts on a token: fresh, from the cache after the revocation, and of a new one a second later."""
    corp = Issuer()
    verdicts: list[str | None] = []

    async def story(world: World) -> None:
        token = corp.token(None, iat=NOW, **claims)
        verdicts.append(await code_of(world, token))
        world.federation.revoke([revocation])
        verdicts.append(await code_of(world, token))
        world.clock.now += 1
        verdicts.append(await code_of(world, corp.token(None, iat=NOW + 1, **claims)))

    in_world(story, corp)
    return verdicts[0], verdicts[1], verdicts[2]


@pytest.mark.parametrize(
    ("revocation", "claims", "again"),
    [
        (Revocation("person", "user:corp:alice", NOW), {}, None),
        (Revocation("account", "corp:alice", NOW), {}, None),
        (Revocation("provider_session", "corp:p-1", NOW), {"sid": "p-1"}, "token_revoked"),
    ],
)
def test_a_cached_token_is_looked_at_again_once_something_was_revoked(
    revocation: Revocation, claims: dict[str, object], again: str | None
) -> None:
    """SECURITY-CASES 28: from the next request on; who logs in afterwards is let in again."""
    assert _story(revocation, **claims) == (None, "token_revoked", again)


def test_what_is_revoked_is_refused_the_first_time_too_and_others_are_not() -> None:
    corp = Issuer()

    async def story(world: World) -> None:
        world.federation.revoke([Revocation("account", "corp:alice", NOW)])
        assert await code_of(world, corp.token()) == "token_revoked"
        assert await code_of(world, corp.token(sub="bob")) is None
        # Over: its tokens have all expired.
        world.federation.revoke([Revocation("account", "corp:alice", NOW, until=NOW)])
        world.clock.now += 1
        world.federation.revoke([])
        assert await code_of(world, corp.token()) is None

    in_world(story, corp)


def test_a_second_gateway_in_the_process_shares_no_revocations() -> None:
    corp = Issuer()

    async def run() -> None:
        async with World(corp) as one, World(corp) as other:
            one.federation.revoke([Revocation("person", "user:corp:alice", NOW)])
            token = corp.token()
            assert (await code_of(one, token), await code_of(other, token)) == ("token_revoked", None)

    asyncio.run(run())
