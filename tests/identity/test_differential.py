"""A second opinion: on signatures and times joserfc must come to the verdict that the federation comes to."""

import asyncio
import random
from collections.abc import Iterator

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from identity.authenticator import InvalidCredentialError
from tests.identity.issuer import NOW, Issuer, World, forge, private_key

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "Ed25519")


def _corpus(corp: Issuer, dice: random.Random) -> Iterator[bytes]:
    """Yield good tokens, tokens with other claims, keys and headers, and good ones with single bytes changed."""
    yield corp.token()
    for times in (
        {"exp": NOW + 1},
        {"exp": NOW - 59},
        {"exp": NOW - 61},
        {"exp": NOW - 3600},
        {"nbf": NOW + 3600},
        {"nbf": NOW - 5},
    ):
        yield corp.token(**times)
    for audience in ("grafana", ["portcullis", "grafana"], ["grafana"], "portcullisx"):
        yield corp.token(aud=audience)
    for issuer in ("https://evil.example.com", "https://corp.example.com/"):
        yield corp.token(iss=issuer)
    yield forge(corp.header(), corp.claims(), corp.algorithm, private_key(corp.algorithm, "evil"))
    yield forge(corp.header(kid="unknown"), corp.claims(), corp.algorithm, corp.key)
    for algorithm in ("none", "HS256", "RS512", "ES512"):
        yield corp.token({"alg": algorithm})
    yield corp.token({"crit": ["x"]})
    good = corp.token()
    for _ in range(60):
        place = dice.randrange(len(good))
        yield good[:place] + bytes([dice.choice(b"ABCxyz019-_.")]) + good[place + 1 :]
        yield good[:place] + good[place + 1 :]
    yield good[:-2]
    yield good + b"AAAA"


def _joserfc_accepts(token: bytes, corp: Issuer, keys: KeySet) -> bool:
    registry = jwt.JWTClaimsRegistry(
        now=NOW,
        leeway=60,
        iss={"essential": True, "value": corp.url},
        aud={"essential": True, "value": "portcullis"},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
    )
    try:
        registry.validate(jwt.decode(token.decode("ascii"), keys, algorithms=[corp.algorithm]).claims)
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return True


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_joserfc_and_the_federation_agree_on_good_and_bent_tokens(algorithm: str) -> None:
    corp = Issuer(algorithm=algorithm)
    keys = KeySet.import_key_set({"keys": corp.published})  # type: ignore[typeddict-item]

    async def story() -> list[tuple[bytes, bool]]:
        verdicts: list[tuple[bytes, bool]] = []
        async with World(corp, settings=[corp.settings(algorithms=[algorithm])]) as world:
            for token in dict.fromkeys(_corpus(corp, random.Random(7))):
                world.monotonic.now += 1
                try:
                    await world.federation.authenticate(token)
                    verdicts.append((token, True))
                except InvalidCredentialError:
                    verdicts.append((token, False))
        return verdicts

    verdicts = asyncio.run(story())
    assert sum(good for _, good in verdicts) >= 5
    disagreements = [token.decode() for token, good in verdicts if good is not _joserfc_accepts(token, corp, keys)]
    assert disagreements == []
