"""Role links: no cycles, no chain that would be cut short, and one shortest path to each role."""

import threading
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.policy.roles import MAX_CHAIN, RoleGraph
from tests.gateway.policy.bundles import ask, engine_of, problems, write_bundle


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ("g, role:a, role:a", "rules/a.csv:1: roles form a cycle: role:a -> role:a"),
        ("g, role:a, role:b\ng, role:b, role:a", "rules/a.csv:2: roles form a cycle: role:a -> role:b -> role:a"),
        (
            "g, user:x, role:a\ng, role:a, role:b\ng, role:b, role:c\ng, role:c, role:b\ng, role:c, role:d",
            "rules/a.csv:4: roles form a cycle: role:b -> role:c -> role:b",
        ),
    ],
)
def test_a_cycle_is_refused_with_the_row_that_closes_it(tmp_path: Path, links: str, expected: str) -> None:
    assert problems(write_bundle(tmp_path, links)) == [expected]


def test_every_cycle_is_told(tmp_path: Path) -> None:
    links = "g, role:a, role:b\ng, role:b, role:a\ng, role:c, role:d\ng, role:d, role:c"
    assert [line.split(": ")[0] for line in problems(write_bundle(tmp_path, links))] == [
        "rules/a.csv:2",
        "rules/a.csv:4",
    ]


def _chain(links: int) -> str:
    names = ["user:x", *(f"role:r{number}" for number in range(links))]
    return "\n".join(f"g, {member}, {role}" for member, role in pairwise(names))


def test_a_chain_that_pycasbin_would_cut_short_is_refused(tmp_path: Path) -> None:
    """A deny behind the tenth link would silently not apply."""
    assert problems(write_bundle(tmp_path, _chain(MAX_CHAIN))) == []
    found = problems(write_bundle(tmp_path, _chain(MAX_CHAIN + 1)))
    assert len(found) == 1
    assert found[0].startswith(f"rules/a.csv:{MAX_CHAIN + 1}: is link 9 of a chain")


def test_the_deepest_chain_still_applies_behind_a_group(tmp_path: Path) -> None:
    rows = _chain(MAX_CHAIN).replace("user:x", "group:c:x") + "\np, role:r7, prod, **, read, deny,"
    decision = engine_of(tmp_path, rows).decide(ask("user:x", groups=("group:c:x",)))
    assert decision.reason == "denied_by_rule"
    assert len(decision.role_path) == MAX_CHAIN + 2


def test_the_path_is_the_shortest_and_earlier_rows_win() -> None:
    graph = RoleGraph(
        [("u", "a"), ("u", "b"), ("a", "t"), ("b", "t"), ("b", "c"), ("c", "d"), ("g1", "d"), ("g2", "d")]
    )
    assert graph.path("u", (), "t") == ("u", "a", "t")
    assert graph.path("u", ("g2", "g1"), "d") == ("u", "g2", "d")
    assert graph.path("u", ("g1",), "u") == ("u",)
    assert graph.path("u", ("g1",), "g1") == ("u", "g1")
    assert graph.path("u", (), "nowhere") == ()


def test_strangers_leave_no_trace() -> None:
    """Asking about names that no link holds does not grow the graph."""
    graph = RoleGraph([("u", "a")])
    for number in range(1_000):
        assert graph.reach(f"stranger{number}") == {}
    assert list(graph.members) == ["u"]
    assert graph._walks == {}


def test_walks_may_be_made_by_several_threads() -> None:
    graph = RoleGraph([(f"u{number}", f"r{number % 50}") for number in range(500)] + [("r0", "top")])
    wrong: list[str] = []

    def walk() -> None:
        for number in range(500):
            expected = {f"r{number % 50}", "top"} if number % 50 == 0 else {f"r{number % 50}"}
            if set(graph.reach(f"u{number}")) != expected:
                wrong.append(f"u{number}")

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
