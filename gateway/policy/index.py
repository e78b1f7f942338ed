"""Decides the shipped model from an index of its rules; what it answers is what pycasbin answers."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from gateway.policy.conditions import Verdict, compile_condition
from gateway.policy.matchers import TextMatch, compile_resource
from gateway.policy.request import AccessRequest, Decision, Revision
from gateway.policy.roles import RoleGraph
from gateway.policy.rows import Row

# One row compiled: the action or its prefix, whether it is a prefix, the resource, the condition, the row's number.
_Entry = tuple[str, bool, TextMatch, Verdict | None, int]
# The rows of one subject: those that deny and those that allow, each in row order.
_Cell = tuple[list[_Entry], list[_Entry]]
_ANY = "*"
# A denial is answered while others wait: what is looked at to make it helpful is bounded.
_MAX_LOOKED_AT = 5_000
_MAX_KEPT = 4_096
_Key = TypeVar("_Key")
_Found = TypeVar("_Found")


class RuleIndex:
    """Rules by (environment, backend), then by subject; within a subject the rows are tried in order.

    The backend is a resource's first segment. The first row that denies decides; without one, the first that allows.
    """

    def __init__(self, rules: Iterable[Row], links: Iterable[Row], revision: Revision) -> None:
        self._rows = tuple(rules)
        self._roles = RoleGraph((row.fields[0], row.fields[1]) for row in links)
        self._nested_roles = tuple(member for member in self._roles.members if member.startswith("role:"))
        self._revision = revision
        self._tables: dict[tuple[str, str], dict[str, _Cell]] = {}
        self._reached: dict[tuple[str, tuple[str, ...], str, str], tuple[_Cell, ...]] = {}
        self._paths: dict[tuple[str, tuple[str, ...], str], tuple[str, ...]] = {}
        for number, row in enumerate(self._rows):
            self._add(number, row)

    def _add(self, number: int, row: Row) -> None:
        subject, environment, resource, action, effect, when = row.fields
        first = resource.partition("/")[0]
        key = (environment, _ANY if "*" in first else first)
        denies, allows = self._tables.setdefault(key, {}).setdefault(subject, ([], []))
        condition = compile_condition(when) if when else None
        entry = (action.removesuffix("*"), action.endswith("*"), compile_resource(resource), condition, number)
        (denies if effect == "deny" else allows).append(entry)

    def decide(self, request: AccessRequest) -> Decision:
        """Decide one request; no input makes this raise."""
        cells = self._cells(request)
        number = _first_deny(cells, request)
        if number is not None:
            return self._decision(request, False, "denied_by_rule", number)
        number = _first_allow(cells, request)
        if number is not None:
            return self._decision(request, True, "allowed_by_rule", number)
        return Decision(False, "no_matching_rule", None, (request.subject,), self._revision)

    def roles_worth_trying(self, request: AccessRequest) -> Iterator[str]:
        """Yield the roles with a row that allows what is asked, in row order, then the roles that hold one of these."""
        subjects = ((subject, cell) for table in self._tables_for(request) for subject, cell in table.items())
        granting = [
            (number, subject)
            for subject, cell in islice(subjects, _MAX_LOOKED_AT)
            if subject.startswith("role:") and (number := _first_allow([cell], request)) is not None
        ]
        direct = dict.fromkeys(subject for _, subject in sorted(granting))
        yield from direct
        for role in self._nested_roles[:_MAX_LOOKED_AT]:
            if role not in direct and direct.keys() & self._roles.reach(role):
                yield role

    def _holders(self, request: AccessRequest) -> set[str]:
        """Return the subject and all that its rows and groups make it."""
        holders = {request.subject, *request.groups}
        holders.update(self._roles.reach(request.subject))
        for group in request.groups:
            holders.update(self._roles.reach(group))
        return holders

    def _tables_for(self, request: AccessRequest) -> Iterator[Mapping[str, _Cell]]:
        environment = request.environment
        backend = request.resource.partition("/")[0]
        for key in ((environment, backend), (_ANY, backend), (environment, _ANY), (_ANY, _ANY)):
            table = self._tables.get(key)
            if table is not None:
                yield table

    def _cells(self, request: AccessRequest) -> tuple[_Cell, ...]:
        """Return the rows of all that the subject is, for this environment and backend.

        The same people come back with the same groups, so what was found is kept, up to a bound: the index itself
        never changes.
        """
        key = (request.subject, request.groups, request.environment, request.resource.partition("/")[0])
        found = self._reached.get(key)
        if found is None:
            holders = self._holders(request)
            found = tuple([table[subject] for table in self._tables_for(request) for subject in table.keys() & holders])
            _keep(self._reached, key, found)
        return found

    def _decision(self, request: AccessRequest, allowed: bool, reason: str, number: int) -> Decision:
        row = self._rows[number]
        key = (request.subject, request.groups, row.fields[0])
        path = self._paths.get(key)
        if path is None:
            path = self._roles.path(*key)
            _keep(self._paths, key, path)
        return Decision(allowed, reason, row.rule, path, self._revision)


def _keep(found: dict[_Key, _Found], key: _Key, value: _Found) -> None:
    # Keys come from callers' tokens. Emptying is cheaper than any order of leaving, and rare.
    if len(found) >= _MAX_KEPT:
        found.clear()
    found[key] = value


def _first_deny(cells: Iterable[_Cell], request: AccessRequest) -> int | None:
    """Return the number of the first row that denies: its condition true or unknown."""
    resource, action, context = request.resource, request.action, request.context
    first: int | None = None
    for denies, _ in cells:
        for wanted, is_prefix, matches, condition, number in denies:
            if first is not None and number > first:
                break
            if (
                (action == wanted or (is_prefix and action.startswith(wanted)))
                and matches(resource)
                and (condition is None or condition(context) is not False)
            ):
                first = number
                break
    return first


def _first_allow(cells: Iterable[_Cell], request: AccessRequest) -> int | None:
    """Return the number of the first row that allows: its condition true."""
    resource, action, context = request.resource, request.action, request.context
    first: int | None = None
    for _, allows in cells:
        for wanted, is_prefix, matches, condition, number in allows:
            if first is not None and number > first:
                break
            if (
                (action == wanted or (is_prefix and action.startswith(wanted)))
                and matches(resource)
                and (condition is None or condition(context) is True)
            ):
                first = number
                break
    return first
