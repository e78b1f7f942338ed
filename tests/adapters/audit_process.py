"""Processes that write an audit log until they are killed, run out of disk, or may not write."""

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from adapters.sql_store import SqlAuditReader, SqlAuditStore
from audit.log import AuditLog
from audit.store import AuditUnavailableError
from tests.audit.samples import SIGNER, decision, outcome

_PROCESSES = get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])

NOBODY = 65_534


def start(job: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Start `job(connection, *arguments)` in a process of its own; the caller joins it and closes the connection."""
    here, there = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=job, args=(there, *arguments), daemon=True)
    process.start()
    there.close()
    return process, here


def received(connection: Connection) -> list[Any]:
    """Everything that the process still sends, until it ends."""
    found = []
    with contextlib.suppress(EOFError):
        while True:
            found.append(connection.recv())
    return found


def audit_log(url: str) -> AuditLog:
    return AuditLog(SqlAuditStore(url), SqlAuditReader(url), signer=SIGNER, instance="gw-1")


def write_until_killed(connection: Connection, url: str) -> None:
    """Append decisions from 16 tasks, and send (index, leaf) of each as soon as it is acknowledged."""

    async def main() -> None:
        log = audit_log(url)
        await log.start()

        async def write(writer: int) -> None:
            number = writer * 1_000_000
            while True:
                number += 1
                receipt = await log.append(decision(number))
                connection.send((receipt.index, receipt.leaf))
                log.append_soon(outcome(number, receipt.index))

        await asyncio.gather(*map(write, range(16)))

    asyncio.run(main())


def write_until_the_disk_is_full(connection: Connection, url: str) -> None:
    """Append until the log refuses, give it room again, append on; send what happened."""

    async def main() -> None:
        log = audit_log(url)
        await log.start()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, hard))
        acknowledged, refused = [], []
        for number in range(5000):
            try:
                receipt = await log.append(decision(number, verdict="denied"))
            except AuditUnavailableError as error:
                refused.append(str(error))
                if len(refused) == 3:
                    break
            else:
                acknowledged.append((receipt.index, receipt.leaf))
        problem = log.problem
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        receipt = await log.append(decision(9999, verdict="denied"))
        acknowledged.append((receipt.index, receipt.leaf))
        connection.send((acknowledged, refused, problem, log.problem))
        await log.close()

    asyncio.run(main())


def write_without_the_right_to(connection: Connection, url: str, path: str) -> None:
    """Open a log as somebody who may only read it, then as somebody who may write it; send what was said."""
    if os.getuid() == 0:
        os.setuid(NOBODY)

    async def main() -> None:
        log = audit_log(url)
        await log.start()
        said = log.problem
        try:
            await log.append(decision(1, verdict="denied"))
        except AuditUnavailableError as error:
            connection.send((said, str(error)))
        wait_for_rights(path)
        await log.append(decision(2, verdict="denied"))
        connection.send(log.problem)
        await log.close()

    asyncio.run(main())


def wait_for_rights(path: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not (os.access(path, os.W_OK) and os.access(Path(path).parent, os.W_OK)) and time.monotonic() < end:
        time.sleep(0.005)
