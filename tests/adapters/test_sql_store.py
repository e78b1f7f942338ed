"""The SQLite audit store: the conformance suite, the guards in the database itself, and each way a file can fail."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.sql_schema import GUARDS
from adapters.sql_store import SqlAuditReader, SqlAuditStore, create_store
from audit.merkle import Frontier
from audit.store import AuditCorruptError, AuditUnavailableError
from audit.verify import verify_store
from tests.audit.samples import SIGNER, checkpoint_of, decision, stored
from tests.audit.store_conformance import AuditStoreConformance


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def url(path: Path) -> str:
    create_store(f"sqlite:///{path}")
    return f"sqlite:///{path}"


@pytest.fixture
def store(url: str) -> Iterator[SqlAuditStore]:
    made = SqlAuditStore(url, busy_timeout_s=0.05)
    yield made
    made.close()


@pytest.fixture
def reader(url: str) -> Iterator[SqlAuditReader]:
    made = SqlAuditReader(url)
    yield made
    made.close()


@pytest.fixture
def shell(store: SqlAuditStore, path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to a log of three records with a checkpoint."""
    fill(store)
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


def fill(store: SqlAuditStore, count: int = 3) -> None:
    store.open()
    rows, head = stored([decision(number) for number in range(count)])
    store.append(rows, head)
    store.checkpoint(checkpoint_of(head), count)
    store.close()


class TestConformance(AuditStoreConformance):
    pass


VALUES = "x'00', x'00', 0, '', '', '', '', '', NULL, NULL"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET body = x'00' WHERE idx = 1",
        "UPDATE audit_log SET idx = 7 WHERE idx = 1",
        "UPDATE OR REPLACE audit_log SET idx = 0 WHERE idx = 1",
        "UPDATE audit_log SET rowid = 9 WHERE idx = 1",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE idx = 2",
        "INSERT OR REPLACE INTO audit_log VALUES (1, ...)",
        "REPLACE INTO audit_log VALUES (2, ...)",
        "INSERT INTO audit_log VALUES (5, ...)",
        "INSERT INTO audit_log VALUES (-1, ...)",
        "INSERT INTO audit_log VALUES (NULL, ...)",
        "INSERT OR FAIL INTO audit_log VALUES (3, ...), (1, ...)",
        "INSERT INTO audit_log VALUES (1, ...) ON CONFLICT (idx) DO UPDATE SET body = x'01'",
        "UPDATE audit_checkpoint SET note = x'00'",
        "DELETE FROM audit_checkpoint",
        "INSERT OR REPLACE INTO audit_checkpoint VALUES (0, 0, x'00')",
        "UPDATE audit_schema SET version = 2",
        "DELETE FROM audit_schema",
        "INSERT INTO audit_schema VALUES (2)",
        "INSERT OR REPLACE INTO audit_schema VALUES (1)",
    ],
)
def test_the_database_itself_refuses_every_change(shell: sqlite3.Connection, statement: str) -> None:
    """SECURITY-CASES 37: guards stand in the database; SQLite has no TRUNCATE."""
    before = shell.execute("SELECT * FROM audit_log").fetchall()[:3]
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        shell.execute(statement.replace("...", VALUES))
    assert shell.execute("SELECT * FROM audit_log").fetchall()[:3] == before


@pytest.mark.parametrize("verb", ["INSERT OR IGNORE", "INSERT OR ROLLBACK"])
def test_an_insert_that_asks_to_be_ignored_changes_nothing(shell: sqlite3.Connection, verb: str) -> None:
    """SECURITY-CASES 37."""
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        shell.execute(f"{verb} INTO audit_log VALUES (1, {VALUES})")
    assert shell.execute("SELECT count(*) FROM audit_log").fetchone() == (3,)


def test_a_row_altered_behind_the_databases_back_is_found_with_its_index(
    shell: sqlite3.Connection, reader: SqlAuditReader
) -> None:
    """SECURITY-CASES 37: an owner can drop the guards; the tree still tells."""
    guard = GUARDS["audit_log_no_update"]
    shell.execute("DROP TRIGGER audit_log_no_update")
    shell.execute(
        "UPDATE audit_log SET body = CAST(replace(CAST(body AS TEXT), 'alice', 'mallo') AS BLOB) WHERE idx = 1"
    )
    shell.execute(guard)
    report = verify_store(reader, verifier=SIGNER.verifier)
    assert report.first_bad_index == 1
    assert {finding.code for finding in report.findings} >= {"altered", "root"}


def test_bytes_flipped_in_the_file_are_found(store: SqlAuditStore, reader: SqlAuditReader, path: Path) -> None:
    """SECURITY-CASES 37: also a change that no SQL made."""
    fill(store)
    content = path.read_bytes()
    at = content.index(b"user:alice")
    path.write_bytes(content[:at] + b"user:mallo" + content[at + 10 :])
    report = verify_store(reader, verifier=SIGNER.verifier)
    assert report.first_bad_index is not None


def test_a_log_without_its_guards_is_not_opened(shell: sqlite3.Connection, store: SqlAuditStore) -> None:
    shell.execute("DROP TRIGGER audit_log_no_delete")
    with pytest.raises(AuditCorruptError, match="audit_log_no_delete"):
        store.open()


def test_records_cut_off_the_end_are_noticed(shell: sqlite3.Connection, store: SqlAuditStore) -> None:
    shell.execute("DROP TRIGGER audit_log_no_delete")
    shell.execute("DELETE FROM audit_log WHERE idx = 2")
    shell.execute(GUARDS["audit_log_no_delete"])
    with pytest.raises(AuditCorruptError, match="records were removed"):
        store.open()


