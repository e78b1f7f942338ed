"""How an account at a provider is named in policies, and which of its e-mail addresses is believed.

A name must mean one thing in a policy row, a log line and a spreadsheet, so it is made of ASCII letters, digits and
`. _ @ + = | : / ~ -` only. A user name outside of that refuses the token. A group name outside of it
(blanks, commas, `*`) is dropped: no rule can name it. A rule that denies such a group would never match, which is
why the policy check must refuse subjects outside of this alphabet too.
"""

import re

from identity.claims import subject
from identity.provider_settings import ProviderSettings
from identity.rejections import rejection
from identity.strict_json import JsonObject

NAME_RULE = "1 to 255 ASCII letters, digits and . _ @ + = | : / ~ -"

_NAME = re.compile(r"[A-Za-z0-9._@+=|:/~-]{1,255}")
_LOCAL_PART = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")


def is_safe_name(name: str) -> bool:
    """Tell whether a user or group name can stand in a policy subject."""
    return _NAME.fullmatch(name) is not None


def normalise_email(address: str) -> str | None:
    """Return an address in the one form that is compared, None where it is not a plain ASCII address.

    The form is lower case in both parts: mail systems that tell `Alice@` from `alice@` are not known, and two people
    must not differ by case. Quoted local parts, several `@`, Unicode and address literals are not addresses here.
    """
    if not address.isascii() or len(address) > 254 or address.count("@") != 1:
        return None
    local, domain = address.lower().split("@")
    if _LOCAL_PART.fullmatch(local) is None or _DOMAIN.fullmatch(domain) is None:
        return None
    return f"{local}@{domain}"


def verified_email(claims: JsonObject) -> str | None:
    """Return the normalised address that the provider has verified (`email_verified` is `true`, not `"true"`)."""
    address = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(address, str):
        return None
    return normalise_email(address)


def linkable_email(claims: JsonObject, settings: ProviderSettings) -> str | None:
    """Return the verified address where this provider is believed for its domain (exactly, no subdomains)."""
    address = verified_email(claims)
    if address is None or address.partition("@")[2] not in settings.email_domains:
        return None
    return address


def username(claims: JsonObject, settings: ProviderSettings) -> str:
    """Return what the account is called: the configured claim, as it is; an e-mail address verified and normalised.

    Where `email_domains` are configured, an e-mail address must be of one of them. Raises InvalidCredentialError
    (unusable_username) where the claim can't name a user.
    """
    claim = settings.username_claim
    if claim == "email":
        name = linkable_email(claims, settings) if settings.email_domains else verified_email(claims)
        rule = "a verified address of a trusted domain, in " + NAME_RULE
    else:
        name = subject(claims) if claim == "sub" else claims.get(claim)
        rule = NAME_RULE
    if not isinstance(name, str) or not is_safe_name(name):
        raise rejection("unusable_username", claim=claim, rule=rule)
    return name


def group_subjects(found: object, settings: ProviderSettings) -> tuple[str, ...]:
    """Return groups as policy subjects (`group:corp:dev`), each once, in the provider's order.

    `found` is what stands at the provider's `groups_claim`: a list of names, one name, or None. Raises
    InvalidCredentialError (malformed_claim) where it is anything else.
    """
    if found is None:
        return ()
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list):
        raise rejection("malformed_claim", claim=settings.groups_claim)
    safe = (name for name in names if isinstance(name, str) and is_safe_name(name))
    return tuple(dict.fromkeys(f"group:{settings.name}:{name}" for name in safe))


def account_subject(provider: str, name: str) -> str:
    """Return the policy subject of an account that no person is linked to; a person's own never has a second `:`."""
    return f"user:{provider}:{name}"
