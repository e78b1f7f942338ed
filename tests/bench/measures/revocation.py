"""How long a person who was revoked goes on receiving: from the administrator's request to the last byte served."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from statistics import quantiles

import httpx

from tests.bench.processes import BenchError
from tests.bench.rules import PROVIDER
from tests.bench.setting import Findings, Setting
from tests.bench.systems import revoking

PEOPLE = 100
_PATIENCE_S = 30.0


def revocation(setting: Setting) -> Findings:
    """Revoke PEOPLE people one after the other, each of whom receives a byte every 5 ms.

    First at the gateway that serves the streams (state in SQLite), then at another replica (PostgreSQL). The figures
    are 99th percentiles, in seconds.
    """
    figures = {}
    with revoking.one(setting) as urls:
        figures["revocation_p99_s"] = asyncio.run(_p99_s(setting, serving=urls[0], asked=urls[0]))
    with revoking.two(setting) as urls:
        figures["revocation_replicas_p99_s"] = asyncio.run(_p99_s(setting, serving=urls[1], asked=urls[0]))
    return Findings(figures)


async def _p99_s(setting: Setting, *, serving: str, asked: str) -> float:
    people = [f"person-{number}" for number in range(PEOPLE)]
    tokens = {person: setting.credentials.token_of(person) for person in people}
    streams = await asyncio.gather(*(_Stream.open(serving, tokens[person]) for person in people))
    delays = []
    headers = {"Authorization": f"Bearer {setting.credentials.token}"}
    async with httpx.AsyncClient(base_url=asked, headers=headers, timeout=_PATIENCE_S) as administrator:
        for person, stream in zip(people, streams, strict=True):
            begun = time.monotonic()
            wanted = {"person": f"user:{PROVIDER}:{person}@example.com"}
            answer = await administrator.post("/-/api/v1/revocations", json=wanted)
            if answer.status_code != 200:
                raise BenchError(f"the revocation was answered {answer.status_code} {answer.text[:200]}")
            delays.append(await stream.last_byte_at() - begun)
    _check_others_lived(streams, delays)
    return quantiles(delays, n=100, method="inclusive")[98]


def _check_others_lived(streams: Sequence["_Stream"], delays: Sequence[float]) -> None:
    # A gateway that cuts everybody at the first revocation would look very fast.
    if not all(stream.received > 1 for stream in streams) or min(delays[1:]) < 0:
        raise BenchError("streams ended before their person was revoked")


class _Stream:
    """One open stream: counts its bytes and keeps the time of the last."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received = 0
        self._newest = 0.0
        self._writer = writer
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def open(cls, url: str, token: str) -> "_Stream":
        """Begin a stream and return it once its first bytes are here."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(f"GET {revoking.STREAM} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE_S)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise BenchError(f"a stream was answered {head[:60]!r}")
        return cls(reader, writer)

    async def last_byte_at(self) -> float:
        """Wait for the stream's end; returns the monotonic time of its last byte."""
        try:
            await asyncio.wait_for(self._reading, _PATIENCE_S)
        except TimeoutError:
            raise BenchError(f"a revoked person's stream went on for {_PATIENCE_S:.0f} s") from None
        self._writer.close()
        return self._newest

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                self.received += len(piece)
                self._newest = time.monotonic()
