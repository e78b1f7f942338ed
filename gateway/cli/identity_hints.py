"""What a verified token's claims add to how it resolves: why an address links nobody, which groups no rule can name,
which workload it nearly is.
"""

import time
from collections.abc import Iterator, Sequence

from gateway.cli.caller import moment
from gateway.cli.identity_subject import identities_place, person_place
from gateway.policy.bundle import PolicyBundle
from identity.accounts import NAME_RULE, is_safe_name, linkable_email, verified_email
from identity.directory import Person
from identity.group_claim import find_groups
from identity.provider_settings import ProviderSettings
from identity.strict_json import JsonObject

_MAX_TOLD = 10
_LONGEST_TOLD = 200
# 9999-12-31, the last day that can be written as people read it.
_LATEST_TOLD_S = 253_402_300_800


def hints(
    claims: JsonObject, settings: ProviderSettings, bundle: PolicyBundle, code: str | None
) -> Iterator[tuple[str, str]]:
    """Yield what to tell, as (name, text). `claims` have a good signature; `code` is that of the refusal, if any."""
    yield from _what_it_says(claims, code)
    if settings.tokens == "workloads":
        if code == "unknown_workload":
            yield from _near_workloads(claims, settings, bundle)
        return
    yield "e-mail", _address(claims, settings)
    yield from _dropped_groups(claims, settings)
    if code in ("person_deactivated", "ambiguous_person"):
        yield from _owners(claims, settings, bundle)


def unknown_issuer(issuer: object, providers: Sequence[ProviderSettings]) -> Iterator[tuple[str, str]]:
    """Yield which issuer a token that nobody here vouches for names, and the configured one that it nearly is."""
    if not isinstance(issuer, str):
        yield "issuer", "the token names none (`iss`)"
        return
    yield "issuer", f"the token says {_told(issuer)}"
    for provider in providers:
        if provider.issuer.rstrip("/").lower() == issuer.rstrip("/").lower():
            yield "issuer", f"{provider.name} is configured as {provider.issuer}: it must equal character for character"


def _what_it_says(claims: JsonObject, code: str | None) -> Iterator[tuple[str, str]]:
    if code == "wrong_audience":
        named = claims.get("aud")
        listed = named if isinstance(named, list) else [named]
        yield "audience", f"the token is for {', '.join(_told(each) for each in listed[:_MAX_TOLD])}"
    elif code in ("token_expired", "token_not_yet_valid"):
        names = ("exp",) if code == "token_expired" else ("nbf", "iat")
        for name in names:
            value = claims.get(name)
            if isinstance(value, int | float) and 0 <= value < _LATEST_TOLD_S:
                off = int(value - time.time())
                yield name, f"{moment(int(value))}, {abs(off)} s {'from now' if off > 0 else 'ago'}"


def _told(value: object) -> str:
    return repr(value if isinstance(value, str | int | None) else type(value).__name__)[:_LONGEST_TOLD]


def _address(claims: JsonObject, settings: ProviderSettings) -> str:
    address = linkable_email(claims, settings)
    if address is not None:
        return f"{address}, which {settings.name} is believed for"
    if claims.get("email") is None:
        return "none in the token: nobody is found by it"
    if claims.get("email_verified") is not True:
        return "not verified (`email_verified` is not true): nobody is found by it"
    if verified_email(claims) is None:
        return "not one plain ASCII address: nobody is found by it"
    return f"of a domain that is not among {settings.name}'s email_domains: nobody is found by it"


def _dropped_groups(claims: JsonObject, settings: ProviderSettings) -> Iterator[tuple[str, str]]:
    found = find_groups(claims, settings.groups_claim) if settings.groups_claim is not None else None
    names = found if isinstance(found, list) else [found]
    dropped = [name for name in names if isinstance(name, str) and not is_safe_name(name)]
    for name in dropped[:_MAX_TOLD]:
        yield "dropped", f"the group {name[:64]!r}: a name is {NAME_RULE}"
    if len(dropped) > _MAX_TOLD:
        yield "dropped", f"{len(dropped) - _MAX_TOLD} groups more"


def _near_workloads(claims: JsonObject, settings: ProviderSettings, bundle: PolicyBundle) -> Iterator[tuple[str, str]]:
    entries = bundle.directory.workloads_at(settings.name)
    if not entries:
        yield "workload", f"none is defined at {settings.name}: add one below `workloads` in identities.yaml"
    nearest = sorted(entries, key=lambda entry: len(entry.unmet(claims)))
    for entry in nearest[:_MAX_TOLD]:
        place = identities_place(bundle, entry.line)
        yield "workload", f"not {entry.name} ({place}), because of: {', '.join(entry.unmet(claims))}"


def _owners(claims: JsonObject, settings: ProviderSettings, bundle: PolicyBundle) -> Iterator[tuple[str, str]]:
    directory, address = bundle.directory, linkable_email(claims, settings)
    by_subject = directory.by_subject.get((settings.name, str(claims.get("sub"))))
    by_email = directory.by_email.get((settings.name, address)) if address is not None else None
    owners: dict[str, tuple[str, Person]] = {}
    for how, person in (("subject", by_subject), ("e-mail", by_email)):
        if person is not None:
            owners.setdefault(person.id, (how, person))
    for how, person in owners.values():
        state = ", deactivated" if person.deactivated else ""
        yield "person", f"{person_place(person, bundle)}, by {how}{state}"
