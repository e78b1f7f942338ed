"""How a token resolves, step by step, by the gateway's configuration; no part of the token is shown."""

import asyncio
from collections.abc import Iterator
from typing import Any

from gateway.cli.identity_hints import hints, unknown_issuer
from gateway.cli.identity_state import teach
from gateway.cli.identity_subject import Report, identities_place, person_place, role_documents, role_lines
from gateway.cli.output import CommandError, printable
from gateway.policy.bundle import PolicyBundle
from gateway.policy.holdings import holdings
from gateway.settings import Settings
from identity.authenticator import InvalidCredentialError
from identity.compact_jws import parse_compact_jws
from identity.federation import Explanation, Federation
from identity.principal import Principal
from identity.provider_settings import ProviderSettings
from identity.secret import SecretError
from identity.strict_json import JsonObject


def explain(token: bytes, settings: Settings, bundle: PolicyBundle) -> Report:
    """Return every step up to the first that fails, and who the token stands for where none does.

    The provider's keys are fetched for it. Raises CommandError where a secret that the configuration names can't be
    read.
    """
    if not token:
        raise CommandError("there is no token: standard input or the file is empty")
    if token[:7].lower() == b"bearer ":
        raise CommandError("the token has `Bearer ` in front of it, which is the header's: leave that off")
    try:
        explanation, notes = asyncio.run(_explained(token, settings, bundle))
    except SecretError as error:
        raise CommandError(str(error)) from error
    notes += list(_notes(token, explanation, settings, bundle))
    principal = explanation.principal
    lines = [f"{'ok  ' if step.ok else 'FAIL'} {step.name:<13}{step.text}" for step in explanation.steps]
    lines += [f"     {name:<13}{text}" for name, text in notes]
    document: dict[str, Any] = {
        "ok": principal is not None,
        "code": explanation.code,
        "steps": [{"name": step.name, "ok": step.ok, "text": step.text} for step in explanation.steps],
        "notes": [{"name": name, "text": text} for name, text in notes],
    }
    if principal is not None:
        lines += _principal_lines(principal, bundle)
        document |= _principal_document(principal, bundle)
    else:
        lines.append(f"refused      {explanation.code}")
    return Report(document, tuple(printable(line) for line in lines), principal is not None)


async def _explained(
    token: bytes, settings: Settings, bundle: PolicyBundle
) -> tuple[Explanation, list[tuple[str, str]]]:
    federation = Federation(settings.identity.providers, bundle.directory)
    try:
        unread = await teach(federation, settings)
        asked = _providers_to_ask(token, federation, settings)
        await asyncio.gather(*(federation.refresh(name) for name in asked))
        explanation = await federation.explain(token)
        notes = [
            ("provider", f"{status.name}: {status.detail}")
            for status in federation.status()
            if status.name in asked and status.ready and status.detail != "ok"
        ]
        if unread is not None:
            notes.append(("state", f"what was revoked or pushed by SCIM is not looked at: {unread}"))
    finally:
        await federation.close()
    return explanation, notes


def _providers_to_ask(token: bytes, federation: Federation, settings: Settings) -> list[str]:
    """Return the provider that the token says it comes from, all where it does not say."""
    claims = _unverified_claims(token)
    issuer = claims.get("iss") if claims is not None else None
    provider = federation.provider_of(issuer) if isinstance(issuer, str) else None
    if provider is not None:
        return [provider.settings.name]
    return [each.name for each in settings.identity.providers] if issuer is None else []


def _unverified_claims(token: bytes) -> JsonObject | None:
    try:
        return parse_compact_jws(token).unverified_claims
    except InvalidCredentialError:
        return None


def _notes(
    token: bytes, explanation: Explanation, settings: Settings, bundle: PolicyBundle
) -> Iterator[tuple[str, str]]:
    claims = _unverified_claims(token)
    if claims is None:
        return
    if explanation.code == "unknown_issuer" and claims.get("iss") == settings.public_url:
        yield "issuer", "it says that it is the gateway's own, whose keys are in identity.state"
    elif explanation.code == "unknown_issuer":
        yield from unknown_issuer(claims.get("iss"), settings.identity.providers)
    provider = _provider_of(claims, settings)
    if provider is not None and any(step.name == "signature" and step.ok for step in explanation.steps):
        yield from hints(claims, provider, bundle, explanation.code)


def _provider_of(claims: JsonObject, settings: Settings) -> ProviderSettings | None:
    issuer = claims.get("iss")
    for provider in settings.identity.providers:
        subjects = f"{provider.issuer}/" if provider.trust_domain is not None else None
        if issuer == provider.issuer or (
            issuer is None and subjects is not None and str(claims.get("sub")).startswith(subjects)
        ):
            return provider
    return None


def _principal_lines(principal: Principal, bundle: PolicyBundle) -> list[str]:
    lines = [f"subject      {principal.subject}"]
    kind, _, name = principal.subject.partition(":")
    person = bundle.directory.person(name) if kind == "user" else None
    if person is not None:
        lines.append(f"person       {person_place(person, bundle)}")
    provider, _, entry = name.partition(":")
    workload = bundle.directory.workload(provider, entry) if kind == "workload" else None
    if workload is not None:
        lines.append(f"workload     {workload.name}, {identities_place(bundle, workload.line)}")
    lines.append(f"groups       {', '.join(principal.groups) or 'none'}")
    # What is not there does not bound the token.
    for label, limit in (("only for", principal.limits.backends), ("only to", principal.limits.actions)):
        if limit is not None:
            lines.append(f"{label:<13}{', '.join(limit) or 'nothing'}")
    lines += role_lines(holdings(bundle, principal.subject, principal.groups))
    return lines


def _principal_document(principal: Principal, bundle: PolicyBundle) -> dict[str, Any]:
    return {
        "subject": principal.subject,
        "provider": principal.provider,
        "token_subject": principal.token_subject,
        "username": principal.username,
        "groups": list(principal.groups),
        "expires_at": principal.expires_at,
        "backends": _listed(principal.limits.backends),
        "actions": _listed(principal.limits.actions),
        "token_sha256": principal.token_sha256,
        "roles": role_documents(holdings(bundle, principal.subject, principal.groups)),
    }


def _listed(limit: tuple[str, ...] | None) -> list[str] | None:
    return list(limit) if limit is not None else None
