"""The claims of the gateway's own access tokens (RFC 9068), in both directions.

| claim | what it is |
|---|---|
| `iss`, `exp`, `iat`, `jti`, `client_id` | as RFC 9068 says; `iss` is the gateway's public URL |
| `sub`, `groups` | policy subjects: `user:alice`, `group:corp:dev` |
| `aud` | the public URL, or the addresses of the backends below it that the token is good for |
| `scope` | absent, or `action:PATTERN` values: the actions that the token is good for |
| `sid`, `idp_sid` | the session at the gateway, and at the provider |
| `idp`, `idp_iss`, `idp_sub`, `username`, `email`, `provisioned_as` | the account that vouched, see `Principal` |
| `auth_time`, `acr`, `amr` | how and when its person logged in |
| `cnf` | the key it is bound to (RFC 7800) |
| `act` | who acts for the subject, the holder first, whoever acted before inside it (RFC 8693, section 4.1) |
| `made_from` | the SHA-256 of the tokens that it was made from, see `Principal.made_from` |
| `origin_iat` | when the oldest token that this one was made from was issued, where that is not `iat` |

An exchange makes nothing younger: what was issued before a revocation stays so (`Principal.issued_at` is `origin_iat`),
or a token could be carried past one that has not reached this replica yet.

Compatibility rule: replicas of two versions read each other's tokens. A claim may be added that a reader can do
without. What takes something away from a token must be such that an older reader refuses it: a new form of `aud`,
`scope`, `cnf` or `act`, or another `typ`. A claim's meaning never changes.
"""

import re
from typing import Any, Final

from identity.claims import MAX_TIME
from identity.confirmation import confirmation_of
from identity.issuer.narrowing import actions_of_scope, audience_of, backend_at, scope_of
from identity.issuer.oauth_error import OAuthError
from identity.principal import Delegate, Kind, Limits, Principal
from identity.rejections import rejection
from identity.strict_json import JsonObject

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105  # a media type
MAX_DELEGATES: Final = 4
# An exchange adds up to two, and up to two more with an actor (both spellings of each token). So the longest chain of
# delegates fits, narrowed at every step, with actors' tokens that were exchanged themselves; it is 2.9 kB of a token.
MAX_MADE_FROM: Final = 32

