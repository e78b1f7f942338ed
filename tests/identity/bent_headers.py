"""Tokens with other headers than their provider writes."""

import json
from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from identity.base64url import decode_base64url
from tests.identity.bent_token import ALGORITHMS, SURROGATE, Case, other_texts
from tests.identity.issuer import Issuer, b64, forge, jwk, private_key, sign


def headers(issuer: Issuer) -> Iterator[Case]:
    """Yield other headers: signed with the right key, with no key, and with the public key as an HMAC's secret."""
    none = ("none", "None", "NONE", "nOnE", "none ", "")
    families = (*ALGORITHMS, "ES256K", "Ed448", "HS256", "HS384", "HS512", "RSA-OAEP", "dir", issuer.algorithm.lower())
    values: tuple[object, ...] = (None, 7, True, [issuer.algorithm], {"name": issuer.algorithm}, " " + issuer.algorithm)
    for algorithm in (*none, *(other for other in families if other != issuer.algorithm), *values):
        yield Case(f"header alg {algorithm!r}", issuer.token({"alg": algorithm}))
        head, body, _ = issuer.token({"alg": algorithm}).split(b".")
        yield Case(f"header alg {algorithm!r} unsigned", head + b"." + body + b".")
    for name, secret in _secrets(issuer):
        for algorithm in ("HS256", issuer.algorithm):
            token = forge(issuer.header(alg=algorithm), issuer.claims(), "HS256", secret)
            yield Case(f"header alg {algorithm} with the public key as {name}", token)
    evil = private_key(issuer.algorithm, "evil")
    members: tuple[tuple[str, object], ...] = (
        *(("typ", typ) for typ in ("at+JWT ", "", "logout+jwt", "dpop+jwt", "JOSE", "id_token", "JWE", 7, ["JWT"])),
        *(("kid", kid) for kid in ("", "K1", "k1 ", "../k1", "k1\u0000", "x" * 256, "x" * 257, 7, ["k1"], {"k": 1})),
        *(("jwk", value) for value in (jwk(evil, kid="k1"), jwk(issuer.key), {}, 7)),
        *((member, f"{issuer.url}/jwks") for member in ("jku", "x5u")),
        *((member, "https://evil.example.com/jwks") for member in ("jku", "x5u")),
        *(("x5c", value) for value in (["MIIB"], [], "MIIB")),
        *(("crit", value) for value in (["exp"], ["b64"], ["typ"], [], "typ", {"typ": 1}, 7)),
        *(("b64", value) for value in (True, False, "false")),
        *(("zip", value) for value in ("DEF", "GZ", 7)),
        ("enc", "A256GCM"),
        *((member, value) for member in ("cty", "x5t", "x5t#S256") for value in (7, ["x"])),
        ("nested", {"a": {"b": {"c": {}}}}),
    )
    for member, value in members:
        for key, name in ((issuer.key, "own"), (evil, "another")):
            token = forge(issuer.header() | {member: value}, issuer.claims(), issuer.algorithm, key)
            yield Case(f"header {member} {str(value)[:40]!r} by the {name} key", token)
    for member in ("typ", "kid", "cty", "alg"):
        token = forge(issuer.header() | {member: None}, issuer.claims(), issuer.algorithm, issuer.key)
        yield Case(f"header {member} null", token)
    good = json.dumps(issuer.header()).encode()
    for name, text in (
        ("repeats alg", b'{"alg":"none",' + good[1:]),
        ("repeats alg by an escape", b'{"\\u0061lg":"none",' + good[1:]),
        ("repeats kid", good[:-1] + b',"kid":"k1"}'),
        ("has NaN", good[:-1] + b',"x":NaN}'),
        ("has half a character", good[:-1] + b',"x":"' + SURROGATE + b'"}'),
        ("is a list", b"[" + good + b"]"),
        ("is not closed", good[:-1]),
        ("has more behind it", good + b"{}"),
        ("has a comma too much", good[:-1] + b",}"),
        *other_texts(good),
    ):
        yield Case(f"header {name}", forge(text, issuer.claims(), issuer.algorithm, issuer.key))
    yield Case("header without encoding of the payload", _unencoded_payload(issuer))


def _secrets(issuer: Issuer) -> Iterator[tuple[str, bytes]]:
    public = issuer.key.public_key()
    for name, encoding in (("PEM", Encoding.PEM), ("DER", Encoding.DER)):
        text = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        yield name, text
        yield f"{name} without its end", text.rstrip()
    document = issuer.published[0]
    yield "JWK", json.dumps(document).encode()
    yield "JWK without blanks", json.dumps(document, separators=(",", ":")).encode()
    for member in ("n", "x"):
        if member in document:
            yield f"{member} of the JWK", str(document[member]).encode()
            yield f"{member} of the JWK, decoded", decode_base64url(str(document[member]).encode())
    yield "nothing", b""


def _unencoded_payload(issuer: Issuer) -> bytes:
    """Return a token whose payload stands in it as it is (RFC 7797); a dot in it would be a separator."""
    head = b64(json.dumps(issuer.header(b64=False, crit=["b64"])).encode())
    body = json.dumps(issuer.claims()).encode().replace(b".", b"\\u002e")
    return b".".join([head, body, b64(sign(issuer.algorithm, issuer.key, head + b"." + body))])
