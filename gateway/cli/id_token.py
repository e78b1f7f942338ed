"""Checks the ID token of a login: that it is for this client, from this issuer, and for this very login."""

import warnings
from collections.abc import Mapping
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from gateway.cli.output import CommandError

# Asymmetric ones only: with an HMAC, whoever knows the public client's (empty) secret could sign.
_ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
)
_LEEWAY_S = 60


def checked_id_token(
    token: str,
    *,
    keys: Mapping[str, Any],
    algorithms: list[str],
    issuer: str,
    client_id: str,
    nonce: str | None,
    access_token: str | None,
) -> Mapping[str, Any]:
    """Return the token's claims (OpenID Connect Core section 3.1.3.7).

    `keys` is the issuer's JWK Set; `algorithms` are those it announces; `nonce` is None where the token comes from a
    refresh. Raises CommandError where anything is wrong.
    """
    allowed = sorted(_ALGORITHMS.intersection(algorithms))
    if not allowed:
        # joserfc would read an empty list as its own defaults, HS256 among them.
        raise CommandError(f"the ID token from {issuer} is not good: its provider announces no algorithm that is")
    expected = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
    seen = {"client_id": client_id, "nonce": nonce, "access_token": access_token}
    try:
        with warnings.catch_warnings():
            # RFC 9864 renames `EdDSA` to `Ed25519`; providers sign with the old name for as long as clients read it.
            warnings.filterwarnings("ignore", message="EdDSA is deprecated")
            decoded = jwt.decode(token, _key_set(keys), registry=JWSRegistry(algorithms=allowed))
        claims = CodeIDToken(decoded.claims, decoded.header, expected, seen)
        claims.validate(leeway=_LEEWAY_S)
    except (JoseError, ValueError) as error:
        raise CommandError(f"the ID token from {issuer} is not good: {error}") from error
    return dict(claims)


def _key_set(keys: Mapping[str, Any]) -> KeySet:
    try:
        return KeySet.import_key_set({"keys": keys["keys"]})
    except (KeyError, TypeError) as error:
        raise ValueError("the issuer's JWK Set can't be read") from error
