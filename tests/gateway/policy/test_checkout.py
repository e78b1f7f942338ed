"""The revision names the commit whose files were read, says where they differ from it, and runs nobody's code."""

import sys
from pathlib import Path

import pytest

from gateway.policy.bundle import load_bundle
from gateway.policy.checkout import checkout_in_progress, head_state
from tests.gateway.policy.bundles import write_bundle
from tests.gateway.policy.git_repository import commit, git

RULE = "p, user:a, prod, logs/**, read, allow,\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A committed bundle in `policies/` of a repository."""
    root = tmp_path / "repository"
    write_bundle(root / "policies", RULE)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    return root / "policies"


def commit_named(root: Path) -> str:
    return load_bundle(root).revision.commit


def test_the_commit_is_named(checkout: Path) -> None:
    assert commit_named(checkout) == git(checkout, "rev-parse", "HEAD")


def test_a_bundle_outside_a_checkout_has_no_commit(tmp_path: Path) -> None:
    assert commit_named(write_bundle(tmp_path, RULE)) == ""


def test_a_repository_that_knows_none_of_the_files_is_not_their_commit(checkout: Path) -> None:
    assert commit_named(write_bundle(checkout.parent / "elsewhere", RULE)) == ""


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit_named(write_bundle(tmp_path, RULE)) == ""


def test_an_edited_added_or_removed_file_makes_it_dirty(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    rules = checkout / "rules" / "a.csv"
    rules.write_text(RULE + RULE)
    assert commit_named(checkout) == f"{head}-dirty"
    git(checkout, "add", "--all")
    assert commit_named(checkout) == f"{head}-dirty"
    rules.write_text(RULE)
    assert commit_named(checkout) == head
    (checkout / "rules" / "b.csv").write_text(RULE)
    assert commit_named(checkout) == f"{head}-dirty"
    (checkout / "rules" / "b.csv").unlink()
    rules.unlink()
    assert commit_named(checkout) == f"{head}-dirty"


def test_an_edit_that_git_is_told_to_overlook_still_makes_it_dirty(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "update-index", "--assume-unchanged", "rules/a.csv")
    (checkout / "rules" / "a.csv").write_text(RULE + RULE)
    (checkout.parent / ".gitignore").write_text("b.csv\n")
    assert commit_named(checkout) == f"{head}-dirty"
    (checkout / "rules" / "a.csv").write_text(RULE)
    (checkout / "rules" / "b.csv").write_text(RULE)
    assert commit_named(checkout) == f"{head}-dirty"


def test_changes_elsewhere_in_the_repository_do_not_count(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    (checkout.parent / "README.md").write_text("x")
    (checkout / "notes.txt").write_text("x")
    assert commit_named(checkout) == head


def test_a_worktree_has_its_own_commit(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "worktree"))
    other = tmp_path / "worktree" / "policies"
    before = head_state(other)
    (other / "rules" / "a.csv").write_text(RULE + RULE)
    head = commit(tmp_path / "worktree")
    assert head_state(other) != before
    assert commit_named(other) == head
    assert commit_named(checkout) != head


def test_nothing_that_the_repository_configures_is_run(checkout: Path, tmp_path: Path) -> None:
    """fsmonitor, filters, hooks, pagers and aliases of a hostile repository stay untouched."""
    witness = tmp_path / "witness"
    script = tmp_path / "attack"
    script.write_text(f"#!{sys.executable}\nopen({str(witness)!r}, 'w')\n")
    script.chmod(0o755)
    (checkout.parent / ".gitattributes").write_text("* filter=evil diff=evil\n")
    head = commit(checkout)
    for key in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "alias.rev-parse", "alias.ls-tree", "filter.evil.clean",
        "filter.evil.process", "filter.evil.smudge", "diff.evil.textconv", "diff.external", "core.editor",
    ):  # fmt: skip
        git(checkout, "config", key, str(script))
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (checkout.parent / ".git" / "hooks" / hook).write_text(script.read_text())
        (checkout.parent / ".git" / "hooks" / hook).chmod(0o755)
    (checkout / "rules" / "a.csv").touch()
    assert commit_named(checkout) == head
    assert not witness.exists()


def test_the_environment_cannot_point_git_elsewhere(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway started from a git hook has GIT_DIR set; it is not this bundle's repository."""
    head = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert commit_named(checkout) == head


def test_a_machine_without_git_has_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_named(checkout) == ""


def test_a_move_of_head_is_seen_where_no_file_changes(checkout: Path) -> None:
    (checkout / "rules" / "a.csv").write_text(RULE + RULE)
    before = head_state(checkout)
    commit(checkout)
    assert head_state(checkout) != before


def test_packed_refs_are_seen(checkout: Path) -> None:
    git(checkout, "pack-refs", "--all")
    before = head_state(checkout)
    (checkout / "rules" / "a.csv").write_text(RULE + RULE)
    commit(checkout)
    assert head_state(checkout) != before


def test_a_lock_on_the_index_says_that_git_is_at_work(checkout: Path, tmp_path: Path) -> None:
    assert not checkout_in_progress(checkout)
    (checkout.parent / ".git" / "index.lock").touch()
    assert checkout_in_progress(checkout)
    assert not checkout_in_progress(tmp_path)
