"""A bundle loads whole or is refused with every fault; its digest names exactly the bytes that were parsed."""

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.policy.bundle import load_bundle
from gateway.policy.engine import PolicyEngine
from gateway.policy.findings import BundleError, Finding
from tests.gateway.policy.bundles import SHIPPED, SHIPPED_MODEL, problems, write_bundle

RULE = "p, user:a, prod, logs/**, read, allow,\n"
CASE = "- {subject: 'user:a', environment: prod, resource: logs/x, action: read, expect: allow}\n"


def test_a_missing_directory_or_model_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path / "nowhere") == [f".: {tmp_path / 'nowhere'} is not a directory"]
    assert problems(tmp_path) == ["model.conf: is missing; every bundle needs one"]


def test_a_bundle_of_a_model_alone_loads_and_denies(tmp_path: Path) -> None:
    (tmp_path / "model.conf").write_text(SHIPPED_MODEL)
    bundle = load_bundle(tmp_path)
    assert (bundle.rules, bundle.links, bundle.cases) == ((), (), ())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbf" + RULE.encode(), "rules/a.csv:1: begins with a byte-order mark"),
        (RULE.encode() + b"p, user:\xff, prod", "rules/a.csv:2: is not valid UTF-8"),
        (RULE.encode("utf-16"), "rules/a.csv:1: is not valid UTF-8"),
        (b"#" * (64 * 1024 * 1024 + 1), "rules/a.csv: is larger than"),
    ],
)
def test_a_file_that_is_not_plain_text_of_bounded_size_is_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    found = problems(write_bundle(tmp_path, data))
    assert len(found) == 1
    assert found[0].startswith(expected)


def _link_out(root: Path) -> None:
    outside = root.parent / "outside.csv"
    outside.write_text(RULE)
    (root / "rules" / "b.csv").symlink_to(outside)


def _dangle(root: Path) -> None:
    (root / "rules" / "b.csv").symlink_to("nothing.csv")


def _loop(root: Path) -> None:
    (root / "rules" / "b.csv").symlink_to("b.csv")


def _folder(root: Path) -> None:
    (root / "rules" / "b.csv").mkdir()


def _pipe(root: Path) -> None:
    os.mkfifo(root / "rules" / "b.csv")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_link_out, "is a symlink that leaves the bundle's directory"),
        (_dangle, "cannot be read: No such file"),
        (_loop, "cannot be read: "),
        (_folder, "cannot be read: Is a directory"),
        (_pipe, "is not a regular file"),
    ],
)
def test_what_is_not_a_file_of_the_bundle_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], expected: str
) -> None:
    root = write_bundle(tmp_path / "bundle", RULE)
    spoil(root)
    found = problems(root)
    assert len(found) == 1
    assert found[0].startswith(f"rules/b.csv: {expected}")


@pytest.mark.parametrize("name", ["rules/b.CSV", "rules/b.csv.bak", "rules/more", "tests/b.yml", "rules/bé.csv"])
def test_a_file_that_would_be_left_out_silently_is_refused(tmp_path: Path, name: str) -> None:
    """A rule file that is not read is a hole."""
    root = write_bundle(tmp_path, RULE, tests="")
    (root / name).write_text(RULE)
    assert len(problems(root)) == 1


@pytest.mark.parametrize("name", ["rules/README.md", "rules/.b.csv.swp", "rules/b.csv~", "README.md", "notes.txt"])
def test_documentation_and_editor_files_are_no_part_of_the_bundle(tmp_path: Path, name: str) -> None:
    root = write_bundle(tmp_path, RULE)
    before = load_bundle(root).revision
    (root / name).write_text("dney")
    assert load_bundle(root).revision == before


def test_symlinks_inside_the_directory_are_followed(tmp_path: Path) -> None:
    """The way mounted volumes swap their files: one symlinked directory of data."""
    write_bundle(tmp_path / "..data", RULE)
    (tmp_path / "model.conf").symlink_to("..data/model.conf")
    (tmp_path / "rules").symlink_to("..data/rules")
    assert [row.rule.file for row in load_bundle(tmp_path).rules] == ["rules/a.csv"]


