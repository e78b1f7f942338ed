"""Tokens with other claims than their provider writes, well signed."""

import json
from collections.abc import Iterator, Mapping

from identity.compact_jws import MAX_TOKEN_BYTES
from tests.identity.bent_token import LEEWAY_S, SURROGATE, Case, other_texts
from tests.identity.issuer import NOW, Issuer, forge

MISSING = object()


def payloads(issuer: Issuer) -> Iterator[Case]:
    """Yield each claim missing, of each wrong type and at each boundary, and texts that are hardly JSON."""
    wrong: tuple[object, ...] = (MISSING, None, True, False, 0, -1, 1.5, "", "x", [], [None], {}, {"a": 1}, "\ud800")
    for claim in ("iss", "sub", "aud", "exp", "iat"):
        for value in wrong:
            claims = {name: each for name, each in (issuer.claims() | {claim: value}).items() if each is not MISSING}
            yield Case(f"payload {claim} {'missing' if value is MISSING else repr(value)}", _signed(issuer, claims))
    for claim in ("nbf", "jti", "groups", "auth_time", "cnf", "acr", "amr", "sid", "scope", "azp", "events"):
        for value in wrong[1:]:
            yield Case(f"payload {claim} {value!r}", _signed(issuer, issuer.claims() | {claim: value}))
    changes: tuple[tuple[str, object], ...] = (
        *(("iss", value) for value in (issuer.url + "/", issuer.url.upper(), " " + issuer.url, [issuer.url])),
        *(("iss", value) for value in ("https://evil.example.com", "http" + issuer.url[5:], issuer.url + "\u0000")),
        *(("aud", value) for value in ("portcullis2", "ortculli", "Portcullis", "portcullis ", "x portcullis", "p*")),
        *(("aud", value) for value in (["x"], ["portcullis2"], [["portcullis"]], ["portcullis", 7], {"portcullis": 1})),
        *(("aud", value) for value in (["portcullis"] * 65, "portcullis\u0000", "\u0440ortcullis", ["portcullis", ""])),
        *(("sub", value) for value in ("alice smith", "a" * 255, "a" * 256, "caf\u00e9", "a\nb", "*", "a,b", 7, ["a"])),
        *(("exp", NOW - LEEWAY_S + moved) for moved in (-1, 0, 1, 0.5, -3600)),
        *(("exp", value) for value in (float(NOW + 600), str(NOW + 600), 10**20, 10**300, 253_402_300_800, 1e300)),
        *((claim, NOW + LEEWAY_S + moved) for claim in ("iat", "nbf") for moved in (-1, 0, 1, 0.5, 3600)),
        *((claim, value) for claim in ("iat", "nbf") for value in (float(NOW), str(NOW), [NOW], 10**300)),
        *(("nonce", value) for value in ("n", "", None, 7)),
        *((claim, "h") for claim in ("at_hash", "c_hash", "s_hash")),
        *(("typ", value) for value in ("Bearer", "ID", "Refresh", "Logout", 7, ["ID"])),
        *(("token_use", value) for value in ("access", "id", "refresh", 7)),
        ("cnf", {"jkt": "x"}),
        ("cnf", {"jwk": {}}),
        ("cnf", {"jkt": "A" * 43, "x5t#S256": "A" * 43}),
        ("jti", 10**6),
    )
    for claim, value in changes:
        typ = "JWT" if claim in ("nonce", "at_hash", "c_hash", "s_hash", "typ", "token_use") else "at+jwt"
        yield Case(f"payload {claim} {str(value)[:60]!r}", _signed(issuer, issuer.claims() | {claim: value}, typ=typ))
    good = json.dumps(issuer.claims()).encode()
    for name, text in (
        ("repeats sub", b'{"sub":"root",' + good[1:]),
        ("repeats aud behind", good[:-1] + b',"aud":"portcullis"}'),
        ("repeats a key inside", good[:-1] + b',"x":{"a":1,"a":2}}'),
        ("repeats exp by an escape", b'{"\\u0065xp":1,' + good[1:]),
        *((f"exp is {text.decode()}", _with_raw(issuer, "exp", text)) for text in (b"NaN", b"Infinity", b"1e999")),
        *((f"nbf is {text.decode()}", _with_raw(issuer, "nbf", text)) for text in (b"NaN", b"-Infinity", b"-1e999")),
        ("has NaN elsewhere", good[:-1] + b',"x":[NaN]}'),
        ("has half a character", good[:-1] + b',"x":"' + SURROGATE + b'"}'),
        ("has a raw control character", good[:-1] + b',"x":"\x01"}'),
        ("has a number of 5,000 digits", good[:-1] + b',"x":' + b"9" * 5000 + b"}"),
        ("is 17 deep", good[:-1] + b',"x":' + b"[" * 16 + b"]" * 16 + b"}"),
        ("is 2,000 deep", good[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        ("is 5,000 deep", good[:-1] + b',"x":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}"),
        *((f"is {text.decode()}", text) for text in (b"{}", b"[]", b"null", b"7", b'"text"', b"[{}]", b" ")),
        ("is empty", b""),
        ("is a token", issuer.token()),
        ("is not closed", good[:-1]),
        ("has more behind it", good + good),
        *other_texts(good),
    ):
        yield Case(f"payload {name}", forge(issuer.header(), text, issuer.algorithm, issuer.key))
    large = issuer.token(large="x" * MAX_TOKEN_BYTES)
    yield Case("payload larger than any token", large)


def _signed(issuer: Issuer, claims: Mapping[str, object], **header: object) -> bytes:
    return forge(issuer.header(**header), dict(claims), issuer.algorithm, issuer.key)


def _with_raw(issuer: Issuer, claim: str, text: bytes) -> bytes:
    rest = json.dumps({name: value for name, value in issuer.claims().items() if name != claim}).encode()
    return rest[:-1] + b',"%s":%s}' % (claim.encode(), text)
