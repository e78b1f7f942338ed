"""Tokens with other signatures, and good ones that are written otherwise."""

import json
from base64 import b64encode
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from identity.base64url import decode_base64url
from tests.identity.bent_token import Case
from tests.identity.issuer import Issuer, b64, private_key, sign


def signatures(issuer: Issuer) -> Iterator[Case]:
    """Yield a good token with its signature flipped, cut, padded, exchanged or written otherwise."""
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


def encodings(issuer: Issuer) -> Iterator[Case]:
    """Yield a good token whose parts, or the whole of it, are not canonical base64url with two dots."""
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


def _neighbours(part: bytes) -> bytes:
    """Return last characters that differ from the part's own in bits which carry nothing, if any do."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = {2: 16, 3: 4}.get(len(part) % 4, 1)
    start = alphabet.index(part[-1]) // spare * spare
    return bytes(alphabet[number] for number in range(start + 1, start + spare))
