"""Which roles somebody holds by a bundle's links, and the way to each: for people to read, not for decisions."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.policy.bundle import PolicyBundle
from gateway.policy.request import Rule
from gateway.policy.roles import RoleGraph


@dataclass(frozen=True, slots=True)
class Holding:
    """A role, the path to it (from the subject, with the role), and the row of the path's last link."""

    role: str
    path: tuple[str, ...]
    link: Rule


def holdings(bundle: PolicyBundle, subject: str, groups: Iterable[str] = ()) -> tuple[Holding, ...] | None:
    """Return every role that a subject holds, itself and through groups, in the order of the rows.

    None under a model other than the shipped one, whose links mean what it says.
    """
    if not bundle.model.is_shipped:
        return None
    groups = tuple(groups)
    graph = RoleGraph((row.fields[0], row.fields[1]) for row in bundle.links)
    rows = {(row.fields[0], row.fields[1]): row.rule for row in reversed(bundle.links)}
    roles = dict.fromkeys(row.fields[1] for row in bundle.links)
    return tuple(
        Holding(role, path, rows[path[-2], path[-1]])
        for role in roles
        if len(path := graph.path(subject, groups, role)) > 1
    )
