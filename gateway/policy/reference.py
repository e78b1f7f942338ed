"""Decides any model through pycasbin itself, one request at a time, leaving nothing of the request behind."""

import copy
import logging
from collections.abc import Iterator
from typing import Any

import casbin
from casbin.effect import AllowOverrideEffector
from casbin.model import FunctionMap, Model

from gateway.policy.matchers import MATCHERS
from gateway.policy.model import REQUEST_TOKENS, PolicyModel
from gateway.policy.request import AccessRequest, Decision, Revision
from gateway.policy.roles import RoleGraph
from gateway.policy.rows import Row

_LOGGER = logging.getLogger(__name__)
_HOPS = 10
_MAX_ROLES_TRIED = 50
_ALLOW_AND_DENY = "some(where (p_eft == allow)) && !some(where (p_eft == deny))"
_DENY_OVERRIDE = "!some(where (p_eft == deny))"


class CasbinDecider:
    """pycasbin's `enforce_ex` over a bundle's rows; safe in several threads, as nothing shared is written.

    Every request gets its own shallow enforcer: pycasbin's own keeps the functions of the last call, and its role
    managers add a node for every name they are asked about.
    """

    def __init__(self, model: PolicyModel, rules: tuple[Row, ...], links: tuple[Row, ...], revision: Revision) -> None:
        self._revision = revision
        self._policy_tokens = model.policy_tokens
        self._request_fields = tuple(REQUEST_TOKENS[token] for token in model.request_tokens)
        self._effect = model.effect
        base = model.casbin_model()
        self._row_of: dict[int, Row] = {}
        for row in rules:
            fields = list(row.fields)
            base["p"]["p"].policy.append(fields)
            self._row_of[id(fields)] = row
        for row in links:
            base["g"][row.type].policy.append(list(row.fields))
        base.sort_policies_by_subject_hierarchy()
        base.sort_policies_by_priority()
        self._enforcer = casbin.Enforcer(base)
        self._domained = {kind: width == 3 for kind, width in model.role_widths}
        self._graphs = _graphs(links)

    def decide(self, request: AccessRequest) -> Decision:
        """Decide one request. What makes pycasbin raise (a bad pattern in a row, say) is denied, and logged.

        Where an allow stands only after all rows were seen, pycasbin explains it by the last row that matched; here it
        is the first that allows, as under every other effect.
        """
        try:
            allowed, row = self._enforce(request, None)
            if allowed and self._effect in {_ALLOW_AND_DENY, _DENY_OVERRIDE}:
                _, row = self._enforce(request, AllowOverrideEffector())
                row = row if row is not None and self._effect_of(row) == "allow" else None
        except Exception:
            _LOGGER.exception("pycasbin could not decide; the request is denied")
            return Decision(False, "evaluation_failed", None, (request.subject,), self._revision)
        if row is None or (self._effect_of(row) == "allow") is not allowed:
            return Decision(allowed, "no_matching_rule", None, (request.subject,), self._revision)
        reason = "allowed_by_rule" if allowed else "denied_by_rule"
        return Decision(allowed, reason, row.rule, self._path(request, row), self._revision)

    def roles_worth_trying(self, request: AccessRequest) -> Iterator[str]:
        """Yield the first roles that links name, in row order; a decision of each tells whether it would do."""
        graphs = [graph for (kind, _), graph in self._graphs.items() if kind == "g"]
        roles = dict.fromkeys(role for graph in graphs for member in graph.members for role in graph.direct(member))
        yield from list(roles)[:_MAX_ROLES_TRIED]

    def _enforce(self, request: AccessRequest, effector: AllowOverrideEffector | None) -> tuple[bool, Row | None]:
        enforcer = copy.copy(self._enforcer)
        enforcer.fm = FunctionMap.load_function_map()
        for name, function in MATCHERS.items():
            enforcer.fm.add_function(name, function)
        enforcer.model = self._model_for(request)
        if effector is not None:
            enforcer.eft = effector
        allowed, fields = enforcer.enforce_ex(*(getattr(request, name) for name in self._request_fields))
        return allowed, self._row_of.get(id(fields))

    def _model_for(self, request: AccessRequest) -> Model:
        base = self._enforcer.model
        model = Model()
        model.model = dict(base.model)
        if base["g"] is not None:
            model.model["g"] = {
                kind: _with_roles(definition, self._roles_for(kind, request)) for kind, definition in base["g"].items()
            }
        return model

    def _roles_for(self, kind: str, request: AccessRequest) -> "_RequestRoles":
        graphs = {domain: graph for (name, domain), graph in self._graphs.items() if name == kind}
        extra = request.groups if kind == "g" else ()
        return _RequestRoles(graphs, self._domained[kind], request.subject, extra)

    def _effect_of(self, row: Row) -> str:
        tokens = self._policy_tokens
        return row.fields[tokens.index("eft")] if "eft" in tokens else "allow"

    def _path(self, request: AccessRequest, row: Row) -> tuple[str, ...]:
        domain = request.environment if self._domained.get("g") else ""
        graph = self._graphs.get(("g", domain), _NO_ROLES)
        target = row.fields[self._policy_tokens.index("sub")] if "sub" in self._policy_tokens else request.subject
        return graph.path(request.subject, request.groups, target) or (request.subject,)


class _RequestRoles:
    """pycasbin's role manager for one request: the bundle's links and, in every domain, the subject's groups."""

    def __init__(self, graphs: dict[str, RoleGraph], domained: bool, subject: str, groups: tuple[str, ...]) -> None:
        self._graphs = graphs
        self._domained = domained
        self._subject = subject
        self._groups = groups

    def has_link(self, member: str, role: str, *domain: str) -> bool:
        """Say whether `member` is or holds `role` within the number of links that pycasbin follows."""
        graph = self._graphs.get(domain[0] if domain and self._domained else "", _NO_ROLES)
        here = {member}
        for _ in range(_HOPS):
            if role in here:
                return True
            here = {above for name in here for above in self._above(name, graph)}
        return False

    def _above(self, name: str, graph: RoleGraph) -> tuple[str, ...]:
        direct = graph.direct(name)
        return (*direct, *self._groups) if name == self._subject else direct


def _with_roles(definition: Any, roles: _RequestRoles) -> Any:
    definition = copy.copy(definition)
    definition.rm = roles
    return definition


def _graphs(links: tuple[Row, ...]) -> dict[tuple[str, str], RoleGraph]:
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in links:
        domain = row.fields[2] if len(row.fields) > 2 else ""
        pairs.setdefault((row.type, domain), []).append((row.fields[0], row.fields[1]))
    return {key: RoleGraph(links) for key, links in pairs.items()}


_NO_ROLES = RoleGraph(())
