"""Open-loop load: requests are due at fixed moments however slowly answers come; waits count from those moments."""

import asyncio
import selectors
import time
from collections import deque
from dataclasses import dataclass

from tests.bench.processes import BenchError

CONNECTIONS = 64
_DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds from a request's intended moment to its answer's last byte, sorted."""

    milliseconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """Return the smallest value that at least `percent` of the requests did not exceed."""
        count = len(self.milliseconds)
        return self.milliseconds[min(count - 1, int(count * percent / 100))]


def measure(port: int, request: bytes, *, per_second: int, seconds: float, warm_up_s: float) -> Latencies:
    """Send `request` at a fixed rate over kept-alive connections on loopback; the warm-up is not in the result.

    Raises BenchError where any answer is not 200 or does not come.
    """
    # select(2) wakes to the microsecond, epoll_wait(2) to the millisecond, which is the whole spacing at 1,000/s.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(_run(port, request, per_second, seconds, warm_up_s))


async def _run(port: int, request: bytes, per_second: int, seconds: float, warm_up_s: float) -> Latencies:
    loop = asyncio.get_running_loop()
    generator = _Generator(request)
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Connection(generator), "127.0.0.1", port)
    try:
        count, start = int(per_second * (seconds + warm_up_s)), time.perf_counter() + 0.05
        for index in range(count):
            intended = start + index / per_second
            delay = intended - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            generator.send(intended)
        await generator.drained()
    finally:
        generator.close()
    warm = int(per_second * warm_up_s)
    return Latencies(tuple(sorted(generator.milliseconds[warm:])))


class _Generator:
    """Hands each due request to an idle connection, or lets it wait, its clock running, until one is idle."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.milliseconds: list[float] = []
        self._idle: list[_Connection] = []
        self._due: deque[float] = deque()
        self._busy = 0
        self._all: list[_Connection] = []
        self._failure: str | None = None

    def joined(self, connection: "_Connection") -> None:
        self._all.append(connection)
        self._idle.append(connection)

    def send(self, intended: float) -> None:
        if self._failure:
            raise BenchError(self._failure)
        if not self._idle:
            self._due.append(intended)
            return
        self._busy += 1
        self._idle.pop().send(intended, self.request)

    def answered(self, connection: "_Connection", intended: float) -> None:
        self.milliseconds.append((time.perf_counter() - intended) * 1000)
        if self._due:
            connection.send(self._due.popleft(), self.request)
            return
        self._busy -= 1
        self._idle.append(connection)

    def failed(self, why: str) -> None:
        self._failure = self._failure or f"open-loop load: {why}"

    async def drained(self) -> None:
        deadline = time.perf_counter() + _DRAIN_S
        while self._busy and not self._failure and time.perf_counter() < deadline:
            await asyncio.sleep(0.005)
        if self._failure or self._busy:
            raise BenchError(self._failure or f"{self._busy} requests had no answer after {_DRAIN_S:.0f} s")

    def close(self) -> None:
        for connection in self._all:
            connection.close()


class _Connection(asyncio.Protocol):
    """One kept-alive connection with at most one request on its way; reads answers framed by Content-Length."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._received = b""
        self._intended = 0.0
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._generator.joined(self)

    def send(self, intended: float, request: bytes) -> None:
        self._intended = intended
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            self._generator.failed(f"an answer was {head[:60]!r}")
        if len(body) >= self._content_length(head):
            self._received = b""
            self._generator.answered(self, self._intended)

    def _content_length(self, head: bytes) -> int:
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return int(value)
        self._generator.failed("an answer has no Content-Length")
        return 0

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._generator.failed(f"a connection was closed: {exc}")

    def close(self) -> None:
        self._closing = True
        self._transport.close()
