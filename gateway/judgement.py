"""Steps one to four: read the target and headers, authenticate, classify, decide.

Each step fills in what it finds out about the exchange and returns the problem that ends the way, or None.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from adapters.backend import BackendRequest, UnclassifiedError
from gateway.backends import Backend
from gateway.body import BodyTooLargeError, BodyTooSlowError, ClientBody, ClientGoneError
from gateway.credential import presented_token
from gateway.denials import denial, stronger_login_required
from gateway.exchange import Exchange
from gateway.headers import BadHeadersError, RequestHeaders
from gateway.policy.engine import PolicyEngine
from gateway.policy.request import AccessRequest, ContextValue, Decision
from gateway.policy.step_up import StepUp, stronger_login
from gateway.possession import Possession, binding_problem, token_binding
from gateway.problems import Problem
from gateway.target import TargetRefusedError, parse_target
from identity.authenticator import Authenticator, InvalidCredentialError, ProviderUnavailableError
from identity.principal import Delegate, Principal
from identity.state import StateUnavailableError

# Who called is decided on as they were when the head came: a body must not keep that for long.
HELD_WITHIN_S = 30.0
# TRACE echoes the request, and with it the backend's credential. CONNECT never gets here.
_METHODS_REFUSED = frozenset(("TRACE", "TRACK"))


class Judge:
    """Decides whether a request goes on. Forwards nothing and records nothing."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        authenticator: Authenticator,
        policy: Callable[[], PolicyEngine],
        possession: Possession,
    ) -> None:
        self._backends = backends
        self._relaxed = {name: backend.adapter.relaxed for name, backend in backends.items()}
        self._authenticator = authenticator
        self._policy = policy
        self._possession = possession

    async def judge(self, exchange: Exchange) -> Problem | None:
        """Return why the request is not to be forwarded, None where it is allowed."""
        # Who is calling comes before which backend is there: strangers learn no backend's name.
        return (
            self._read_head(exchange)
            or await self.authenticate(exchange)
            or await self._classify(exchange)
            or self._decide(exchange)
        )

    def _read_head(self, exchange: Exchange) -> Problem | None:
        problem = read_head(exchange, self._relaxed)
        target, headers = exchange.target, exchange.headers
        if target is not None:
            exchange.backend = self._backends.get(target.backend)
        if problem is not None:
            return problem
        assert headers is not None
        exchange.body = ClientBody(exchange.receive, headers.length, framed=headers.framed)
        if exchange.method in _METHODS_REFUSED:
            return Problem("method_not_allowed", f"{exchange.method} would show the caller what the backend received")
        return None

    async def authenticate(self, exchange: Exchange) -> Problem | None:
        """Fill in the principal from the exchange's headers."""
        assert exchange.headers is not None
        backend = exchange.backend
        try:
            presented = presented_token(exchange.headers, backend.adapter.token_header if backend is not None else None)
            if presented is None:
                return Problem(
                    "credential_required", "log in (`portcullis login`) and send the token as a bearer token"
                )
            principal = await self._authenticator.authenticate(presented.token)
        except InvalidCredentialError as error:
            return Problem("invalid_credential", error.detail, "invalid_token", {"error": error.code})
        except StateUnavailableError:
            return Problem("identity_state_unavailable", "nobody can be told apart from the revoked: try again later")
        except ProviderUnavailableError as error:
            return Problem("provider_unavailable", f"the provider {error.provider!r} can't be reached: try again later")
        problem = self._possession.check(exchange, presented, principal)
        if problem is not None:
            # Whoever can't prove to hold the token's key is not the one it was issued to.
            return problem
        exchange.principal = principal
        return binding_problem(backend, principal)

    async def _classify(self, exchange: Exchange) -> Problem | None:
        backend, target, headers, body = exchange.backend, exchange.target, exchange.headers, exchange.body
        assert target is not None and headers is not None and isinstance(body, ClientBody)
        if backend is None:
            return Problem("unknown_backend", f"no backend is named {target.backend!r}: the path begins with its name")
        request = BackendRequest(exchange.method, target.path, target.segments, target.query, headers.forwarded)
        try:
            limit = backend.adapter.body_limit(request)
            if limit:
                exchange.body = held = await body.held(limit, HELD_WITHIN_S)
                request = replace(request, body=held.data)
            exchange.accesses = backend.adapter.classify(request)
        except UnclassifiedError as error:
            return Problem("unclassified", str(error))
        except BodyTooLargeError:
            return Problem("body_too_large", f"this call's body must be read to be classified: at most {limit} bytes")
        except BodyTooSlowError:
            return Problem(
                "body_too_slow", f"this call's body must be read to be classified: within {HELD_WITHIN_S:g} s"
            )
        except ClientGoneError:
            return Problem("bad_request", "the connection was closed before the body was complete")
        exchange.request = request
        return None

    def _decide(self, exchange: Exchange) -> Problem | None:
        principal, backend = exchange.principal, exchange.backend
        assert principal is not None and backend is not None
        return decide(self._policy(), exchange, principal, backend.name, backend.environment)


