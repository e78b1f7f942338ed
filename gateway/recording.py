"""Turns what the pipeline knows about a request into audit records."""

import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from audit import record
from audit.receipt import Receipt
from audit.record import AuthnAction, Record, Result, Verdict
from gateway.exchange import Exchange
from gateway.policy.request import Decision
from gateway.problems import Problem
from identity.principal import Principal

CONTROL_BACKEND: Final = "-"
CONTROL_ENVIRONMENT: Final = "control"
"""What the gateway's own API is to the policy."""

_VERDICTS: Final[Mapping[str, Verdict]] = {
    "credential_required": "unauthenticated",
    "invalid_credential": "unauthenticated",
    "token_binding_required": "denied",
    "stronger_login_required": "denied",
    "beyond_token": "denied",
    "denied": "denied",
    "unclassified": "denied",
}


def verdict_of(problem: Problem | None) -> Verdict:
    """Return the verdict that a problem, or none, stands for in the record and in the metrics."""
    return "allowed" if problem is None else _VERDICTS.get(problem.code, "refused")


def query_keys(query: bytes | None) -> tuple[str, ...]:
    """Return the query's keys as they were sent; the values may be secrets and are not recorded."""
    if not query:
        return ()
    return tuple(pair.partition(b"=")[0].decode("latin-1") for pair in query.split(b"&"))


def decision_record(exchange: Exchange, problem: Problem | None, instance: str) -> Record:
    """Return the record of the decision: allowed where there is no problem."""
    principal, target = exchange.principal, exchange.target
    decision = exchange.decisions[-1] if exchange.decisions else None
    rule = decision.rule if decision is not None else None
    path, _, query = exchange.raw.target.partition(b"?")
    return record.decision(
        request_id=exchange.request_id,
        time_us=exchange.received_us,
        instance=instance,
        actor=principal,
        source=exchange.source,
        method=exchange.method,
        path=path.decode("latin-1"),
        query_keys=query_keys(query),
        backend=target.backend if target is not None else "",
        environment=_environment(exchange),
        accesses=tuple((access.resource, access.action) for access in exchange.accesses),
        verdict=verdict_of(problem),
        status=problem.status if problem is not None else None,
        reason=decision.reason if decision is not None else problem.code if problem is not None else "",
        rule_file=rule.file if rule is not None else "",
        rule_line=rule.line if rule is not None else 0,
        rule_text=rule.text if rule is not None else "",
        access_rules=_each_rule(exchange.decisions) if len(exchange.accesses) > 1 else (),
        role_path=decision.role_path if decision is not None else (),
        policy_commit=decision.revision.commit if decision is not None else "",
        policy_digest=decision.revision.digest if decision is not None else "",
    )


def _environment(exchange: Exchange) -> str:
    if exchange.backend is not None:
        return exchange.backend.environment
    # Without a backend only the gateway's own API gets as far as an access.
    return CONTROL_ENVIRONMENT if exchange.accesses else ""


def _each_rule(decisions: Sequence[Decision]) -> list[tuple[str, int, str] | None]:
    return [(each.rule.file, each.rule.line, each.rule.text) if each.rule is not None else None for each in decisions]


def outcome_record(exchange: Exchange, receipt: Receipt, result: Result, detail: str, duration_us: int) -> Record:
    """Return the record of how a forwarded request ended; `duration_us` runs from its decision being durable."""
    return record.outcome(
        request_id=exchange.request_id,
        decision_index=receipt.index,
        time_us=time.time_ns() // 1000,
        status=exchange.status,
        bytes_in=exchange.body.received if exchange.body is not None else 0,
        bytes_out=exchange.sent,
        duration_us=duration_us,
        result=result,
        detail=detail,
    )


def authn_record(
    exchange: Exchange,
    instance: str,
    action: AuthnAction,
    result: Literal["ok", "fail"],
    *,
    client: str,
    detail: str,
    actor: Principal | None = None,
    provider: str = "",
    session: str | None = None,
) -> Record:
    """Return the record of something that a request did to logins, tokens or accounts: see `audit.record.authn`."""
    return record.authn(
        request_id=exchange.request_id,
        time_us=exchange.received_us,
        instance=instance,
        action=action,
        result=result,
        actor=actor,
        source=exchange.source,
        client=client,
        provider=provider,
        session=session,
        detail=detail,
    )
