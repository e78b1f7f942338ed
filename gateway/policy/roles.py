"""Who holds which role: the links of a bundle, checked for cycles and depth, and walked from a subject."""

from collections import deque
from collections.abc import Iterable, Mapping

from gateway.policy.findings import Finding
from gateway.policy.rows import Row

# pycasbin follows nine links and silently no more, so that a deeper deny would not apply. One is kept for the link
# that a token's group adds.
MAX_CHAIN = 8
_MAX_CYCLES_TOLD = 20
# Walks kept, counted in roles reached: bounds memory whatever graph a bundle describes.
_MAX_KEPT = 500_000
_NOWHERE: Mapping[str, tuple[str, ...]] = {}


class RoleGraph:
    """The links of one role definition in one domain. Safe to read from several threads."""

    def __init__(self, links: Iterable[tuple[str, str]]) -> None:
        direct: dict[str, dict[str, None]] = {}
        for member, role in links:
            direct.setdefault(member, {})[role] = None
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._direct: dict[str, tuple[str, ...]] = {}
        for member, roles in direct.items():
            ordered = tuple(roles)
            self._direct[member] = shared.setdefault(ordered, ordered)
        self._walks: dict[tuple[str, ...], Mapping[str, tuple[str, ...]]] = {}
        self._kept = 0

    @property
    def members(self) -> Iterable[str]:
        """All that is given a role, in the order of the rows."""
        return self._direct.keys()

    def direct(self, member: str) -> tuple[str, ...]:
        """Return the roles that links give to `member` itself, in the order of the rows."""
        return self._direct.get(member, ())

    def reach(self, member: str) -> Mapping[str, tuple[str, ...]]:
        """Return every role that `member` holds, each with the shortest path to it: without the member, with the role.

        Of paths of one length the one along earlier rows. A member that no link names leaves no trace in memory.
        """
        direct = self._direct.get(member)
        if direct is None:
            return _NOWHERE
        found = self._walks.get(direct)
        if found is None:
            found = self._walk(direct)
            if self._kept > _MAX_KEPT:
                self._walks = {}
                self._kept = 0
            self._walks[direct] = found
            self._kept += len(found)
        return found

    def path(self, subject: str, groups: Iterable[str], target: str) -> tuple[str, ...]:
        """Return the shortest path from `subject` to `target` where `groups` are linked to it; () where there is none.

        Of paths of one length the one along the bundle's own links, then the one through the earlier group.
        """
        if target == subject:
            return (subject,)
        own = self.reach(subject).get(target)
        best = (subject, *own) if own is not None else ()
        for group in groups:
            through = () if group == target else self.reach(group).get(target)
            if through is not None and (not best or len(through) + 2 < len(best)):
                best = (subject, group, *through)
        return best

    def _walk(self, direct: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        paths: dict[str, tuple[str, ...]] = {role: (role,) for role in direct}
        queue = deque(direct)
        while queue:
            here = queue.popleft()
            for role in self._direct.get(here, ()):
                if role not in paths:
                    paths[role] = (*paths[here], role)
                    queue.append(role)
        return paths


def link_findings(links: Iterable[Row]) -> list[Finding]:
    """Report roles that contain themselves and chains longer than MAX_CHAIN, for each role definition and domain."""
    graphs: dict[tuple[str, ...], list[Row]] = {}
    for row in links:
        graphs.setdefault((row.type, *row.fields[2:]), []).append(row)
    findings: list[Finding] = []
    for rows in graphs.values():
        findings += _graph_findings(rows)
    return findings


def _graph_findings(rows: list[Row]) -> list[Finding]:
    findings: list[Finding] = []
    heights, cyclic = _heights(rows)
    while cyclic and len(findings) < _MAX_CYCLES_TOLD:
        cycle = _cycle(rows, cyclic)
        last = max(cycle, key=rows.index)
        names = " -> ".join([*(row.fields[0] for row in cycle), cycle[0].fields[0]])
        findings.append(Finding(last.rule.file, last.rule.line, f"roles form a cycle: {names}"))
        rows = [row for row in rows if row is not last]
        heights, cyclic = _heights(rows)
    if not cyclic:
        too_deep = next((row for row in rows if heights[row.fields[0]] == MAX_CHAIN), None)
        if too_deep is not None:
            message = f"is link {MAX_CHAIN + 1} of a chain of roles; Casbin follows few links, keep to {MAX_CHAIN}"
            findings.append(Finding(too_deep.rule.file, too_deep.rule.line, message))
    return findings


def _heights(rows: list[Row]) -> tuple[dict[str, int], set[str]]:
    """Return for each name the longest chain of links that ends in it, and the names left over by cycles."""
    roles: dict[str, list[str]] = {}
    members_left: dict[str, int] = {}
    for row in rows:
        member, role = row.fields[0], row.fields[1]
        roles.setdefault(member, []).append(role)
        members_left[role] = members_left.get(role, 0) + 1
    heights = dict.fromkeys((name for name in roles if name not in members_left), 0)
    ready = list(heights)
    for name in ready:
        height = heights[name] + 1
        for role in roles.get(name, ()):
            heights[role] = max(heights.get(role, 0), height)
            members_left[role] -= 1
            if not members_left[role]:
                ready.append(role)
    return heights, {name for name, left in members_left.items() if left}


def _cycle(rows: list[Row], cyclic: set[str]) -> list[Row]:
    """Return the rows of one cycle, in walking order. Every name in `cyclic` has a member in it: walk down until one
    repeats.
    """
    down: dict[str, Row] = {}
    for row in rows:
        if row.fields[0] in cyclic and row.fields[1] in cyclic:
            down.setdefault(row.fields[1], row)
    walked: list[Row] = []
    places: dict[str, int] = {}
    name = min(cyclic)
    while name not in places:
        places[name] = len(walked)
        walked.append(down[name])
        name = down[name].fields[0]
    return walked[places[name] :][::-1]
