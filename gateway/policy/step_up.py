"""Finds the login that would turn a denial into an allow, where a fresher or stronger one would (RFC 9470).

It is found by asking the policy itself: the denied request is decided again, as it would be after another login. So
nothing is ever suggested that would still be denied.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.policy.engine import PolicyEngine
from gateway.policy.login_bounds import LoginBounds
from gateway.policy.request import AccessRequest, ContextValue

# A denial is answered while others wait. What this does not suffice for is not suggested.
MAX_DECISIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class StepUp:
    """What a login must be. Any one of `acr_values` is enough; empty: its class does not matter.

    `max_age_s`: at most so many seconds ago, when the request is made; None: its age does not matter.
    """

    acr_values: tuple[str, ...]
    max_age_s: int | None


def stronger_login(engine: PolicyEngine, *requests: AccessRequest) -> StepUp | None:
    """Return the least login with which all of these requests, one of them denied, are allowed; None where none is.

    First a fresher login is tried, then a stronger one, then one that is both. All else about the caller stays as it
    is, but for the token, which is new then: where a new token would do, no login is asked for. Only for the shipped
    model.
    """
    bounds = engine.login_bounds
    if bounds == LoginBounds():
        return None
    trial = _Trial(engine, requests)
    if trial.allows({}):
        return None
    return _fresher(trial, bounds) or _stronger(trial, bounds) or _both(trial, bounds)


class _Trial:
    def __init__(self, engine: PolicyEngine, requests: tuple[AccessRequest, ...]) -> None:
        self._engine = engine
        self._requests = requests
        self._left = MAX_DECISIONS

    def allows(self, changes: Mapping[str, ContextValue]) -> bool:
        """Tell whether all requests are allowed with a new token and these changes to what it says."""
        for request in self._requests:
            self._left -= 1
            if self._left < 0:
                return False
            context = {**request.context, "token_age_s": 0, **changes}
            if not self._engine.decide(request._replace(context=context)).allowed:
                return False
        return True

    def max_age(self, bounds: LoginBounds, changes: Mapping[str, ContextValue]) -> int | None:
        """Return the greatest age up to which every age is good, None where not even 0 is."""
        greatest = None
        for age in bounds.ages_s:
            if not self.allows({**changes, "auth_age_s": age}):
                break
            greatest = age
        return greatest


def _fresher(trial: _Trial, bounds: LoginBounds) -> StepUp | None:
    max_age = trial.max_age(bounds, {})
    return StepUp((), max_age) if max_age is not None else None


def _stronger(trial: _Trial, bounds: LoginBounds) -> StepUp | None:
    # Whether the provider will ask the person again is its own affair: it must do for the old age and for none.
    values = [
        value
        for value in bounds.acr_values
        if trial.allows({"acr": value}) and trial.allows({"acr": value, "auth_age_s": 0})
    ]
    return StepUp(tuple(values), None) if values else None


def _both(trial: _Trial, bounds: LoginBounds) -> StepUp | None:
    ages = {value: trial.max_age(bounds, {"acr": value}) for value in bounds.acr_values}
    known = [age for age in ages.values() if age is not None]
    if not known:
        return None
    greatest = max(known)
    return StepUp(tuple(value for value, age in ages.items() if age == greatest), greatest)
