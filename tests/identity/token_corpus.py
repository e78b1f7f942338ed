"""Tokens by the thousand, good ones and ones bent in every way that is known to have fooled a verifier.

`corpus` yields them for one provider of `test_differential`'s world. A case's name says what was done: its first part
is where (`good`, `header`, `payload`, `signature`, `encoding`, `key`, `noise`).
"""

import json
import random
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from identity.base64url import decode_base64url
from identity.compact_jws import MAX_TOKEN_BYTES
from tests.identity.issuer import NOW, Issuer, PrivateKey, b64, forge, jwk, private_key, sign

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_S = 60
MISSING = object()
SURROGATE = b"\\ud800"


@dataclass(frozen=True, slots=True)
class Case:
    """One token; `name` says what was done to it."""

    name: str
    token: bytes

    @property
    def family(self) -> str:
        """Where it was bent; `good` is not at all."""
        return self.name.partition(" ")[0]


def corpus(issuer: Issuer, others: Mapping[str, Issuer], seed: int) -> Iterator[Case]:
    """Yield every case of one provider; `others` are all providers by algorithm, all with the same key id."""
    yield from _good(issuer)
    yield from _headers(issuer)
    yield from _payloads(issuer)
    yield from _signatures(issuer)
    yield from _encodings(issuer)
    yield from _keys(issuer, others)
    yield from _noise(issuer, random.Random(seed))  # noqa: S311


def several_keys() -> tuple[Issuer, Sequence[Case]]:
    """Return a provider with a key of each kind, two of RSA, and tokens that name one, none or the wrong one."""
    names = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
    keys = {name: private_key(name, "several") for name in names}
    issuer = Issuer("several", published=[jwk(key, kid=name) for name, key in keys.items()])
    cases = [
        Case(f"key {name} of several, alg {algorithm}, id {kid}", forge(header, issuer.claims(), algorithm, key))
        for name, key in keys.items()
        for algorithm in (*ALGORITHMS, "HS256")
        if algorithm == name or (isinstance(key, rsa.RSAPrivateKey) and algorithm[:2] in ("RS", "PS"))
        for kid in (*names, None)
        if (header := issuer.header(alg=algorithm, kid=kid))
    ]
    return issuer, cases


def odd_keys() -> tuple[Issuer, Sequence[Case]]:
    """Return a provider that publishes what it should not, and tokens by each of these keys."""
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505
    rs, es = private_key("RS256", "odd"), private_key("ES256", "odd")
    assert isinstance(es, ec.EllipticCurvePrivateKey)
    secret = b"a symmetric key that everybody can read"
    published = [
        jwk(weak, kid="weak"),
        jwk(rs, kid="for encryption", use="enc"),
        jwk(rs, kid="for wrapping", use=None, key_ops=["wrapKey"]),
        jwk(rs, kid="for PS256", alg="PS256"),
        jwk(es, kid="shared"),
        jwk(private_key("ES256", "odd too"), kid="shared"),
        jwk(es, kid="private", d=b64(es.private_numbers().private_value.to_bytes(32)).decode()),
        {"kty": "oct", "k": b64(secret).decode(), "kid": "symmetric"},
        {"kty": "unheard-of", "kid": "unheard-of"},
    ]
    issuer = Issuer("odd", published=published)
    by: tuple[tuple[str, str, PrivateKey | bytes], ...] = (
        ("weak", "RS256", weak),
        ("for encryption", "RS256", rs),
        ("for wrapping", "RS256", rs),
        ("for PS256", "RS256", rs),
        ("for PS256", "PS256", rs),
        ("shared", "ES256", es),
        ("shared", "ES256", private_key("ES256", "odd too")),
        ("private", "ES256", es),
        ("symmetric", "HS256", secret),
        ("unheard-of", "RS256", rs),
    )
    return issuer, [
        Case(
            f"key {kid}, alg {algorithm}", forge(issuer.header(alg=algorithm, kid=kid), issuer.claims(), algorithm, key)
        )
        for kid, algorithm, key in by
    ]


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


def _headers(issuer: Issuer) -> Iterator[Case]:
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
        *_other_texts(good),
    ):
        yield Case(f"header {name}", forge(text, issuer.claims(), issuer.algorithm, issuer.key))
    yield Case("header without encoding of the payload", _unencoded_payload(issuer))


