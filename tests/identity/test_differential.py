"""A second opinion: joserfc must come to the verdict that the federation comes to, on good tokens and bent ones."""

import asyncio
import random
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from identity.authenticator import InvalidCredentialError
from tests.identity.issuer import NOW, Issuer, World, b64, forge, private_key

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "Ed25519")


def _corpus(corp: Issuer, dice: random.Random) -> Iterator[bytes]:
    """Yield good tokens, tokens with other claims, keys and headers, and good ones with single bytes changed."""
    changes: list[dict[str, Any]] = [
        {},
        *({"exp": NOW + seconds} for seconds in (1, -59, -61, -3600)),
        *({"nbf": NOW + seconds} for seconds in (3600, -5)),
        *({"aud": audience} for audience in ("grafana", ["portcullis", "grafana"], ["grafana"], "portcullisx")),
        *({"iss": issuer} for issuer in ("https://evil.example.com", "https://corp.example.com/")),
    ]
    for change in changes:
        yield corp.token(None, **change)
    for algorithm in ("none", "HS256", "RS512", "ES512"):
        yield corp.token({"alg": algorithm})
    yield corp.token({"crit": ["x"]})
    yield corp.token({"kid": "unknown"})
    yield forge(corp.header(), corp.claims(), corp.algorithm, private_key(corp.algorithm, "evil"))
    good = corp.token()
    yield good[:-2]
    yield good + b"AAAA"
    for _ in range(60):
        place = dice.randrange(len(good))
        yield good[:place] + bytes([dice.choice(b"ABCxyz019-_.")]) + good[place + 1 :]
        yield good[:place] + good[place + 1 :]


def _is_canonical(token: bytes) -> bool:
    return all(b64(urlsafe_b64decode(part + b"==")) == part for part in token.split(b"."))


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
@pytest.mark.parametrize("seed", [7, 8])
def test_joserfc_and_the_federation_agree_on_good_and_bent_tokens(algorithm: str, seed: int) -> None:
    corp = Issuer(algorithm=algorithm)
    keys = KeySet.import_key_set({"keys": corp.published})

    async def story() -> list[tuple[bytes, bool]]:
        verdicts: list[tuple[bytes, bool]] = []
        async with World(corp, settings=[corp.settings(algorithms=[algorithm])]) as world:
            for token in dict.fromkeys(_corpus(corp, random.Random(seed))):  # noqa: S311
                world.monotonic.now += 1
                try:
                    await world.federation.authenticate(token)
                    verdicts.append((token, True))
                except InvalidCredentialError:
                    verdicts.append((token, False))
        return verdicts

    verdicts = asyncio.run(story())
    assert sum(good for _, good in verdicts) >= 5
    # joserfc overlooks bits at the end of a segment that carry nothing; there alone the federation may be stricter.
    disagreements = [
        token.decode()
        for token, good in verdicts
        if good is not _joserfc_accepts(token, corp, keys) and (good or _is_canonical(token))
    ]
    assert disagreements == []
