"""Whether an agent may act for somebody: a rule of the policy like any other.

`p, workload:ci:agent, control, -/delegations/user:alice, act, allow,` lets the agent exchange a token of alice's for
one in its own hands. What it can do with that is decided for both of them, at every access.
"""

from collections.abc import Callable

from gateway.exchange import Exchange
from gateway.judgement import request_context
from gateway.policy.engine import PolicyEngine
from gateway.policy.request import AccessRequest
from gateway.recording import CONTROL_ENVIRONMENT
from identity.issuer.exchange import DelegationAnswer
from identity.principal import Principal


def delegation_check(engine: PolicyEngine, exchange: Exchange) -> Callable[[Principal, Principal], DelegationAnswer]:
    """Return what asks the policy whether the first (the actor) may act for the second."""

    def may_act(actor: Principal, subject: Principal) -> DelegationAnswer:
        resource = f"-/delegations/{subject.subject}"
        context = request_context(exchange, actor)
        decision = engine.decide(
            AccessRequest(actor.subject, actor.groups, CONTROL_ENVIRONMENT, resource, "act", context)
        )
        rule = decision.rule
        where = f"the rule at {rule.file}:{rule.line}" if rule is not None else f"no rule for act on {resource}"
        return DelegationAnswer(decision.allowed, where)

    return may_act
