"""`portcullis audit` finds, exports and proves what is in the log, and names the first record that is wrong."""

import csv
import json
import os
import pty
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from adapters.sql_store import SqlAuditStore
from audit.merkle import Frontier
from audit.note import Signer
from audit.record import Record, Result, Verdict, authn, policy_load, resume, start, stop
from audit.search import Event
from gateway.cli.audit_query import KindChoice, VerdictChoice, moment_us
from gateway.cli.audit_text import event_line
from gateway.cli.main import main
from gateway.cli.output import CommandError
from tests.audit.samples import checkpoint_of, decision, outcome, stored
from tests.gateway.cli.conftest import Run

ORIGIN = "gateway.example.com/audit"
LoadResult = get_type_hints(policy_load)["result"]
LOADED = policy_load(time_us=1, instance="a", result="loaded", commit="", digest="", rules=1, detail="")
STARTED = start(time_us=1, instance="a", version="1", size=0, open_decisions=0)
RESUMED = resume(time_us=1, instance="a", problem="", since_us=1, refused=0)
LOGIN = authn(
    request_id="0193fa3e-0000-7000-8000-000000000009",
    time_us=1,
    instance="a",
    action="login",
    result="fail",
    actor=None,
    source="192.0.2.7",
    client="console",
    provider="corp",
    session=None,
    detail="access_denied",
)
PORTCULLIS = str(Path(sys.executable).with_name("portcullis"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What init makes, with five decisions and two outcomes in the log."""
    directory = tmp_path_factory.mktemp("original") / "site"
    assert main(["init", str(directory)]) == 0
    records = [
        decision(0),
        outcome(0, 0),
        decision(1, backend="aws-prod", verdict="denied", status=403, reason="no_matching_rule", rule_file=None),
        decision(
            2, method="PUT", path="/logs-prod/\x1b[2Jx", accesses=(("logs-prod/a", "push"), ("logs-prod/b", "push"))
        ),
        outcome(2, 3, status=None, result="fail", detail="upstream_timeout"),
        decision(3, actor=None, verdict="unauthenticated", status=401, reason="credential_required", rule_file=None),
        decision(4),
    ]
    fill(directory, records)
    return directory


@pytest.fixture
def site(original: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    return Path(shutil.copytree(original, tmp_path / "site"))


def fill(site: Path, records: Sequence[Record]) -> None:
    store = SqlAuditStore(f"sqlite:///{site}/var/portcullis.db")
    store.open()
    rows, head = stored(records, tree=Frontier())
    store.append(rows, head)
    store.checkpoint(checkpoint_of(head, Signer.load(ORIGIN, site / "var/audit.key")), head.size)
    store.close()


def config(site: Path) -> tuple[str, Path]:
    return "--config", site / "portcullis.yaml"


def alter(site: Path, index: int, *, restore_guards: bool = True) -> None:
    """Change one record behind the database's back."""
    with closing(sqlite3.connect(site / "var/portcullis.db")) as database, database:
        guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            database.execute(f'DROP TRIGGER "{name}"')
        altered = "CAST(replace(CAST(body AS TEXT), 'alice', 'mallo') AS BLOB)"
        changed = database.execute(f"UPDATE audit_log SET body = {altered} WHERE idx = ?", (index,))  # noqa: S608
        assert changed.rowcount == 1
        for _, sql in guards if restore_guards else ():
            database.execute(sql)


def test_search_lists_the_newest_first_with_their_ends(run: Run, site: Path) -> None:
    done = run("audit", "search", *config(site))
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == ["6", "5", "3", "2", "0"]
    assert lines[0].endswith("rules/logs.csv:3  no outcome yet")
    assert lines[1].split("  ")[2:4] == ["unauthenticated", "-"]
    assert lines[2].endswith("push logs-prod/a; push logs-prod/b  rules/logs.csv:3  fail")
    assert lines[3].endswith("query logs-prod/payments  no_matching_rule  answered 403")
    assert lines[4].endswith(
        "allowed  user:alice  GET logs-prod /logs-prod/payments  query logs-prod/payments  rules/logs.csv:3  ok 200"
    )
    assert "\x1b" not in done.out
    assert "\\x1b[2Jx" in done.out


@pytest.mark.parametrize(
    ("filters", "indexes"),
    [
        (["--actor", "user:alice"], [6, 3, 2, 0]),
        (["--backend", "aws-prod"], [2]),
        (["--verdict", "denied"], [2]),
        (["--kind", "outcome"], [4, 1]),
        (["--kind", "outcome", "--verdict", "fail"], [4]),
        (["--request-id", "0193fa3e-0000-7000-8000-000000000002"], [3]),
        (["--limit", "2"], [6, 5]),
        (["--since", "2000-01-01", "--until", "2001-01-01"], []),
        (["--since", "2001-01-01T00:00:00Z", "--actor", "user:alice", "--verdict", "allowed"], [6, 3, 0]),
    ],
)
def test_search_filters(run: Run, site: Path, filters: list[str], indexes: list[int]) -> None:
    found = run("audit", "search", *config(site), "--format", "json", *filters).json
    assert [event["index"] for event in found] == indexes


@pytest.mark.parametrize("command", ["search", "export"])
@pytest.mark.parametrize(("option", "choices"), [("--verdict", VerdictChoice), ("--kind", KindChoice)])
def test_a_word_that_no_record_has_is_wrong_use(
    run: Run, site: Path, command: str, option: str, choices: type[StrEnum]
) -> None:
    """A typo must not read as "nothing was found"."""
    done = run("audit", command, *config(site), option, "alowed")
    assert (done.code, done.out) == (2, "")
    assert all(choice in done.err for choice in choices)


def test_the_choices_are_the_words_that_records_have() -> None:
    assert set(VerdictChoice) == {*get_args(Verdict), *get_args(Result), *get_args(LoadResult)}
    records = [decision(0), outcome(0, 0), LOGIN, LOADED, STARTED, RESUMED, stop(time_us=1, instance="a")]
    assert set(KindChoice) == {record.kind for record in records}


def test_a_login_says_who_through_whom_and_why() -> None:
    line = event_line(Event(7, b"", json.loads(LOGIN.body), None))
    assert line == "7  1970-01-01T00:00:00.000Z  login  fail  -  through corp  with console  access_denied"


def test_one_record_is_one_record(run: Run, site: Path) -> None:
    assert run("audit", "export", *config(site), "--verdict", "denied").err == "1 record\n"


def test_a_record_is_shown_whole_as_json(run: Run, site: Path) -> None:
    (event,) = run("audit", "search", *config(site), "--format", "json", "--limit", "1", "--until", "9999-01-01").json
    assert event["record"]["request"]["path"] == "/logs-prod/payments"
    assert len(event["leaf"]) == 64
    assert event["outcome"] is None


def test_an_export_verifies_offline_with_the_public_key_alone(run: Run, site: Path, tmp_path: Path) -> None:
    exported = tmp_path / "log.jsonl"
    done = run("audit", "export", *config(site), "--output", exported)
    assert (done.code, done.out, done.err) == (0, "", f"7 records in {exported}\n")
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    key = site / "var/audit.pub"
    for given in (key, key.read_text().strip()):
        done = run("audit", "verify", "--config", tmp_path / "none.yaml", "--export", exported, "--key", given)
        assert (done.code, done.out.split(";")[0]) == (0, "verified: 7 records, 7 of them under the signed checkpoint")
    exported.write_text(exported.read_text().replace("alice", "mallo", 1))
    done = run("audit", "verify", "--export", exported, "--key", key)
    assert done.code == 1
    assert "BROKEN: first bad record 0" in done.out


def test_an_export_goes_to_standard_output_and_never_over_a_file(run: Run, site: Path, tmp_path: Path) -> None:
    done = run("audit", "export", *config(site))
    assert done.err == "7 records\n"
    assert [json.loads(line).get("index") for line in done.out.splitlines()] == [None, *range(7), None]
    (tmp_path / "kept").write_text("evidence")
    done = run("audit", "export", *config(site), "--output", tmp_path / "kept")
    assert (done.code, "exists already" in done.err) == (2, True)
    assert (tmp_path / "kept").read_text() == "evidence"
    assert run("audit", "export", *config(site), "--output", tmp_path / "no/where").code == 2


def test_a_csv_is_for_people(run: Run, site: Path) -> None:
    done = run("audit", "export", *config(site), "--format", "csv", "--actor", "user:alice", "--kind", "decision")
    rows = list(csv.DictReader(done.out.splitlines()))
    assert [row["index"] for row in rows] == ["0", "2", "3", "6"]
    assert {row["actor"] for row in rows} == {"user:alice"}
    assert run("audit", "export", *config(site), "--format", "csv", "--start", "3").code == 2


def test_an_export_continues_another(run: Run, site: Path, tmp_path: Path) -> None:
    exported = tmp_path / "later.jsonl"
    assert run("audit", "export", *config(site), "--output", exported, "--start", "4").code == 0
    document = run("audit", "verify", "--export", exported, "--key", site / "var/audit.pub", "--format", "json").json
    assert (document["ok"], document["records"]) == (True, 3)


def test_verify_names_the_first_altered_record(run: Run, site: Path) -> None:
    """SECURITY-CASES 37: a change behind the database's back is found."""
    assert run("audit", "verify", *config(site)).code == 0
    alter(site, 3)
    done = run("audit", "verify", *config(site))
    assert done.code == 1
    assert "altered: record 3" in done.out
    assert done.out.splitlines()[-1].startswith("BROKEN: first bad record 3; 7 records")
    document = run("audit", "verify", *config(site), "--format", "json").json
    assert (document["ok"], document["first_bad_index"]) == (False, 3)
    assert document["findings"][0]["code"] == "altered"


def test_a_log_that_contradicts_itself_is_a_broken_proof(run: Run, site: Path) -> None:
    alter(site, 3, restore_guards=False)
    done = run("audit", "verify", *config(site))
    assert (done.code, "BROKEN" in done.out) == (1, True)
    document = run("audit", "verify", *config(site), "--format", "json").json
    assert document["ok"] is False
    assert document["finding_count"] > 0


def test_verify_needs_no_private_key_and_no_secret(run: Run, site: Path) -> None:
    (site / "var/audit.key").unlink()
    assert run("audit", "verify", *config(site)).code == 2
    assert run("audit", "verify", *config(site), "--key", site / "var/audit.pub").code == 0
    assert run("audit", "search", *config(site)).code == 0


def test_receipts_and_kept_checkpoints_are_looked_for(run: Run, site: Path, tmp_path: Path) -> None:
    events = run("audit", "search", *config(site), "--format", "json").json
    good = f"{events[-1]['index']}:{events[-1]['leaf']}"
    assert run("audit", "verify", *config(site), "--receipt", good).code == 0
    assert run("audit", "verify", *config(site), "--receipt", good, "--receipt", f"1:{'0' * 64}").code == 1
    for bad in ("1", "x:" + "0" * 64, "1:xyz"):
        assert "INDEX:HASH" in run("audit", "verify", *config(site), "--receipt", bad).err
    run("audit", "export", *config(site), "--output", tmp_path / "log.jsonl")
    header = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    (tmp_path / "checkpoint").write_text(header["checkpoint"])
    assert run("audit", "verify", *config(site), "--checkpoint", tmp_path / "checkpoint").code == 0
    (tmp_path / "checkpoint").write_text(header["checkpoint"].replace("\n7\n", "\n6\n"))
    assert run("audit", "verify", *config(site), "--checkpoint", tmp_path / "checkpoint").code == 1


@pytest.mark.parametrize("options", [["--key", "no-such-file"], ["--key", "name+00000000+AAAA"], []])
def test_an_export_without_a_good_key_proves_nothing(run: Run, site: Path, tmp_path: Path, options: list[str]) -> None:
    run("audit", "export", *config(site), "--output", tmp_path / "log.jsonl")
    done = run("audit", "verify", "--export", tmp_path / "log.jsonl", *options)
    assert (done.code, done.out, "Traceback" in done.err) == (2, "", False)


def test_what_is_no_export_or_no_log_is_told(run: Run, site: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    done = run("audit", "verify", "--export", tmp_path / "text", "--key", site / "var/audit.pub")
    assert (done.code, "line 1: this is not an export" in done.err) == (2, True)
    (site / "var/portcullis.db").unlink()
    for command in ("search", "export", "verify"):
        done = run("audit", command, *config(site))
        assert (done.code, done.out, "Traceback" in done.err) == (2, "", False)
        assert "portcullis.db" in done.err
    assert not (site / "var/portcullis.db").exists()


@pytest.mark.parametrize("source", ["database", "export"])
def test_a_person_who_waits_sees_progress(run: Run, site: Path, tmp_path: Path, source: str) -> None:
    exported = tmp_path / "log.jsonl"
    run("audit", "export", *config(site), "--output", exported)
    options = ["--export", exported, "--key", site / "var/audit.pub"] if source == "export" else config(site)
    watcher, terminal = pty.openpty()
    command = [PORTCULLIS, "audit", "verify", *options]
    with os.fdopen(watcher, "rb", buffering=0) as screen:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, text=True, check=False, timeout=30)
        os.close(terminal)
        shown = screen.read(65536)
    assert done.returncode == 0
    assert done.stdout.startswith("verified: 7 records")
    assert b"verifying" in shown


def test_times_are_read_as_people_write_them() -> None:
    assert (
        moment_us("2026-11-23T10:00:00Z") == moment_us("2026-11-23T11:00:00+01:00") == moment_us("2026-11-23T10:00:00")
    )
    assert moment_us("2026-11-23") % 86_400_000_000 == 0
    assert moment_us("2h") - moment_us("7200s") < 1_000_000
    assert moment_us("1970-01-01") == 0
    for wrong in ("yesterday", "2026-13-01", "2 h", ""):
        with pytest.raises(CommandError, match="is no time"):
            moment_us(wrong)
