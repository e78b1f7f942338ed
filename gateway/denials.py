"""What a caller is told about a decision: what was asked, what decided, and what would help."""

from typing import Any

from gateway.policy.request import AccessRequest, Decision
from gateway.policy.step_up import StepUp
from gateway.possession import DPOP_CHALLENGE
from gateway.problems import Problem


def decision_members(
    asked: AccessRequest,
    decision: Decision,
    roles: tuple[str, ...],
    step_up: StepUp | None,
    lacking_binding: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the JSON form of a decision, the same in a 403 and in the answer of can-i.

    `step_up` is the login that would allow it, None where none would. `lacking_binding`: the backend would refuse the
    token before the policy is asked, since it is bound in none of these ways.
    """
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
        "step_up": _step_up_members(step_up) if step_up is not None else None,
        "token_binding_required": list(lacking_binding) or None,
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
    return Problem("denied", f"{what}: {why}", members={"decision": decision_members(asked, decision, roles, None)})


def stronger_login_required(
    asked: AccessRequest, decision: Decision, roles: tuple[str, ...], step_up: StepUp, *, dpop: bool
) -> Problem:
    """Return the 401 of a request that another login would allow (RFC 9470, section 3).

    `dpop`: the caller's token is bound to a DPoP key, and so must the next one be.
    """
    parameters = {}
    ways = []
    if step_up.acr_values:
        parameters["acr_values"] = " ".join(step_up.acr_values)
        ways.append(f"with acr {' or '.join(step_up.acr_values)}")
    if step_up.max_age_s is not None:
        parameters["max_age"] = str(step_up.max_age_s)
        ways.append(f"no longer than {step_up.max_age_s} s before the request")
    return Problem(
        "stronger_login_required",
        f"{asked.subject} may {asked.action} on {asked.resource} in {asked.environment} only after another login: "
        f"log in {', '.join(ways)}",
        "insufficient_user_authentication",
        {"decision": decision_members(asked, decision, roles, step_up), "step_up": _step_up_members(step_up)},
        scheme="DPoP" if dpop else "Bearer",
        parameters=parameters | (DPOP_CHALLENGE if dpop else {}),
    )


def _step_up_members(step_up: StepUp) -> dict[str, Any]:
    return {"acr_values": list(step_up.acr_values), "max_age": step_up.max_age_s}
