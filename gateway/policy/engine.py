"""The policy engine: one bundle, compiled once, that answers requests."""

from collections.abc import Iterable
from typing import Protocol

from gateway.policy.bundle import PolicyBundle
from gateway.policy.index import RuleIndex
from gateway.policy.login_bounds import NO_LOGIN_BOUNDS, login_bounds
from gateway.policy.matchers import is_matchable
from gateway.policy.reference import CasbinDecider
from gateway.policy.request import AccessRequest, Decision, Revision
from identity.directory import Directory

_MAX_ROLES_TOLD = 10
_MAX_ROLES_TRIED = 100


class Decider(Protocol):
    """What decides: the index for the shipped model, pycasbin for every other."""

    def decide(self, request: AccessRequest) -> Decision:
        """Decide one request; safe to call from several threads."""
        ...

    def roles_worth_trying(self, request: AccessRequest) -> Iterable[str]:
        """Return roles that may allow the request, the most fitting first; each is tried before it is told."""
        ...


class PolicyEngine:
    """Decides requests by one bundle, which never changes; a new bundle takes a new engine."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self.bundle = bundle
        self.login_bounds = NO_LOGIN_BOUNDS
        self._decider: Decider
        if bundle.model.is_shipped:
            self.login_bounds = login_bounds(bundle.rules)
            self._decider = RuleIndex(bundle.rules, bundle.links, bundle.revision)
        else:
            self._decider = CasbinDecider(bundle.model, bundle.rules, bundle.links, bundle.revision)

    @property
    def revision(self) -> Revision:
        """Which policy decides here."""
        return self.bundle.revision

    @property
    def directory(self) -> Directory:
        """Who owns which account, by the same bundle."""
        return self.bundle.directory

    @property
    def rule_count(self) -> int:
        """How many rows decide here: rules and links."""
        return len(self.bundle.rules) + len(self.bundle.links)

    def decide(self, request: AccessRequest) -> Decision:
        """Decide one request: deny overrides allow, and what no rule allows is denied (in the shipped model).

        A decision names the first row, in the order of files and lines, that had the decisive effect. An empty resource
        or one with a `.` or `..` segment is denied whatever the model says. Does not block; safe in several threads.
        """
        if not is_matchable(request.resource):
            return Decision(False, "no_matching_rule", None, (request.subject,), self.bundle.revision)
        return self._decider.decide(request)

    def roles_that_would_allow(self, request: AccessRequest) -> tuple[str, ...]:
        """Return up to ten roles of the bundle, each of which alone would allow this denied request.

        Roles whose own rows allow it come first, in row order, then roles that contain those. Empty where the request
        is allowed, where a rule denies it whatever roles are added, and where no role does. Costs at most a hundred
        decisions and a look at some thousands of rules and roles; what lies beyond is not told.
        """
        denial = self.decide(request)
        if denial.allowed or denial.reason != "no_matching_rule" or not is_matchable(request.resource):
            return ()
        found: list[str] = []
        for tried, role in enumerate(self._decider.roles_worth_trying(request)):
            if len(found) == _MAX_ROLES_TOLD or tried == _MAX_ROLES_TRIED:
                break
            if self._decider.decide(request._replace(groups=(*request.groups, role))).allowed:
                found.append(role)
        return tuple(found)
