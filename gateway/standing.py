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
        current = federation.resolve_again(principal)
    except InvalidCredentialError as error:
        return Problem("invalid_credential", error.detail, "invalid_token", {"error": error.code})
    decided = exchange.decisions
    problem = decide(engine, exchange, current, backend.name, backend.environment)
    # What was decided when the request came stays what its record says.
    exchange.decisions = decided
    return problem


def problem_of_age(exchange: Exchange, federation: Federation, session_idle_s: int, now: float) -> Problem | None:
    """Return that what vouched for the exchange's caller is over, None where it is not.

    A provider's token vouches until it expires, give or take that provider's leeway. A session's own token does as
    long as the session could go without a renewal, since its holder can have a new one at any time; the session's end,
    when somebody brings it about, is a revocation. What was exchanged from it can't be renewed and ends as it says.
    """
    principal = exchange.principal
    assert principal is not None
    if principal.session is not None:
        until = principal.expires_at if principal.made_from else principal.issued_at + session_idle_s
    else:
        until = principal.expires_at + federation.provider(principal.provider).settings.leeway_s
    if now < max(until, principal.expires_at):
        return None
    return Problem(
        "invalid_credential", "the token expired: get a new one", "invalid_token", {"error": "token_expired"}
    )
