"""The active policy follows its directory, whole states only, and outlives every bad one."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.policy.engine import PolicyEngine
from gateway.policy.findings import BundleError
from gateway.policy.source import PolicySource
from tests.gateway.policy.bundles import ask, write_bundle
from tests.gateway.policy.git_repository import commit, git

READ = "p, user:alice, prod, logs/**, read, allow,\n"
WRITE = "p, user:alice, prod, logs/**, write, allow,\n"


def source_of(root: Path) -> PolicySource:
    return PolicySource(root, poll_s=0.01, settle_s=0.005)


def watch_while(source: PolicySource, *steps: tuple[Callable[[], object], Callable[[], bool]]) -> list[PolicyEngine]:
    """Watch while each step's change is made and its effect awaited; return the engines told of."""
    told: list[PolicyEngine] = []

    async def run() -> None:
        watching = asyncio.create_task(source.watch(told.append))
        try:
            for change, arrived in steps:
                change()
                deadline = time.monotonic() + 10
                while not arrived():
                    assert time.monotonic() < deadline, "the change did not arrive"
                    assert not watching.done()
                    await asyncio.sleep(0.005)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())
    return told


def may(source: PolicySource, action: str) -> bool:
    return source.engine.decide(ask(action=action)).allowed


def test_a_bad_bundle_at_start_is_refused(tmp_path: Path) -> None:
    source = source_of(write_bundle(tmp_path, "dney"))
    with pytest.raises(BundleError):
        source.load()
    with pytest.raises(RuntimeError):
        _ = source.engine


def test_a_change_comes_into_force_and_is_told(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, READ)
    source = source_of(root)
    first = source.load()
    told = watch_while(source, (lambda: write_bundle(root, READ + WRITE), lambda: source.engine is not first))
    assert told == [source.engine]
    assert may(source, "write")
    assert source.problem is None


def test_a_bad_change_leaves_the_last_good_bundle_and_says_why(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, READ)
    source = source_of(root)
    first = source.load()
    told = watch_while(source, (lambda: write_bundle(root, WRITE + "p, x\nq\n"), lambda: source.problem is not None))
    assert told == []
    assert source.engine is first
    assert may(source, "read")
    assert source.problem is not None
    assert source.problem.startswith("rules/a.csv:2: has 1 field after `p`")
    assert source.problem.endswith("(and 1 more)")


def test_a_mended_bundle_clears_the_problem(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, READ)
    source = source_of(root)
    source.load()
    told = watch_while(
        source,
        (lambda: write_bundle(root, "q\n"), lambda: source.problem is not None),
        (lambda: write_bundle(root, WRITE), lambda: source.problem is None),
    )
    assert len(told) == 1
    assert may(source, "write")


def test_going_back_to_the_bundle_in_force_clears_the_problem_untold(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, READ)
    source = source_of(root)
    source.load()
    told = watch_while(
        source,
        (lambda: write_bundle(root, "q\n"), lambda: source.problem is not None),
        (lambda: write_bundle(root, READ), lambda: source.problem is None),
    )
    assert told == []


def test_a_directory_that_vanishes_and_comes_back_is_survived(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "policies", READ)
    source = source_of(root)
    source.load()
    watch_while(
        source,
        (lambda: root.rename(tmp_path / "away"), lambda: source.problem is not None),
        (lambda: (tmp_path / "away").rename(root), lambda: source.problem is None),
    )
    assert may(source, "read")


def test_a_swapped_symlink_is_a_change(tmp_path: Path) -> None:
    """The way git-sync and mounted volumes put a new state in place."""
    write_bundle(tmp_path / "one", READ)
    write_bundle(tmp_path / "two", WRITE)
    current = tmp_path / "current"
    current.symlink_to("one")
    source = source_of(current)
    source.load()

    def swap() -> None:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(current)

    assert len(watch_while(source, (swap, lambda: may(source, "write")))) == 1
    assert not may(source, "read")


def test_a_commit_of_the_files_in_force_changes_the_revision(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, READ)
    git(root, "init", "--quiet", "--initial-branch=main")
    first = commit(root)
    source = source_of(root)
    source.load()
    told = watch_while(
        source,
        (lambda: write_bundle(root, WRITE), lambda: source.engine.revision.commit == f"{first}-dirty"),
        (lambda: commit(root), lambda: not source.engine.revision.commit.endswith("-dirty")),
    )
    assert told[-1].revision.commit == git(root, "rev-parse", "HEAD")


def test_a_checkout_in_progress_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    """Half a checkout could lack the row that denies. A lock that a crashed git left holds nothing up for long."""
    root = write_bundle(tmp_path, READ)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    source = source_of(root)
    source.load()
    (root / ".git" / "index.lock").touch()
    begin = time.monotonic()
    watch_while(source, (lambda: write_bundle(root, WRITE), lambda: may(source, "write")))
    assert time.monotonic() - begin > 40 * 0.005


def test_a_watcher_that_fails_does_not_stop_the_watch(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, READ)
    source = source_of(root)
    first = source.load()

    async def run() -> None:
        def fail(engine: PolicyEngine) -> None:
            raise ValueError("not my day")

        watching = asyncio.create_task(source.watch(fail))
        for rules, action in ((WRITE, "write"), (READ, "read")):
            write_bundle(root, rules)
            deadline = time.monotonic() + 10
            while not may(source, action):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.005)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())
    assert source.engine is not first


def test_files_that_never_hold_still_are_refused(tmp_path: Path) -> None:
    """What is read must be one state: while anything changes, nothing is loaded."""
    root = write_bundle(tmp_path, READ)

    class Restless(PolicySource):
        """A source whose directory looks different at every look."""

        looks = 0

        def _state(self) -> object:
            self.looks += 1
            return self.looks

    with pytest.raises(BundleError, match="keep changing"):
        Restless(root).load()
