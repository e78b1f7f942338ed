import os
import sys
import time
from pathlib import Path

import pytest

from tests.demo.process import PartFailedError, Process
from tests.parts.ports import free_port


def test_a_part_that_ends_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such table: audit_log')"]
    part = Process("gateway", command, tmp_path / "gateway.log", os.environ, tmp_path)

    with pytest.raises(PartFailedError, match=r"gateway ended with code 1(.|\n)*no such table: audit_log"):
        part.wait_until_ready(f"http://127.0.0.1:{free_port()}/", deadline_s=20)


def test_a_part_that_never_answers_is_named_and_can_be_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; print('sleeping', flush=True); signal.pause()"]
    part = Process("deploy service", command, tmp_path / "part.log", os.environ, tmp_path)

    with pytest.raises(PartFailedError, match="deploy service was not ready at http"):
        part.wait_until_ready(f"http://127.0.0.1:{free_port()}/", deadline_s=0.3)

    began = time.monotonic()
    part.stop()
    assert time.monotonic() - began < 5


def test_a_part_is_ready_once_it_answers(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    part = Process("files", command, tmp_path / "files.log", os.environ, tmp_path)
    try:
        part.wait_until_ready(f"http://127.0.0.1:{port}/", deadline_s=20)
    finally:
        part.stop()
