"""When the front door gives up a connection, read off its protocol with a transport that goes nowhere."""

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.server import ExactProtocol


class Nowhere(asyncio.Transport):
    """A transport that only remembers that it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def write(self, data: Any) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose timers are run by hand: `pass_time` moves its clock and runs what is due."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


def first_deadline_s(sent: bytes) -> float:
    """Return after how many seconds a connection on which only `sent` came is closed."""
    loop = Clock()
    try:
        return loop.run_until_complete(_closed_after(loop, sent))
    finally:
        loop.close()


async def _closed_after(loop: Clock, sent: bytes) -> float:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("no request is complete")

    protocol = ExactProtocol(Config(cast(Any, application), log_config=None), ServerState(), {}, loop)
    transport = Nowhere()
    protocol.connection_made(transport)
    if sent:
        protocol.data_received(sent)
    for second in range(200):
        await asyncio.sleep(0.001)
        if transport.closed:
            protocol.connection_lost(None)
            return float(second)
        loop.ahead_s += 1
    protocol.connection_lost(None)
    raise AssertionError("the connection was never closed")
