"""What is known about a policy subject: the person or workload, their accounts, who can vouch for them, their roles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.cli.output import printable
from gateway.policy.bundle import PolicyBundle
from gateway.policy.bundle_files import IDENTITIES
from gateway.policy.holdings import Holding, holdings
from identity.directory import Account, Person
from identity.provider_settings import ProviderSettings
from identity.workloads import Workload


@dataclass(frozen=True, slots=True)
class Report:
    """The answer as JSON, the same as lines of text, and whether the subject is known and can get in."""

    document: Mapping[str, Any]
    lines: tuple[str, ...]
    ok: bool


def report_on(subject: str, bundle: PolicyBundle, providers: Iterable[ProviderSettings]) -> Report | None:
    """Return what is known about `user:...` or `workload:...`; None where it is neither."""
    by_name = {provider.name: provider for provider in providers}
    kind, _, name = subject.partition(":")
    if kind == "workload" and ":" in name:
        provider, _, entry = name.partition(":")
        return _workload(subject, bundle.directory.workload(provider, entry), bundle, by_name)
    if kind != "user" or not name:
        return None
    if ":" in name:
        return _unlinked(subject, name.partition(":")[0], bundle, by_name)
    return _person(subject, bundle.directory.person(name), bundle, by_name)


def role_lines(found: Iterable[Holding] | None) -> list[str]:
    """Return one line a role; None stands for a model whose roles are its own affair."""
    if found is None:
        return ["roles        by a model of its own: ask `can-i`"]
    lines = []
    for held in found:
        through = f", through {' -> '.join(held.path[1:-1])}" if len(held.path) > 2 else ""
        lines.append(f"role         {held.role}{through} ({held.link.file}:{held.link.line})")
    return lines


def role_documents(found: Iterable[Holding] | None) -> list[dict[str, Any]] | None:
    """Return roles as JSON objects."""
    if found is None:
        return None
    return [
        {"role": held.role, "path": list(held.path), "file": held.link.file, "line": held.link.line} for held in found
    ]


def person_place(person: Person, bundle: PolicyBundle) -> str:
    """Return a person with what they are called and where they stand."""
    called = f" ({person.name})" if person.name is not None else ""
    return f"{person.id}{called}, {identities_place(bundle, person.line)}"


def identities_place(bundle: PolicyBundle, line: int) -> str:
    """Return a line of `identities.yaml` as editors jump to it."""
    return f"{bundle.path / IDENTITIES}:{line}"


def _person(
    subject: str, person: Person | None, bundle: PolicyBundle, providers: Mapping[str, ProviderSettings]
) -> Report:
    if person is None:
        return _unknown(subject, "no such person", "an account that nobody is linked to is user:<provider>:<name>")
    problems = [_account_problem(account, providers) for account in person.accounts]
    vouching = list(
        dict.fromkeys(
            account.provider for account, problem in zip(person.accounts, problems, strict=True) if problem is None
        )
    )
    found = holdings(bundle, subject)
    lines = [f"subject      {subject}", f"person       {person_place(person, bundle)}"]
    lines.append(f"deactivated  {'yes: every token of these accounts is refused' if person.deactivated else 'no'}")
    accounts = []
    for account, problem in zip(person.accounts, problems, strict=True):
        called = f"{'e-mail' if account.kind == 'email' else 'subject'} {account.name}"
        place = identities_place(bundle, account.line)
        never = f": never matches, {problem}" if problem is not None else ""
        lines.append(f"account      {account.provider}, {called} ({place}){never}")
        accounts.append(
            {"provider": account.provider, account.kind: account.name, "line": account.line, "problem": problem}
        )
    lines.append(_vouching_line(vouching))
    lines += role_lines(found)
    lines.append("and whatever the groups in a token of theirs give")
    document = {
        "subject": subject,
        "ok": bool(vouching) and not person.deactivated,
        "person": {"id": person.id, "name": person.name, "line": person.line, "deactivated": person.deactivated},
        "accounts": accounts,
        "providers": vouching,
        "roles": role_documents(found),
    }
    return _report(document, lines)


def _account_problem(account: Account, providers: Mapping[str, ProviderSettings]) -> str | None:
    settings = providers.get(account.provider)
    if settings is None:
        return "no provider of that name is configured"
    if settings.tokens != "people":
        return "the provider's tokens are workloads'"
    if account.kind == "email" and account.name.partition("@")[2] not in settings.email_domains:
        return "the provider is not trusted for that domain (email_domains)"
    return None


def _workload(
    subject: str, workload: Workload | None, bundle: PolicyBundle, providers: Mapping[str, ProviderSettings]
) -> Report:
    if workload is None:
        return _unknown(subject, "no such workload", "workloads stand below `workloads` in identities.yaml")
    settings = providers.get(workload.provider)
    vouching = [workload.provider] if settings is not None and settings.tokens == "workloads" else []
    found = holdings(bundle, subject)
    lines = [
        f"subject      {subject}",
        f"workload     {workload.name}, {identities_place(bundle, workload.line)}",
        *(
            f"claim        {condition.claim}: {' or '.join(pattern.text for pattern in condition.patterns)}"
            for condition in workload.conditions
        ),
        _vouching_line(vouching),
        *role_lines(found),
    ]
    document = {
        "subject": subject,
        "ok": bool(vouching),
        "workload": {
            "name": workload.name,
            "line": workload.line,
            "claims": {
                condition.claim: [pattern.text for pattern in condition.patterns] for condition in workload.conditions
            },
        },
        "providers": vouching,
        "roles": role_documents(found),
    }
    return _report(document, lines)


def _unlinked(subject: str, provider: str, bundle: PolicyBundle, providers: Mapping[str, ProviderSettings]) -> Report:
    settings = providers.get(provider)
    vouching = [provider] if settings is not None and settings.tokens == "people" else []
    found = holdings(bundle, subject)
    lines = [
        f"subject      {subject}",
        "person       nobody: so an account is called while no person is linked to it",
        _vouching_line(vouching),
        *role_lines(found),
    ]
    document = {"subject": subject, "ok": bool(vouching), "providers": vouching, "roles": role_documents(found)}
    return _report(document, lines)


def _unknown(subject: str, problem: str, remedy: str) -> Report:
    lines = [f"subject      {subject}", f"unknown      {problem}: {remedy}"]
    return _report({"subject": subject, "ok": False, "problem": problem}, lines)


def _vouching_line(vouching: list[str]) -> str:
    return f"vouched for  by {', '.join(vouching)}" if vouching else "vouched for  by nobody: no token leads here"


def _report(document: Mapping[str, Any], lines: list[str]) -> Report:
    return Report(document, tuple(printable(line) for line in lines), bool(document["ok"]))