_SIGNS = r"[A-Za-z0-9._@+=|:/~-]{1,400}"
_SUBJECT = re.compile(rf"(?:user|workload):{_SIGNS}")
_GROUP = re.compile(rf"[a-z]+:{_SIGNS}")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")
_TEXT = re.compile(r"[ -~]{1,2048}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCOPE = re.compile(r"[ -~]{1,16384}")


def claims_of(principal: Principal, *, issuer: str, client_id: str, token_id: str, issued_at: int) -> JsonObject:
    """Return the claims of a token that stands for `principal` and ends at its `expires_at`."""
    claims: JsonObject = {
        "iss": issuer,
        "sub": principal.subject,
        "aud": audience_of(principal.limits, issuer),
        "exp": principal.expires_at,
        "iat": issued_at,
        "jti": token_id,
        "client_id": client_id,
        "groups": list(principal.groups),
        "idp": principal.provider,
        "idp_iss": principal.issuer,
        "idp_sub": principal.token_subject,
        "username": principal.username,
    }
    optional = {
        "sid": principal.session,
        "scope": scope_of(principal.limits),
        "auth_time": principal.authenticated_at,
        "acr": principal.acr,
        "amr": list(principal.amr) or None,
        "email": principal.email,
        "provisioned_as": principal.provisioned_as,
        "idp_sid": principal.provider_session,
        "act": _act_of(principal.delegates),
        "made_from": list(principal.made_from) or None,
        "origin_iat": principal.issued_at if principal.issued_at < issued_at else None,
    }
    claims |= {name: value for name, value in optional.items() if value is not None}
    if principal.confirmation is not None:
        claims["cnf"] = {principal.confirmation.method: principal.confirmation.thumbprint}
    return claims


def principal_of(claims: JsonObject, token_sha256: str) -> Principal:
    """Return whom one of the gateway's own tokens stands for, once its signature, `iss` and `exp` were found good.

    Raises InvalidCredentialError: missing_claim, malformed_claim, wrong_audience or sender_constrained.
    """
    subject = _text(claims, "sub", _SUBJECT)
    kind: Kind = "workload" if subject.startswith("workload:") else "user"
    issued_at = _time(claims, "iat")
    # Not used here, but a token without them was not made by this program.
    _text(claims, "jti", _ID)
    _text(claims, "client_id", _TEXT)
    return Principal(
        subject=subject,
        provider=_text(claims, "idp", _PROVIDER),
        issuer=_text(claims, "idp_iss", _TEXT),
        token_subject=_text(claims, "idp_sub", _TEXT),
        username=_text(claims, "username", _TEXT),
        groups=_texts(claims, "groups", _GROUP),
        expires_at=_time(claims, "exp"),
        issued_at=min(issued_at, _time(claims, "origin_iat")) if "origin_iat" in claims else issued_at,
        authenticated_at=_time(claims, "auth_time") if "auth_time" in claims else None,
        acr=_optional(claims, "acr", _TEXT),
        amr=_texts(claims, "amr", _TEXT) if "amr" in claims else (),
        token_sha256=token_sha256,
        kind=kind,
        email=_optional(claims, "email", _TEXT),
        provisioned_as=_free_text(claims, "provisioned_as"),
        session=_optional(claims, "sid", _ID),
        provider_session=_free_text(claims, "idp_sid"),
        confirmation=confirmation_of(claims),
        limits=Limits(
            backends=audience_limits(_required(claims, "aud"), _text(claims, "iss", _TEXT)), actions=_actions(claims)
        ),
        delegates=_delegates_of(claims),
        made_from=_made_from(claims),
    )


def audience_limits(aud: object, public_url: str) -> tuple[str, ...] | None:
    """Return the backends that the claim `aud` limits a token to, None where it is the whole gateway.

    Raises InvalidCredentialError: malformed_claim, or wrong_audience where any audience is not the gateway's own.
    """
    if aud == public_url:
        return None
    if not isinstance(aud, list) or not aud or not all(isinstance(address, str) for address in aud):
        if isinstance(aud, str):
            raise rejection("wrong_audience", audiences=public_url)
        raise rejection("malformed_claim", claim="aud")
    backends = [backend_at(address, public_url) for address in aud]
    found = tuple(name for name in backends if name is not None)
    if len(found) != len(backends):
        raise rejection("wrong_audience", audiences=public_url)
    return found


def _actions(claims: JsonObject) -> tuple[str, ...] | None:
    if "scope" not in claims:
        return None
    try:
        return actions_of_scope(_text(claims, "scope", _SCOPE))
    except OAuthError:
        raise rejection("malformed_claim", claim="scope") from None


def _act_of(delegates: tuple[Delegate, ...]) -> JsonObject | None:
    act: JsonObject | None = None
    for delegate in reversed(delegates):
        outer: JsonObject = {
            "sub": delegate.subject,
            "idp": delegate.provider,
            "idp_sub": delegate.token_subject,
            "groups": list(delegate.groups),
        }
        optional = {
            "provisioned_as": delegate.provisioned_as,
            "sid": delegate.session,
            "idp_sid": delegate.provider_session,
        }
        outer |= {name: value for name, value in optional.items() if value is not None}
        act = outer if act is None else outer | {"act": act}
    return act


def _delegates_of(claims: JsonObject) -> tuple[Delegate, ...]:
    delegates: list[Delegate] = []
    holder: Any = claims
    while "act" in holder:
        holder = holder["act"]
        if not isinstance(holder, dict) or len(delegates) == MAX_DELEGATES:
            raise rejection("malformed_claim", claim="act")
        delegates.append(
            Delegate(
                subject=_text(holder, "sub", _SUBJECT),
                provider=_text(holder, "idp", _PROVIDER),
                token_subject=_text(holder, "idp_sub", _TEXT),
                groups=_texts(holder, "groups", _GROUP),
                provisioned_as=_free_text(holder, "provisioned_as"),
                session=_optional(holder, "sid", _ID),
                provider_session=_free_text(holder, "idp_sid"),
            )
        )
    return tuple(delegates)


def _made_from(claims: JsonObject) -> tuple[str, ...]:
    made_from = _texts(claims, "made_from", _SHA256) if "made_from" in claims else ()
    if len(made_from) > MAX_MADE_FROM:
        raise rejection("malformed_claim", claim="made_from")
    return made_from


def _required(claims: JsonObject, claim: str) -> object:
    if claim not in claims:
        raise rejection("missing_claim", claim=claim)
    return claims[claim]


def _text(claims: JsonObject, claim: str, form: re.Pattern[str]) -> str:
    value = _required(claims, claim)
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise rejection("malformed_claim", claim=claim)
    return value


def _optional(claims: JsonObject, claim: str, form: re.Pattern[str]) -> str | None:
    return _text(claims, claim, form) if claim in claims else None


def _free_text(claims: JsonObject, claim: str) -> str | None:
    # The provider's own name for something: any Unicode, compared as it is and put into no policy row.
    value = claims.get(claim)
    if claim in claims and not (isinstance(value, str) and 0 < len(value) <= 2048):
        raise rejection("malformed_claim", claim=claim)
    return value


def _texts(claims: JsonObject, claim: str, form: re.Pattern[str]) -> tuple[str, ...]:
    values = _required(claims, claim)
    if not isinstance(values, list) or not all(isinstance(each, str) and form.fullmatch(each) for each in values):
        raise rejection("malformed_claim", claim=claim)
    return tuple(values)


def _time(claims: JsonObject, claim: str) -> int:
    value = _required(claims, claim)
    # bool is an int to Python, and `true` is not a time.
    if type(value) is not int or not 0 <= value <= MAX_TIME:
        raise rejection("malformed_claim", claim=claim)
    return value
