"""Links of `identities.yaml` that can't match any token, whoever comes: the providers' settings leave no way to it.

A typing error there keeps somebody out in silence, or leaves them an account of its own in place of the person's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from identity.directory import Directory, Person
from identity.provider_settings import ProviderSettings


@dataclass(frozen=True, slots=True, order=True)
class DeadLink:
    """One reason for which links are dead; `line` is the first one's in `identities.yaml`, from 1."""

    line: int
    message: str


def dead_links(directory: Directory, providers: Iterable[ProviderSettings]) -> tuple[DeadLink, ...]:
    """Return why links can't match at these providers, in the order of the file: each reason once."""
    known = {provider.name: provider for provider in providers}
    lines: dict[str, list[int]] = {}
    for line, message in (*_accounts(directory, known), *_workloads(directory, known)):
        lines.setdefault(message, []).append(line)
    return tuple(
        sorted(
            DeadLink(min(places), f"{message} ({len(places)} of them)" if len(places) > 1 else message)
            for message, places in lines.items()
        )
    )


def _accounts(directory: Directory, known: dict[str, ProviderSettings]) -> Iterator[tuple[int, str]]:
    for kind, accounts in (("subject", directory.by_subject), ("email", directory.by_email)):
        for (name, account), person in accounts.items():
            reason = _reason(known.get(name), email=account if kind == "email" else None)
            if reason is not None:
                yield _line(person, kind, name, account), f"an account is linked at the provider {name!r}, {reason}"


def _workloads(directory: Directory, known: dict[str, ProviderSettings]) -> Iterator[tuple[int, str]]:
    for workload in directory.workloads:
        provider = known.get(workload.provider)
        if provider is None:
            reason = "which is not configured"
        elif provider.tokens != "workloads":
            reason = "which lacks `tokens: workloads`"
        else:
            continue
        yield workload.line, f"a workload is defined at the provider {workload.provider!r}, {reason}"


def _reason(provider: ProviderSettings | None, *, email: str | None) -> str | None:
    if provider is None:
        return "which is not configured"
    if provider.tokens == "workloads":
        return "whose tokens are workloads'"
    if email is None:
        return None
    if not provider.email_domains:
        return "by an address, but the provider has no email_domains"
    domain = email.partition("@")[2]
    return None if domain in provider.email_domains else f"by an address of {domain}, which its email_domains lack"


def _line(person: Person, kind: str, provider: str, name: str) -> int:
    same = (each.line for each in person.accounts if (each.kind, each.provider, each.name) == (kind, provider, name))
    return next(same, person.line)
