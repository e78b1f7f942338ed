"""What a provider says of itself, checked before any of it is used (OpenID Connect Discovery 1.0; RFC 8414)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from identity.provider_settings import ProviderSettings
from identity.secure_url import insecure_reason
from identity.strict_json import JsonObject

MAX_LIST_LENGTH = 1000
MAX_TEXT_LENGTH = 255


class MetadataError(Exception):
    """A metadata document can't be believed; the text says why."""


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """One provider's endpoints and abilities, as far as the gateway uses them.

    An endpoint is None where the provider names none; each is https, or on this machine where the issuer is too. Of
    what a provider may leave unsaid (`claims_supported` and so on) None means that it has not said.

    - `sends_issuer`: its authorization responses carry `iss` (RFC 9207).
    - `id_token_algorithms`: with which it may sign ID tokens.
    """

    issuer: str
    jwks_uri: str | None = None
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    introspection_endpoint: str | None = None
    sends_issuer: bool = False
    backchannel_logout_supported: bool = False
    id_token_algorithms: tuple[str, ...] | None = None
    claims_supported: tuple[str, ...] | None = None
    scopes_supported: tuple[str, ...] | None = None
    code_challenge_methods: tuple[str, ...] | None = None


def parse_metadata(document: JsonObject, settings: ProviderSettings) -> ProviderMetadata:
    """Return what a metadata document says.

    Its `issuer` must equal the configured one exactly (Discovery, section 4.3; RFC 8414, section 3.3). It must say
    where the keys are, unless the provider's tokens are introspected. Raises MetadataError.
    """
    issuer = document.get("issuer")
    if issuer != settings.issuer:
        raise MetadataError(f"its issuer is not {settings.issuer}, character for character, but {str(issuer)[:255]!r}")
    if document.get("jwks_uri") is None and settings.introspection is None:
        raise MetadataError("it has no jwks_uri")
    return ProviderMetadata(
        issuer=settings.issuer,
        jwks_uri=_endpoint(document, "jwks_uri", settings),
        authorization_endpoint=_endpoint(document, "authorization_endpoint", settings),
        token_endpoint=_endpoint(document, "token_endpoint", settings),
        userinfo_endpoint=_endpoint(document, "userinfo_endpoint", settings),
        introspection_endpoint=_endpoint(document, "introspection_endpoint", settings),
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        backchannel_logout_supported=document.get("backchannel_logout_supported") is True,
        id_token_algorithms=_texts(document, "id_token_signing_alg_values_supported"),
        claims_supported=_texts(document, "claims_supported"),
        scopes_supported=_texts(document, "scopes_supported"),
        code_challenge_methods=_texts(document, "code_challenge_methods_supported"),
    )


def _endpoint(document: JsonObject, member: str, settings: ProviderSettings) -> str | None:
    url = document.get(member)
    if url is None:
        return None
    if not isinstance(url, str):
        raise MetadataError(f"its {member} is not a text")
    reason = insecure_reason(url)
    if reason is None and urlsplit(url).scheme == "http" and urlsplit(settings.issuer).scheme == "https":
        reason = "must be https, as the issuer is"
    if reason is not None:
        raise MetadataError(f"its {member} {reason}")
    return url


def _texts(document: JsonObject, member: str) -> tuple[str, ...] | None:
    value = document.get(member)
    if not isinstance(value, list):
        return None
    return tuple(text for text in value[:MAX_LIST_LENGTH] if isinstance(text, str) and len(text) <= MAX_TEXT_LENGTH)