def decide(
    engine: PolicyEngine, exchange: Exchange, principal: Principal, backend: str, environment: str
) -> Problem | None:
    """Decide every access of a request, fill in the decisions, and return why the first denied one is denied."""
    context = request_context(exchange, principal)
    # Whoever acts for somebody needs the right as well, and what either lacks denies.
    parties: tuple[Principal | Delegate, ...] = (principal, *principal.delegates)
    decisions: list[Decision] = []
    for access in exchange.accesses:
        if not principal.limits.allow(backend, access.action):
            exchange.decisions = tuple(decisions)
            return Problem("beyond_token", f"the token is not good for {access.action} on {backend}")
        for party in parties:
            asked = AccessRequest(party.subject, party.groups, environment, access.resource, access.action, context)
            decision = engine.decide(asked)
            if not decision.allowed:
                exchange.decisions = (*decisions, decision)
                roles = engine.roles_that_would_allow(asked)
                step_up = _login_that_would_do(engine, exchange, principal, backend, asked)
                if step_up is None:
                    return denial(asked, decision, roles)
                dpop = token_binding(principal) == "dpop"
                return stronger_login_required(asked, decision, roles, step_up, dpop=dpop)
            if party is principal:
                decisions.append(decision)
    exchange.decisions = tuple(decisions)
    return None


def _login_that_would_do(
    engine: PolicyEngine, exchange: Exchange, principal: Principal, backend: str, denied: AccessRequest
) -> StepUp | None:
    """Return the login with which the whole request would be allowed: all its accesses, to all who take part in it.

    Only what the person lacks can be asked for: an agent can't log in again, and a workload has no login.
    """
    if principal.kind != "user" or denied.subject != principal.subject:
        return None
    if not all(principal.limits.allow(backend, access.action) for access in exchange.accesses):
        return None
    parties: tuple[Principal | Delegate, ...] = (principal, *principal.delegates)
    everything = [
        denied._replace(subject=party.subject, groups=party.groups, resource=access.resource, action=access.action)
        for access in exchange.accesses
        for party in parties
    ]
    return stronger_login(engine, denied, *everything)


def read_head(exchange: Exchange, relaxed: Mapping[str, frozenset[str]]) -> Problem | None:
    """Fill in the target and the headers, on the data path and on the gateway's own paths alike."""
    try:
        exchange.target = parse_target(exchange.raw.target, relaxed)
        exchange.headers = RequestHeaders(exchange.raw.headers)
    except TargetRefusedError as refused:
        return Problem("bad_target", str(refused), members={"rule": refused.rule})
    except BadHeadersError as error:
        return Problem("bad_headers", str(error))
    return None


def request_context(exchange: Exchange, principal: Principal) -> dict[str, ContextValue]:
    """Return what the policy's conditions can see of a request; what the token does not say is absent."""
    now = exchange.received_us // 1_000_000
    context: dict[str, ContextValue] = {
        "time": now,
        "source": exchange.source,
        "provider": principal.provider,
        "username": principal.username,
        "amr": principal.amr,
        "token_age_s": now - principal.issued_at,
        "method": exchange.method,
        "token_binding": token_binding(principal),
    }
    if principal.acr is not None:
        context["acr"] = principal.acr
    if principal.authenticated_at is not None:
        context["auth_age_s"] = now - principal.authenticated_at
    return context
