"""What the SQLite audit log keeps when its process is killed, its disk fills up, or it may not write."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.sql_store import SqlAuditReader, create_store
from audit.verify import verify_store
from tests.adapters.audit_process import (
    NOBODY,
    audit_log,
    received,
    start,
    write_until_killed,
    write_until_the_disk_is_full,
    write_without_the_right_to,
)
from tests.audit.samples import SIGNER


@pytest.fixture
def url(tmp_path: Path) -> str:
    create_store(f"sqlite:///{tmp_path}/audit.db")
    return f"sqlite:///{tmp_path}/audit.db"


def test_no_acknowledged_record_is_lost_by_20_kills_under_load(url: str) -> None:
    """The promise of a receipt, under kill -9: all receipts of all lives verify in the one log that remains."""
    receipts: dict[int, bytes] = {}
    for life in range(20):
        process, connection = start(write_until_killed, url)
        for _ in range(5 + life * 10):
            index, leaf = connection.recv()
            assert index not in receipts, "an acknowledged index was given out again"
            receipts[index] = leaf
        process.kill()
        receipts.update(received(connection))
        process.join()
        connection.close()

    async def settle() -> None:
        log = audit_log(url)
        await log.start()
        await log.close()

    asyncio.run(settle())
    reader = SqlAuditReader(url)
    report = verify_store(reader, verifier=SIGNER.verifier, receipts=receipts)
    rows = list(reader.rows())
    reader.close()
    assert report.ok, report.findings
    assert len(receipts) > 400
    decided = [row.request_id for row in rows if row.kind == "decision"]
    closed = [row.request_id for row in rows if row.kind == "outcome"]
    assert sorted(closed) == sorted(decided), "every decision has one outcome, true or indeterminate"
    assert {row.verdict for row in rows if row.kind == "outcome"} == {"ok", "indeterminate"}


def test_a_full_disk_refuses_and_is_recovered_from_without_a_restart(url: str) -> None:
    process, connection = start(write_until_the_disk_is_full, url)
    acknowledged, refused, problem, later = connection.recv()
    process.join()
    connection.close()
    assert len(refused) == 3
    assert all("disk" in text and "audit.db" in text for text in refused)
    assert problem is not None
    assert later is None
    reader = SqlAuditReader(url)
    report = verify_store(reader, verifier=SIGNER.verifier, receipts=dict(acknowledged))
    kinds = [row.kind for row in reader.rows()]
    reader.close()
    assert report.ok, report.findings
    assert kinds.count("decision") == len(acknowledged)
    assert kinds.count("resume") == 1


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("modes", "says"),
    [
        pytest.param((0o555, 0o444), "permission", id="folder and files"),
        pytest.param((0o755, 0o444), "read-only", id="files"),
    ],
)
def test_a_read_only_database_is_named_and_served_once_it_may_be_written(
    open_folder: Path, modes: tuple[int, int], says: str
) -> None:
    path = open_folder / "audit.db"
    create_store(f"sqlite:///{path}")
    files = list(open_folder.iterdir())
    for name, mode in [*((name, modes[1]) for name in files), (open_folder, modes[0])]:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        name.chmod(mode)
    process, connection = start(write_without_the_right_to, f"sqlite:///{path}", str(path))
    said, error = connection.recv()
    assert "audit.db" in said
    assert says in said.lower()
    assert said == error
    for name in (open_folder, *open_folder.iterdir()):
        name.chmod(0o755)
    assert connection.recv() is None
    process.join()
    connection.close()
