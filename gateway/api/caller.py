"""Who asks the gateway's own API, and whether the policy lets them: the same policy and the same log as for backends.

The API is the backend `-` in the environment `control`; `-/sessions/user:alice` is a resource, `read` an action.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from adapters.backend import Access
from audit.store import AuditUnavailableError
from gateway.api.problem_error import ProblemError, exchange_of
from gateway.api.services import Services
from gateway.exchange import Exchange
from gateway.forwarding import receipt_header
from gateway.judgement import decide
from gateway.problems import Problem
from gateway.recording import CONTROL_BACKEND, CONTROL_ENVIRONMENT, decision_record, outcome_record, verdict_of
from identity.principal import Principal

_UNRECORDED = Problem("audit_unavailable", "nothing was done: try again later")


async def caller_of(services: Services, request: Request) -> Principal:
    """Return who is calling; raises ProblemError, and leaves a record of the failed attempt as the data path does."""
    exchange = exchange_of(request)
    problem = await services.judge.authenticate(exchange)
    if problem is None and exchange.principal is not None:
        return exchange.principal
    assert problem is not None
    await _refuse(services, exchange, problem)
    raise AssertionError("a refusal raises")


@asynccontextmanager
async def governed(
    services: Services, request: Request, principal: Principal, resource: str, action: str
) -> AsyncIterator[None]:
    """Do something that the policy must allow `principal`, the caller: decided, recorded, and only then done.

    Yields once the decision is durable, and records the outcome afterwards. Raises ProblemError.
    """
    exchange = exchange_of(request)
    exchange.accesses = (Access(resource, action),)
    problem = decide(services.policy.engine, exchange, principal, CONTROL_BACKEND, CONTROL_ENVIRONMENT)
    if problem is not None:
        await _refuse(services, exchange, problem)
    try:
        receipt = await services.audit.append(decision_record(exchange, None, services.instance))
    except AuditUnavailableError:
        services.counters.unrecorded += 1
        raise ProblemError(_UNRECORDED) from None
    services.counters.decided(verdict_of(None))
    started_ns = time.perf_counter_ns()
    detail = "internal_error"
    try:
        yield
        detail = ""
    except ProblemError as error:
        detail = error.problem.code
        raise
    finally:
        duration_us = (time.perf_counter_ns() - started_ns) // 1000
        services.audit.append_soon(outcome_record(exchange, receipt, "fail" if detail else "ok", detail, duration_us))


async def _refuse(services: Services, exchange: Exchange, problem: Problem) -> None:
    try:
        receipt = await services.audit.append(decision_record(exchange, problem, services.instance))
    except AuditUnavailableError:
        services.counters.unrecorded += 1
        raise ProblemError(_UNRECORDED) from None
    services.counters.decided(verdict_of(problem))
    raise ProblemError(problem, [receipt_header(receipt)])