def test_a_missing_database_is_never_made_by_opening(path: Path) -> None:
    for opening in (SqlAuditStore(f"sqlite:///{path}").open, SqlAuditReader(f"sqlite:///{path}").head):
        with pytest.raises(AuditUnavailableError, match=r"audit\.db: the audit database is missing.*portcullis init"):
            opening()
    assert not path.exists()


def test_a_log_is_never_made_twice(url: str, path: Path) -> None:
    with pytest.raises(AuditUnavailableError, match="already"):
        create_store(url)


def test_a_new_database_is_private(url: str, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()
    with pytest.raises(AuditUnavailableError, match="holds no audit log"):
        SqlAuditStore(f"sqlite:///{path}").open()
    create_store(f"sqlite:///{path}")  # beside what is there


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, though long enough to be taken for one" * 100)
    with pytest.raises(AuditCorruptError, match=r"audit\.db: the file is not an SQLite database"):
        SqlAuditStore(f"sqlite:///{path}").open()


def test_another_schema_version_is_refused(shell: sqlite3.Connection, store: SqlAuditStore) -> None:
    for name in ("audit_schema_no_insert", "audit_schema_no_update"):
        shell.execute(f"DROP TRIGGER {name}")
    shell.execute("INSERT INTO audit_schema VALUES (2)")
    with pytest.raises(AuditUnavailableError, match="schema version 2, this program works with 1"):
        store.open()


@pytest.mark.parametrize("bad", ["postgresql://x/y", "sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "%"])
def test_a_url_that_names_no_file_is_refused(bad: str) -> None:
    with pytest.raises(AuditUnavailableError, match="URL"):
        SqlAuditStore(bad)


def test_a_second_gateway_on_one_database_is_refused(store: SqlAuditStore, url: str) -> None:
    store.open()
    second = SqlAuditStore(url)
    with pytest.raises(AuditUnavailableError, match="another gateway"):
        second.open()
    store.close()
    second.open()
    second.close()


def test_a_foreign_writer_is_named(shell: sqlite3.Connection, store: SqlAuditStore) -> None:
    store.open()
    shell.execute("BEGIN IMMEDIATE")
    rows, head = stored([decision(9)], tree=Frontier(3, stored([decision(n) for n in range(3)])[1].frontier))
    with pytest.raises(AuditUnavailableError, match="another program holds"):
        store.append(rows, head)
    shell.execute("ROLLBACK")
    store.open()
    store.append(rows, head)


def test_after_an_error_the_log_is_only_trusted_once_it_was_synced_whole(
    store: SqlAuditStore, shell: sqlite3.Connection
) -> None:
    """After a failed fsync the kernel shows what the disk may not hold: nothing read then counts as durable."""
    head = store.open()
    more, end = stored([decision(3)], tree=Frontier(head.size, head.frontier))
    store.append(more, end)
    shell.execute("BEGIN")
    shell.execute("SELECT count(*) FROM audit_log").fetchone()
    rows, head = stored([decision(9)])
    with pytest.raises(AuditUnavailableError):
        store.append(rows, head)
    for _ in range(2):
        with pytest.raises(AuditUnavailableError, match="a reader keeps"):
            store.open()
    shell.execute("COMMIT")
    assert store.open() == end


@pytest.mark.parametrize("gone", ["", "-wal"])
@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_file_taken_away_while_serving_is_noticed_before_anything_is_acknowledged(
    store: SqlAuditStore, path: Path, gone: str, how: str
) -> None:
    """SECURITY-CASES 38: an audit file removed while serving stops the gate."""
    store.open()
    rows, head = stored([decision(1)])
    store.append(rows, head)
    victim = Path(f"{path}{gone}")
    if how == "replaced":
        copy = victim.with_name("copy")
        shutil.copy(victim, copy)
        copy.replace(victim)
    elif how == "moved":
        victim.rename(victim.with_name("elsewhere"))
    else:
        victim.unlink()
    more, end = stored([decision(2)], tree=Frontier(head.size, head.frontier))
    with pytest.raises(AuditUnavailableError, match=r"removed|replaced"):
        store.append(more, end)
    store.close()


def test_a_table_dropped_while_serving_is_noticed(store: SqlAuditStore, path: Path) -> None:
    """SECURITY-CASES 38."""
    store.open()
    connection = sqlite3.connect(path)
    for name in GUARDS:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DROP TABLE audit_log")
    connection.close()
    rows, head = stored([decision(1)])
    with pytest.raises(AuditUnavailableError, match="no such table"):
        store.append(rows, head)
    with pytest.raises(AuditUnavailableError):
        store.open()


def test_a_body_too_long_to_be_ours_neither_stalls_a_reader_nor_passes(
    shell: sqlite3.Connection, reader: SqlAuditReader
) -> None:
    """SECURITY-CASES 39."""
    shell.execute("DROP TRIGGER audit_log_no_update")
    shell.execute("UPDATE audit_log SET body = zeroblob(200000000) WHERE idx = 1")
    shell.execute(GUARDS["audit_log_no_update"])
    lengths = [len(row.body) for row in reader.rows()]
    assert lengths[1] == 65_536
    assert verify_store(reader, verifier=SIGNER.verifier).first_bad_index == 1


def test_a_reader_follows_a_database_that_was_put_back(
    store: SqlAuditStore, reader: SqlAuditReader, path: Path
) -> None:
    fill(store)
    assert reader.head().size == 3
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        name.unlink(missing_ok=True)
    with pytest.raises(AuditUnavailableError, match="missing"):
        reader.head()
    create_store(f"sqlite:///{path}")
    assert reader.head().size == 0


def test_reading_leaves_the_database_as_it_is(store: SqlAuditStore, reader: SqlAuditReader, path: Path) -> None:
    fill(store)
    before = path.read_bytes()
    list(reader.rows())
    reader.close()
    assert path.read_bytes() == before
