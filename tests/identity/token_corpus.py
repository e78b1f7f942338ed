"""Tokens by the thousand, good ones and ones bent in every way that is known to have fooled a verifier.

`corpus` yields them for one provider of `test_differential`'s world. A case's name says what was done: its first part
is where (`good`, `header`, `payload`, `signature`, `encoding`, `key`, `noise`).
"""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from tests.identity.bent_headers import headers
from tests.identity.bent_keys import keys
from tests.identity.bent_payloads import payloads
from tests.identity.bent_signatures import encodings, signatures
from tests.identity.bent_token import LEEWAY_S, Case
from tests.identity.issuer import NOW, Issuer, forge


def corpus(issuer: Issuer, others: Mapping[str, Issuer], seed: int) -> Iterator[Case]:
    """Yield every case of one provider; `others` are all providers by algorithm, all with the same key id."""
    yield from _good(issuer)
    yield from headers(issuer)
    yield from payloads(issuer)
    yield from signatures(issuer)
    yield from encodings(issuer)
    yield from keys(issuer, others)
    yield from _noise(issuer, random.Random(seed))  # noqa: S311


def _good(issuer: Issuer) -> Iterator[Case]:
    forms: list[dict[str, Any]] = [
        {},
        *({"typ": typ} for typ in ("application/at+jwt", "AT+JWT", "JWT", "jwt", None)),
        {"kid": None},
        {"cty": "json"},
        {"x5t": "dGh1bWI", "x5t#S256": "dGh1bWI"},
        {"unheard-of": ["of", {"any": 1}]},
    ]
    audiences: tuple[object, ...] = ("portcullis", ["portcullis"], ["grafana", "portcullis"], ["portcullis"] * 64)
    lifetimes: list[dict[str, Any]] = [
        {"iat": NOW + begins, "exp": NOW + ends, **({"nbf": NOW + begins} if with_not_before else {})}
        for begins, ends in ((-10, 600), (-10, 1), (-3600, -LEEWAY_S + 1), (LEEWAY_S, 3600), (-86_400, 86_400))
        for with_not_before in (False, True)
    ]
    for form in forms:
        for audience in audiences:
            yield Case(f"good header {form} audience {audience}"[:120], issuer.token(form, aud=audience))
        for lifetime in lifetimes:
            yield Case(f"good header {form} times {lifetime}", issuer.token(form, **lifetime))
    for text in (
        b' { "alg" : "%s" , "kid":"k1" } ' % issuer.algorithm.encode(),
        b'{"kid":"k1","\\u0061lg":"%s"}' % issuer.algorithm.encode(),
    ):
        yield Case(f"good header written {text!r}", forge(text, issuer.claims(), issuer.algorithm, issuer.key))
    extras: tuple[dict[str, Any], ...] = (
        {"groups": ["dev", "on call", 7, None, "caf\u00e9"]},
        {"groups": "dev"},
        {"auth_time": NOW, "acr": "x", "amr": ["pwd", 7], "sid": "s"},
        {"jti": "unique"},
        {"deep": json.loads("[" * 14 + "]" * 14)},
        {"large": "x" * 9000},
        {"caf\u00e9": "\u212a\u0000", "big": 10**300, "small": -1.5e-9, "null": None},
        {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    )
    for extra in extras:
        yield Case(f"good claims {str(extra)[:80]}", issuer.token(None, **extra))


def _noise(issuer: Issuer, dice: random.Random) -> Iterator[Case]:
    good = issuer.token()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\x00\xff"
    for number in range(60):
        bent = bytearray(good)
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            place = dice.randrange(len(bent))
            match dice.randrange(4):
                case 0:
                    bent[place] = dice.choice(alphabet)
                case 1:
                    del bent[place]
                case 2:
                    bent.insert(place, dice.choice(alphabet))
                case _:
                    other = dice.randrange(len(bent))
                    bent[place], bent[other] = bent[other], bent[place]
        yield Case(f"noise {number}", bytes(bent))
