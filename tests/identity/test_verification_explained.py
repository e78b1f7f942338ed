"""`Federation.explain` tells each step that a token passed and the one that refused it, and no part of the token."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from identity.authenticator import InvalidCredentialError, ProviderUnavailableError
from identity.federation import Explanation
from identity.principal import Principal
from identity.rejections import REJECTIONS
from identity.revocation import Revocation
from tests.identity.issuer import NOW, Issuer, World, forge, in_world, private_key
from tests.identity.test_verification_own import own_keys, own_token
from tests.identity.token_corpus import corpus

MARKER = "SECRETMARKER"
JWT_STEPS = ("format", "signature", "audience", "kind", "times", "groups", "account", "standing")
OWN_STEPS = ("format", "signature", "times", "standing")


def explained(token: bytes, *issuers: Issuer, prepare: Callable[[World], None] = lambda _: None) -> Explanation:
    explanations: list[Explanation] = []

    async def story(world: World) -> None:
        prepare(world)
        explanations.append(await world.federation.explain(token))

    in_world(story, *(issuers or (Issuer(),)))
    return explanations[0]


def test_a_good_token_is_told_step_by_step_to_its_caller() -> None:
    corp = Issuer()
    explanation = explained(corp.token(groups=["dev", "on call"]), corp)
    assert isinstance(explanation.principal, Principal)
    assert explanation.code is None
    assert tuple(step.name for step in explanation.steps) == JWT_STEPS
    assert all(step.ok for step in explanation.steps)
    told = {step.name: step.text for step in explanation.steps}
    assert told == {
        "format": "a JWT, algorithm RS256, key id k1, type at+jwt; the provider corp must vouch for it",
        "signature": "good, by a key that https://corp.example.com publishes",
        "audience": "for portcullis",
        "kind": "a kind of token that may be sent to an API",
        "times": "good until 2027-01-15T08:10:00Z, 600 s from now",
        "groups": "1 group: group:corp:dev; 1 more that no rule can name, or twice the same",
        "account": "user:corp:alice (nobody is linked to the account in identities.yaml)",
        "standing": "in force: user:corp:alice, 1 group",
    }


@pytest.mark.parametrize(
    ("changes", "refused_at", "code"),
    [
        ({"iss": "https://evil.example.com"}, "format", "unknown_issuer"),
        ({"aud": "grafana"}, "audience", "wrong_audience"),
        ({"nonce": "n"}, "kind", "id_token_not_accepted"),
        ({"exp": NOW - 60}, "times", "token_expired"),
        ({"groups": 7}, "groups", "malformed_claim"),
        ({"sub": "al ice"}, "account", "unusable_username"),
    ],
)
def test_a_refused_token_is_told_up_to_the_step_that_refused_it(
    changes: dict[str, Any], refused_at: str, code: str
) -> None:
    explanation = explained(Issuer().token({"typ": "JWT"}, **changes))
    assert (explanation.code, explanation.principal) == (code, None)
    place = JWT_STEPS.index(refused_at)
    assert tuple(step.name for step in explanation.steps) == JWT_STEPS[: place + 1]
    assert [step.ok for step in explanation.steps] == [True] * place + [False]


def test_what_refuses_it_later_is_told_as_well() -> None:
    corp = Issuer()

    def revoke(world: World) -> None:
        world.federation.revoke([Revocation("account", "corp:alice", NOW)])

    explanation = explained(corp.token(), corp, prepare=revoke)
    assert (explanation.code, explanation.steps[-1].name, explanation.steps[-1].ok) == (
        "token_revoked",
        "standing",
        False,
    )
    corp.reachable = False
    explanation = explained(corp.token(), corp)
    assert (explanation.code, explanation.steps[-1].name) == ("provider_unavailable", "signature")
    assert "corp" in explanation.steps[-1].text


def test_an_own_token_is_told_as_one() -> None:
    async def run() -> tuple[Explanation, Explanation]:
        world = World(Issuer("corp"))
        world.federation.trust(await own_keys(world.clock))
        async with world:
            return await world.federation.explain(own_token()), await world.federation.explain(own_token({"typ": "x"}))

    good, bad = asyncio.run(run())
    assert tuple(step.name for step in good.steps) == OWN_STEPS
    assert good.steps[0].text.endswith("issued by this gateway")
    assert good.principal is not None
    assert (bad.code, [step.ok for step in bad.steps]) == ("wrong_token_type", [True, False])


def _told(explanation: Explanation) -> str:
    return " ".join(f"{step.name} {step.text}" for step in explanation.steps)


def _is_shown(token: bytes, text: str, length: int = 12) -> bool:
    """Tell whether any run of so many characters of the token stands in the text."""
    shown = token.decode("latin-1")
    pieces = (shown[start : start + length] for start in range(0, len(shown) - length + 1, 4))
    return any(piece in text for piece in pieces)


def test_no_explanation_and_no_refusal_shows_any_part_of_a_token() -> None:
    """SECURITY-CASES 24: of a thousand tokens of every kind, bent or not; the same codes as `authenticate` gives."""
    corp = Issuer("corp", "ES256")
    cases = list(itertools.islice(corpus(corp, {"ES256": corp}, 1), 0, None, 2))

    async def story(world: World) -> None:
        for case in cases:
            explanation = await world.federation.explain(case.token)
            assert explanation.steps, case.name
            assert not _is_shown(case.token, _told(explanation)), case.name
            try:
                await world.federation.authenticate(case.token)
            except InvalidCredentialError as error:
                assert error.code == explanation.code, case.name
                assert error.code in REJECTIONS
                assert not _is_shown(case.token, f"{error} {error!r} {error.detail}"), case.name
            except ProviderUnavailableError:
                assert explanation.code == "provider_unavailable", case.name
            else:
                assert explanation.code is None, case.name

    in_world(story, corp)


@pytest.mark.parametrize(
    "claims",
    [
        {"email": f"{MARKER}@example.com"},
        {"note": MARKER},
        {"jti": MARKER},
        {"groups": [f"{MARKER} {MARKER}"]},
        {"cnf": {MARKER: MARKER}},
        {"aud": MARKER},
        {"iss": f"https://{MARKER}.example.com"},
        {"exp": MARKER},
        {"sub": f"{MARKER} *"},
    ],
)
def test_claims_that_are_not_who_the_caller_is_are_not_told(claims: dict[str, Any]) -> None:
    """SECURITY-CASES 24: a step tells the policy subject, the usable groups and the believed address, nothing else."""
    assert MARKER not in _told(explained(Issuer().token(None, **claims)))


def test_a_header_can_forge_no_line_and_fill_no_page() -> None:
    """SECURITY-CASES 14."""
    corp = Issuer()
    evil = private_key("RS256", "evil")
    for odd in ("k1\nstanding: in force", "\x1b[2J", "k" * 200, "\u202egnol", "caf\u00e9"):
        for member in ("kid", "typ", "alg"):
            text = _told(explained(forge(corp.header(**{member: odd}), corp.claims(), "RS256", evil), corp))
            assert "(odd)" in text
            assert odd not in text
            assert text.isascii() and text.isprintable()
