"""Policy cases: what a bundle's own `tests/*.yaml` expect of it, and whether it does so."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.policy.request import AccessRequest, Decision


class Decides(Protocol):
    """What cases are put to: a policy engine."""

    def decide(self, request: AccessRequest) -> Decision:
        """Decide one request."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One expectation: the request, whether it is to be allowed, by which row (`rules/x.csv:3`) if said; its place."""

    name: str
    request: AccessRequest
    allowed: bool
    rule: str | None
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case went; `problem` says what differed, None where nothing did."""

    case: PolicyCase
    decision: Decision
    problem: str | None

    @property
    def passed(self) -> bool:
        """Whether the decision is what the case expects."""
        return self.problem is None


def run_cases(engine: Decides, cases: Iterable[PolicyCase]) -> tuple[CaseResult, ...]:
    """Put every case to the engine, in order."""
    return tuple(_run(engine, case) for case in cases)


def _run(engine: Decides, case: PolicyCase) -> CaseResult:
    decision = engine.decide(case.request)
    rule = f"{decision.rule.file}:{decision.rule.line}" if decision.rule else "no rule"
    problem = None
    if decision.allowed is not case.allowed:
        problem = f"expected {_word(case.allowed)}, got {_word(decision.allowed)} by {rule}"
    elif case.rule is not None and case.rule != rule:
        problem = f"expected {_word(case.allowed)} by {case.rule}, got it by {rule}"
    return CaseResult(case, decision, problem)


def _word(allowed: bool) -> str:
    return "allow" if allowed else "deny"
