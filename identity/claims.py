"""What a token says, held to what its provider's configuration demands (RFC 7519, RFC 9068, OpenID Connect Core 1.0).

Access token or ID token? Only `at+jwt` (RFC 9068) says so for certain, and most providers send plain `JWT`. An ID
token must not pass as an access token: it is made for a client to read, it travels to other places, and any client of
the same provider can get one. So, in this order:

1. header type `at+jwt`: an access token. Any other type than `JWT` or none (`logout+jwt`, `dpop+jwt`): refused.
2. The claim `events` marks a security event or logout token (RFC 8417): refused.
3. The provider's own word: the claim `typ` (Keycloak: `Bearer` or `ID`, others refused) or `token_use` (Cognito:
   `access` or `id`).
4. `nonce`, `at_hash`, `c_hash` or `s_hash`, which belong to logins: an ID token.
5. The audience is one of the gateway's own clients, as every ID token's is, and nothing tells of an access token
   (`scope`, `scp`, `client_id`): an ID token. The doubt goes against the token.
6. Anything else: an access token, for the audience check has shown that it was made for this gateway.
"""

from dataclasses import dataclass

from identity.provider_settings import ProviderSettings
from identity.rejections import rejection
from identity.strict_json import JsonObject

# The last second of the year 9999: later times are not dates to any tool that reads the audit log.
MAX_TIME = 253_402_300_799
MAX_AUDIENCES = 64

_ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")
_ACCESS_TOKEN_CLAIMS = ("scope", "scp", "client_id")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a token was issued and when it ends, whole seconds since the Unix epoch."""

    issued_at: int
    expires_at: int


def check_lifetime(claims: JsonObject, now: float, leeway_s: int, *, needs_issued_at: bool = True) -> Lifetime:
    """Return the token's times where it is valid now, give or take the leeway.

    `exp` must be there, and `iat` unless it is said to be optional: a token of unknown age counts as old as can be,
    so that every revocation reaches it. `nbf` may be there. All are whole numbers: RFC 7519 lets a NumericDate have
    a fraction, but no provider sends one, and the audit log holds no floats. Raises InvalidCredentialError:
    missing_claim, malformed_claim, token_expired or token_not_yet_valid.
    """
    expires_at = _time(claims, "exp")
    issued_at = _time(claims, "iat") if needs_issued_at or "iat" in claims else 0
    not_before = _time(claims, "nbf") if "nbf" in claims else issued_at
    if now >= expires_at + leeway_s:
        raise rejection("token_expired")
    if now < max(not_before, issued_at) - leeway_s:
        raise rejection("token_not_yet_valid")
    return Lifetime(issued_at, expires_at)


def check_audience(claims: JsonObject, settings: ProviderSettings) -> tuple[str, ...]:
    """Return the token's audiences where one of them is exactly one of ours (RFC 7519, section 4.1.3).

    Raises InvalidCredentialError: missing_claim, malformed_claim or wrong_audience.
    """
    value = _required(claims, "aud")
    audiences = [value] if isinstance(value, str) else value
    if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
        raise rejection("malformed_claim", claim="aud")
    if len(audiences) > MAX_AUDIENCES:
        raise rejection("malformed_claim", claim="aud")
    if not any(audience in settings.audiences for audience in audiences):
        raise rejection("wrong_audience", audiences=" or ".join(settings.audiences))
    return tuple(audiences)


def check_kind(typ: str | None, claims: JsonObject, audiences: tuple[str, ...], settings: ProviderSettings) -> None:
    """Accept an access token, and an ID token only where the provider is configured so.

    An ID token for several audiences must name one of our clients in `azp`, and where it names a party at all it
    must be one of ours (OpenID Connect Core 1.0, section 3.1.3.7). Raises InvalidCredentialError: wrong_token_type,
    id_token_not_accepted or wrong_authorized_party.
    """
    if not _is_id_token(typ, claims, audiences, settings):
        return
    if not settings.accept_id_tokens:
        raise rejection("id_token_not_accepted", provider=settings.name)
    authorized_party = claims.get("azp")
    if authorized_party is None and len(audiences) == 1:
        return
    if not isinstance(authorized_party, str) or authorized_party not in settings.client_ids:
        raise rejection("wrong_authorized_party")


def optional_time(claims: JsonObject, claim: str) -> int | None:
    """Return a time claim, None where it is absent; raises InvalidCredentialError (malformed_claim)."""
    return _time(claims, claim) if claims.get(claim) is not None else None


def printable_text(claims: JsonObject, claim: str) -> str | None:
    """Return a claim that is a short printable ASCII text, else None: it is then as good as absent."""
    value = claims.get(claim)
    return value if _is_printable(value) else None


def printable_texts(claims: JsonObject, claim: str) -> tuple[str, ...]:
    """Return those members of a list claim that are short printable ASCII texts."""
    value = claims.get(claim)
    return tuple(member for member in value if _is_printable(member)) if isinstance(value, list) else ()


def subject(claims: JsonObject) -> str:
    """Return `sub`: at most 255 printable ASCII characters (OpenID Connect Core 1.0, section 2)."""
    value = _required(claims, "sub")
    if not _is_printable(value):
        raise rejection("malformed_claim", claim="sub")
    return str(value)


def check_token_id(claims: JsonObject) -> None:
    """Refuse a token whose `jti` is there and not a text (RFC 7519, section 4.1.7); nothing else depends on it."""
    if not isinstance(claims.get("jti", ""), str):
        raise rejection("malformed_claim", claim="jti")


def _is_id_token(typ: str | None, claims: JsonObject, audiences: tuple[str, ...], settings: ProviderSettings) -> bool:
    if typ == "at+jwt":
        return False
    # A JWT-SVID may call itself `JOSE` (SPIFFE JWT-SVID, section 2.3).
    plain = (None, "jwt") if settings.trust_domain is None else (None, "jwt", "jose")
    if typ not in plain or "events" in claims:
        raise rejection("wrong_token_type")
    if settings.tokens == "workloads":
        # Nobody logs in with these: an issuer of workloads calls them ID tokens or does not, and means the same.
        return False
    for claim, access, id_token in (("typ", "Bearer", "ID"), ("token_use", "access", "id")):
        if claim in claims:
            if claims[claim] not in (access, id_token):
                raise rejection("wrong_token_type")
            return bool(claims[claim] == id_token)
    if any(claim in claims for claim in _ID_TOKEN_CLAIMS):
        return True
    is_for_our_client = any(audience in settings.client_ids for audience in audiences)
    return is_for_our_client and not any(claim in claims for claim in _ACCESS_TOKEN_CLAIMS)


def _time(claims: JsonObject, claim: str) -> int:
    value = _required(claims, claim)
    # bool is an int to Python, and `true` is not a time.
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        raise rejection("malformed_claim", claim=claim)
    return value


def _required(claims: JsonObject, claim: str) -> object:
    value = claims.get(claim)
    if value is None:
        raise rejection("missing_claim", claim=claim)
    return value


def _is_printable(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() and value.isprintable()
