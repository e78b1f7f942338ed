"""An SQLite file in trouble: each fault is told with what mends it, and what was acknowledged is there afterwards."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.state.database import StateDatabase
from adapters.state.state import SqlState
from identity.state import StateUnavailableError
from tests.adapters.state.conftest import Place, together
from tests.adapters.state.samples import NOW, grant


@pytest.fixture
def place(sqlite_place: Place) -> Place:
    return sqlite_place


@pytest.fixture
def path(place: Place) -> Path:
    return Path(place.url.removeprefix("sqlite:///"))


def test_a_second_gateway_on_one_file_is_refused(place: Place, database: StateDatabase) -> None:
    with pytest.raises(StateUnavailableError, match="another gateway uses this identity state"):
        place.open()
    database.close()
    place.open().close()


def test_the_lock_of_a_killed_gateway_is_free(place: Place) -> None:
    script = (
        "import os, signal; from adapters.state.database import StateDatabase; "
        f"StateDatabase({place.url!r}).open(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], check=False, timeout=60)
    assert killed.returncode == -9
    place.open().close()


def test_a_missing_file_is_never_made(place: Place, path: Path) -> None:
    path.unlink()
    with pytest.raises(StateUnavailableError, match="is missing; restore it"):
        place.open()
    assert list(path.parent.iterdir()) == [] or not path.exists()


@pytest.mark.parametrize("gone", ["", "-wal"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_taken_away_is_noticed_before_anything_is_acknowledged(
    state: SqlState, path: Path, gone: str, how: str
) -> None:
    state.add_grant(grant())
    victim = Path(f"{path}{gone}")
    if how == "replaced":
        copy = victim.with_name("copy")
        shutil.copy(victim, copy)
        copy.replace(victim)
    else:
        victim.unlink()
    with pytest.raises(StateUnavailableError, match="removed or replaced"):
        state.add_grant(grant(2))


def test_a_file_that_is_put_back_is_used_again(state: SqlState, path: Path) -> None:
    state.add_grant(grant())
    moved = path.rename(path.with_name("elsewhere"))
    for expected in ("removed or replaced", "is missing"):
        with pytest.raises(StateUnavailableError, match=expected):
            state.grant("grant-1")
    moved.rename(path)
    assert state.grant("grant-1") == grant()


def test_a_foreign_writer_is_named(place: Place, path: Path) -> None:
    database = StateDatabase(place.url, patience_s=0.02)
    state = SqlState(database)
    state.add_grant(grant())
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateUnavailableError, match="another program holds"):
        state.add_grant(grant(2))
    shell.execute("ROLLBACK")
    shell.close()
    state.add_grant(grant(2))
    database.close()


def test_after_an_error_the_state_is_only_trusted_once_it_was_synced_whole(place: Place, path: Path) -> None:
    """After a failed sync the kernel shows what the disk may not hold: nothing read then counts as durable."""
    database = StateDatabase(place.url, patience_s=0.02)
    state = SqlState(database)
    state.add_grant(grant())
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN")
    shell.execute("SELECT count(*) FROM identity_grant").fetchone()
    state.add_grant(grant(2))
    with pytest.raises(StateUnavailableError):
        state.add_grant(grant(2))
    for _ in range(2):
        with pytest.raises(StateUnavailableError, match="a reader keeps"):
            state.grant("grant-1")
    shell.execute("COMMIT")
    shell.close()
    assert state.grant("grant-2") == grant(2)
    database.close()


def test_a_full_disk_is_told_and_survived(database: StateDatabase, state: SqlState) -> None:
    with database.transaction() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StateUnavailableError, match="full: free space on it"):
        state.add_grant(grant(sealed_refresh_token=b"x" * 100_000))
    state.add_grant(grant(sealed_refresh_token=b"x" * 100_000))


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_that_is_no_database_is_told(place: Place, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StateUnavailableError, match=r"not an SQLite database|holds no identity state"):
        place.open()


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path, place: Place, path: Path) -> None:
    """Run as a user who owns neither file nor directory where this is root, whom no right keeps out."""
    script = (
        "import os, sys\n"
        "from adapters.state.database import StateDatabase\n"
        "from identity.state import StateUnavailableError\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "os.chdir(os.path.dirname(sys.argv[1]) or '/')\n"
        "try:\n"
        "    StateDatabase('sqlite:///' + sys.argv[1]).open()\n"
        "except StateUnavailableError as error:\n"
        "    print(error)\n"
    )
    path.chmod(0o444)
    Path(f"{path}.lock").chmod(0o666)
    for parent in path.parents:
        if parent.owner() == path.owner() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "make the file and its directory writable" in done.stdout, done.stderr


def test_threads_take_turns(state: SqlState) -> None:
    together(*[lambda n=number: state.add_grant(grant(n)) for number in range(8)])
    assert len(state.living_grants("user:alice", NOW)) == 8


def test_a_thread_that_waits_too_long_is_told(place: Place) -> None:
    database = StateDatabase(place.url, patience_s=0.02)
    state = SqlState(database)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with database.transaction():
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    with pytest.raises(StateUnavailableError, match="busy"):
        state.newest_change()
    done.set()
    thread.join()
    assert state.newest_change() == 0
    database.close()


def test_what_was_acknowledged_survives_a_kill(place: Place, path: Path) -> None:
    script = (
        "import os, signal\n"
        "from adapters.state.database import StateDatabase\n"
        "from adapters.state.state import SqlState\n"
        "from tests.adapters.state.samples import grant\n"
        f"state = SqlState(StateDatabase({place.url!r}))\n"
        "for number in range(50):\n"
        "    state.add_grant(grant(number))\n"
        "    print(number, flush=True)\n"
        "    if number == 20: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    database = place.open()
    state = SqlState(database)
    assert [state.grant(f"grant-{number}") for number in killed.stdout.split()] == [grant(n) for n in range(21)]
    database.close()


def test_closed_is_closed(database: StateDatabase, state: SqlState) -> None:
    database.close()
    with pytest.raises(StateUnavailableError, match="closed"):
        state.newest_change()
    database.open()
    assert state.newest_change() == 0


def test_a_gateway_may_start_before_its_database(place: Place, path: Path) -> None:
    """The first transaction opens what `open` could not."""
    moved = path.rename(path.with_name("elsewhere"))
    database = StateDatabase(place.url)
    state = SqlState(database)
    with pytest.raises(StateUnavailableError, match="missing"):
        database.open()
    moved.rename(path)
    assert state.newest_change() == 0
    database.close()
