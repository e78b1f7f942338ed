"""What a caller is told about a decision: what was asked, what decided, and what would help."""

from typing import Any

from gateway.policy.request import AccessRequest, Decision
from gateway.problems import Problem


def decision_members(asked: AccessRequest, decision: Decision, roles: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON form of a decision, the same in a 403 and in the answer of can-i."""
    rule = decision.rule
    return {
        "allowed": decision.allowed,
        "subject": asked.subject,
        "environment": asked.environment,
        "resource": asked.resource,
        "action": asked.action,
        "reason": decision.reason,
        "rule": {"file": rule.file, "line": rule.line, "text": rule.text} if rule is not None else None,
        "role_path": list(decision.role_path),
        "roles_that_would_allow": list(roles),
        "policy": {"commit": decision.revision.commit, "digest": decision.revision.digest},
    }


def denial(asked: AccessRequest, decision: Decision, roles: tuple[str, ...]) -> Problem:
    """Return the 403 of a denied request, with the roles that would have allowed it."""
    what = f"{asked.subject} may not {asked.action} on {asked.resource} in {asked.environment}"
    if decision.rule is not None:
        why = f"the rule at {decision.rule.file}:{decision.rule.line} denies it"
    elif roles:
        why = f"no rule allows it; it would be allowed with {' or '.join(roles)}"
    else:
        why = "no rule allows it, and no role in the policy would"
    return Problem("denied", f"{what}: {why}", members={"decision": decision_members(asked, decision, roles)})
