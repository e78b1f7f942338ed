"""Whether a request that is being forwarded would still be allowed: asked when identities or the policy change."""

from gateway.exchange import Exchange
from gateway.judgement import decide
from gateway.policy.engine import PolicyEngine
from gateway.problems import Problem
from identity.authenticator import InvalidCredentialError
from identity.federation import Federation


def problem_now(exchange: Exchange, federation: Federation, engine: PolicyEngine) -> Problem | None:
    """Return why the exchange's caller may no longer do what they are doing, None where they may.

    The request is judged as it was when it came: its time and its token's age don't count again.
    """
    principal, backend = exchange.principal, exchange.backend
    assert principal is not None and backend is not None
    try:
        current = federation.recheck(principal)
    except InvalidCredentialError as error:
        return Problem("invalid_credential", error.detail, "invalid_token", {"error": error.code})
    decided = exchange.decisions
    problem = decide(engine, exchange, current, backend.name, backend.environment)
    # What was decided when the request came stays what its record says.
    exchange.decisions = decided
    return problem
