"""Tokens by other keys, and providers that publish several keys or odd ones."""

from collections.abc import Iterator, Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.identity.bent_token import ALGORITHMS, Case
from tests.identity.issuer import Issuer, PrivateKey, b64, forge, jwk, private_key


def keys(issuer: Issuer, others: Mapping[str, Issuer]) -> Iterator[Case]:
    """Yield tokens by the keys of the others, who use the same key id, and by keys that nobody publishes."""
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