def _payloads(issuer: Issuer) -> Iterator[Case]:
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
        *_other_texts(good),
    ):
        yield Case(f"payload {name}", forge(issuer.header(), text, issuer.algorithm, issuer.key))
    large = issuer.token(large="x" * MAX_TOKEN_BYTES)
    yield Case("payload larger than any token", large)


def _signatures(issuer: Issuer) -> Iterator[Case]:
    good = issuer.token()
    signed, _, encoded = good.rpartition(b".")
    signature = decode_base64url(encoded)

    def case(name: str, changed: bytes) -> Case:
        return Case(f"signature {name}", signed + b"." + b64(changed))

    for place in range(0, len(signature) * 8, max(1, len(signature) // 8)):
        flipped = bytearray(signature)
        flipped[place // 8] ^= 1 << (place % 8)
        yield case(f"bit {place} flipped", bytes(flipped))
    for length in sorted({0, 1, len(signature) // 2, len(signature) - 1}):
        yield case(f"cut to {length} bytes", signature[:length])
    for name, changed in (
        ("with a byte before", b"\0" + signature),
        ("with a byte behind", signature + b"\0"),
        ("twice", signature * 2),
        ("backwards", signature[::-1]),
        ("zero", bytes(len(signature))),
        ("ones", b"\xff" * len(signature)),
        ("of another token", decode_base64url(issuer.token(sub="bob").rpartition(b".")[2])),
        ("of the payload alone", sign(issuer.algorithm, issuer.key, signed.partition(b".")[2])),
        ("of the header alone", sign(issuer.algorithm, issuer.key, signed.partition(b".")[0])),
        ("by another key", sign(issuer.algorithm, private_key(issuer.algorithm, "evil"), signed)),
        ("of 1,000 bytes", b"\1" * 1000),
    ):
        yield case(name, changed)
    half = len(signature) // 2
    r, s = signature[:half], signature[half:]
    for name, changed in (
        ("halves swapped", s + r),
        ("first half zero", bytes(half) + s),
        ("second half zero", r + bytes(half)),
        ("first half one", (1).to_bytes(half) + s),
    ):
        yield case(name, changed)
    if not issuer.algorithm.startswith("Ed"):
        other_hash = issuer.algorithm[:2] + ("256" if issuer.algorithm.endswith("512") else "512")
        yield case("with another hash", sign(other_hash, issuer.key, signed))
    if issuer.algorithm.startswith("ES"):
        yield case("as DER", encode_dss_signature(int.from_bytes(r), int.from_bytes(s)))
        order = issuer.key.curve.group_order  # type: ignore[union-attr]
        yield case("with the other s", r + (order - int.from_bytes(s)).to_bytes(half))
        if (int.from_bytes(r) + order).bit_length() <= half * 8:
            yield case("with r beyond the order", (int.from_bytes(r) + order).to_bytes(half) + s)
    if isinstance(issuer.key, rsa.RSAPrivateKey):
        modulus = issuer.key.public_key().public_numbers().n
        yield case("with the modulus added", (int.from_bytes(signature) + modulus).to_bytes(len(signature) + 1))
        family = "PS" if issuer.algorithm.startswith("RS") else "RS"
        yield case("with the other padding", sign(family + issuer.algorithm[2:], issuer.key, signed))


def _encodings(issuer: Issuer) -> Iterator[Case]:
    good = issuer.token()
    parts = good.split(b".")
    for number, part in enumerate(parts):
        for name, changed in (
            ("padded", part + b"=" * (-len(part) % 4 or 4)),
            ("with one =", part + b"="),
            ("with a blank", part[:4] + b" " + part[4:]),
            ("with a newline", part[:4] + b"\n" + part[4:]),
            ("with a newline behind", part + b"\n"),
            ("in the standard alphabet", b64encode(decode_base64url(part)).rstrip(b"=")),
            ("with a + inside", part[:4] + b"+" + part[5:]),
            ("with a / inside", part[:4] + b"/" + part[5:]),
            ("with a character more", part + b"A"),
            ("with a character less", part[:-1]),
            ("with a letter beyond ASCII", part[:4] + "\u00e9".encode() + part[4:]),
            ("with a zero byte", part + b"\0"),
            ("encoded twice", b64(part)),
            ("decoded", decode_base64url(part)),
            ("empty", b""),
            *((f"ending otherwise ({chr(last)})", part[:-1] + bytes([last])) for last in _neighbours(part)),
        ):
            token = b".".join([*parts[:number], changed, *parts[number + 1 :]])
            yield Case(f"encoding part {number} {name}", token)
    head, body, signature = parts
    members = {"payload": body.decode(), "protected": head.decode(), "signature": signature.decode()}
    general = {"payload": body.decode(), "signatures": [{"protected": head.decode(), "signature": signature.decode()}]}
    for name, token in (
        ("a dot before", b"." + good),
        ("a dot behind", good + b"."),
        ("two dots between", head + b".." + body + b"." + signature),
        ("four parts", good + b"." + signature),
        ("five parts", b".".join([head, body, body, body, signature])),
        ("two parts", head + b"." + body),
        ("one part", head),
        ("nothing", b""),
        ("dots only", b".."),
        ("parts exchanged", b".".join([body, head, signature])),
        ("a blank before", b" " + good),
        ("a newline behind", good + b"\n"),
        ("a BOM before", b"\xef\xbb\xbf" + good),
        ("in UTF-16", good.decode().encode("utf-16")),
        ("half a character before", b"\xed\xa0\x80" + good),
        ("in quotes", b'"' + good + b'"'),
        ("with Bearer before", b"Bearer " + good),
        ("escaped", good.replace(b".", b"%2e")),
        ("two tokens", good + b"," + good),
        ("flattened JSON", json.dumps(members).encode()),
        ("general JSON", json.dumps(general).encode()),
        ("without its payload", head + b".." + signature),
    ):
        yield Case(f"encoding {name}", token)


def _keys(issuer: Issuer, others: Mapping[str, Issuer]) -> Iterator[Case]:
    header, claims = issuer.header(), issuer.claims()
    for algorithm, other in others.items():
        if other is issuer:
            continue
        yield Case(f"key of {other.name}, same id", forge(header, claims, algorithm, other.key))
        yield Case(f"key and alg of {other.name}", forge(other.header(), claims, algorithm, other.key))
        token = forge(header, other.claims(), issuer.algorithm, issuer.key)
        yield Case(f"key of {issuer.name}, iss of {other.name}", token)
    for name in ("evil", "rotated away"):
        old = private_key(issuer.algorithm, name)
        for kid in ("k1", "k0", None):
            header = issuer.header(kid=kid)
            yield Case(f"key {name} with the id {kid}", forge(header, claims, issuer.algorithm, old))


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


def _signed(issuer: Issuer, claims: Mapping[str, object], **header: object) -> bytes:
    return forge(issuer.header(**header), dict(claims), issuer.algorithm, issuer.key)


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


def _other_texts(good: bytes) -> Iterator[tuple[str, bytes]]:
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        yield f"in {encoding}", good.decode().encode(encoding)
    yield "in Latin-1", good[:-1] + b',"x":"\xe9"}'
    yield "with half a character in UTF-8", good[:-1] + b',"x":"\xed\xa0\x80"}'


def _with_raw(issuer: Issuer, claim: str, text: bytes) -> bytes:
    rest = json.dumps({name: value for name, value in issuer.claims().items() if name != claim}).encode()
    return rest[:-1] + b',"%s":%s}' % (claim.encode(), text)


def _unencoded_payload(issuer: Issuer) -> bytes:
    """Return a token whose payload stands in it as it is (RFC 7797); a dot in it would be a separator."""
    head = b64(json.dumps(issuer.header(b64=False, crit=["b64"])).encode())
    body = json.dumps(issuer.claims()).encode().replace(b".", b"\\u002e")
    return b".".join([head, body, b64(sign(issuer.algorithm, issuer.key, head + b"." + body))])


def _neighbours(part: bytes) -> bytes:
    """Return last characters that differ from the part's own in bits which carry nothing, if any do."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = {2: 16, 3: 4}.get(len(part) % 4, 1)
    start = alphabet.index(part[-1]) // spare * spare
    return bytes(alphabet[number] for number in range(start + 1, start + spare))
