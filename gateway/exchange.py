"""One request's way through the gateway: what is known about it so far, and how it is answered."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from adapters.backend import Access, BackendRequest
from gateway.backends import Backend
from gateway.body import ClientBody, HeldBody, Receive
from gateway.headers import RawHeaders, RequestHeaders
from gateway.policy.request import Decision
from gateway.problems import Problem
from gateway.server import RawRequest
from gateway.target import Target
from identity.principal import Principal

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Exchange:
    """Filled step by step by the pipeline; what a step could not find out stays None.

    `generation` is that of `OpenExchanges` when the request began. `cut` is why the request was ended while it was
    being forwarded. `status` is the backend's, None where it gave none; `sent` counts the bytes of its body given to
    the client.
    """

    __slots__ = (
        "accesses",
        "backend",
        "body",
        "cut",
        "decisions",
        "generation",
        "headers",
        "method",
        "principal",
        "raw",
        "receive",
        "received_us",
        "request",
        "request_id",
        "send",
        "sent",
        "source",
        "status",
        "target",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, raw: RawRequest, *, request_id: str, received_us: int
    ) -> None:
        self.raw = raw
        self.receive = receive
        self.send = send
        self.request_id = request_id
        self.received_us = received_us
        self.method: str = scope["method"]
        client = scope["client"]
        self.source: str = client[0] if client else ""
        self.target: Target | None = None
        self.headers: RequestHeaders | None = None
        self.backend: Backend | None = None
        self.principal: Principal | None = None
        self.body: ClientBody | HeldBody | None = None
        self.request: BackendRequest | None = None
        self.accesses: tuple[Access, ...] = ()
        self.decisions: tuple[Decision, ...] = ()
        self.generation = 0
        self.cut: Problem | None = None
        self.status: int | None = None
        self.sent = 0

    async def begin_relay(self, status: int, headers: RawHeaders) -> None:
        """Send the backend's status and headers."""
        self.status = status
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def relay(self, piece: bytes, *, more: bool) -> None:
        """Send one piece of the backend's body; waits while the client is not reading."""
        await self.send({"type": "http.response.body", "body": piece, "more_body": more})
        self.sent += len(piece)

    async def answer(self, problem: Problem, headers: RawHeaders, public_url: str) -> None:
        """Answer with a problem document; `headers` are added to its own."""
        document = problem.document(self.request_id)
        own = problem.headers(self.request_id, public_url)
        own.append((b"content-length", b"%d" % len(document)))
        await self.send({"type": "http.response.start", "status": problem.status, "headers": own + headers})
        await self.send({"type": "http.response.body", "body": document, "more_body": False})
