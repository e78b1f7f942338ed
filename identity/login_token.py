"""An ID token that a login was answered with must be of the login that was begun here (OpenID Connect Core 1.0)."""

import hashlib
import hmac

from identity.base64url import encode_base64url
from identity.provider_settings import ProviderSettings
from identity.rejections import rejection
from identity.strict_json import JsonObject


def check_login(claims: JsonObject, settings: ProviderSettings, nonce: str | None) -> None:
    """Hold the verified claims to section 3.1.3.7; `nonce` is that of the login, None at a renewal.

    Raises InvalidCredentialError: wrong_audience, wrong_authorized_party or wrong_nonce.
    """
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(audiences, list) or settings.client_id not in audiences:
        raise rejection("wrong_audience", audiences=settings.client_id or "the gateway's client")
    party = claims.get("azp")
    if (party is not None or len(audiences) > 1) and party != settings.client_id:
        raise rejection("wrong_authorized_party")
    told = claims.get("nonce")
    if nonce is not None and (not isinstance(told, str) or not _is_same(told, nonce)):
        raise rejection("wrong_nonce")


def check_access_token_hash(claims: JsonObject, algorithm: str, access_token: bytes | None) -> None:
    """Hold the access token that came with an ID token to `at_hash` where there is one (section 3.1.3.8).

    `algorithm` is the ID token's. Raises InvalidCredentialError (wrong_access_token_hash).
    """
    told = claims.get("at_hash")
    if told is None or access_token is None:
        return
    name = {"256": "sha256", "384": "sha384"}.get(algorithm[-3:], "sha512")
    digest = hashlib.new(name, access_token).digest()
    if not isinstance(told, str) or not _is_same(told, encode_base64url(digest[: len(digest) // 2])):
        raise rejection("wrong_access_token_hash")


def _is_same(told: str, expected: str) -> bool:
    # JSON can hold half a character, which has no UTF-8.
    return hmac.compare_digest(told.encode("utf-8", "surrogatepass"), expected.encode())