def test_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, "p, x", tests="- {}\n", identities="people: 5\n", model=SHIPPED_MODEL + "q = 1\n")
    places = {line.split(":")[0] for line in problems(root)}
    assert places == {"model.conf", "tests/a.yaml", "identities.yaml"}
    (root / "model.conf").write_text(SHIPPED_MODEL)
    assert {line.split(":")[0] for line in problems(root)} == {"rules/a.csv", "tests/a.yaml", "identities.yaml"}


def test_a_faulty_directory_of_people_is_told_with_its_line(tmp_path: Path) -> None:
    found = problems(write_bundle(tmp_path, identities="people:\n  Alice: {accounts: []}\n"))
    assert found
    assert found[0].startswith("identities.yaml:2: ")


def test_findings_are_sorted_and_said_once() -> None:
    error = BundleError([Finding("b", 1, "x"), Finding("a", 10, "x"), Finding("a", 9, "x"), Finding("a", 9, "x")])
    assert str(error) == "a:9: x\na:10: x\nb:1: x"


def test_the_digest_is_over_names_lengths_and_bytes(tmp_path: Path) -> None:
    root = write_bundle(tmp_path, RULE, model=SHIPPED_MODEL, tests=CASE)
    hasher = hashlib.sha256(b"portcullis policy bundle 1\n")
    for name in ("model.conf", "rules/a.csv", "tests/a.yaml"):
        data = (root / name).read_bytes()
        for part in (name.encode(), data):
            hasher.update(len(part).to_bytes(8, "big") + part)
    assert load_bundle(root).revision.digest == hasher.hexdigest()


@pytest.mark.parametrize("name", ["model.conf", "rules/a.csv", "tests/a.yaml", "identities.yaml"])
def test_the_digest_changes_with_every_file(tmp_path: Path, name: str) -> None:
    root = write_bundle(tmp_path, RULE, tests=CASE, identities="people: {}\n")
    before = load_bundle(root).revision.digest
    with (root / name).open("a") as file:
        file.write("# more\n")
    assert load_bundle(root).revision.digest != before


def test_the_digest_tells_a_moved_row_from_a_kept_one(tmp_path: Path) -> None:
    one = write_bundle(tmp_path / "one", RULE)
    other = write_bundle(tmp_path / "other", "")
    (other / "rules" / "b.csv").write_text(RULE)
    assert load_bundle(one).revision.digest != load_bundle(other).revision.digest


@pytest.mark.parametrize("seed", range(250))
def test_a_cut_or_mutated_bundle_is_refused_or_loads_whole(tmp_path: Path, seed: int) -> None:
    """Whatever happens to a file, loading ends in a bundle that decides or in BundleError, never in anything else."""
    chance = random.Random(seed)  # noqa: S311 (reproducible)
    root = tmp_path / "policies"
    shutil.copytree(SHIPPED, root)
    (root / "identities.yaml").write_text("people:\n  alice:\n    accounts:\n      - {provider: corp, subject: a1}\n")
    victim = chance.choice(sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".md"))
    data = bytearray(victim.read_bytes())
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                del data[start:]
            case 1:
                del data[start : start + chance.randint(1, 40)]
            case 2:
                data[start:start] = bytes(chance.choices(b"\x00\xff\"'()[]{}*,#&!|:\\\n-gpe ", k=chance.randint(1, 6)))
            case _:
                data[start : start + 1] = bytes([chance.randrange(256)])
    victim.write_bytes(data)
    try:
        bundle = load_bundle(root)
    except BundleError as error:
        assert error.findings
        return
    engine = PolicyEngine(bundle)
    for case in bundle.cases:
        engine.decide(case.request)
        engine.roles_that_would_allow(case.request)
