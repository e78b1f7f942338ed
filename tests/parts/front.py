"""A running gateway in front of a backend whose script each test chooses."""

import threading
from dataclasses import dataclass

from audit.store import Row
from gateway.app import open_audit_reader
from tests.parts.gateway import GatewayProcess, Site
from tests.parts.issuer import Issuer
from tests.parts.raw_client import RawClient, RawResponse
from tests.parts.raw_upstream import RawConnection, RawUpstream, Script

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
RULES = [
    "p, role:user, prod, raw/open/**, use, allow,",
    "p, role:user, prod, raw/guarded/**, use, allow,",
    "p, role:user, prod, raw/guarded/secret, use, deny,",
    "p, role:admin, prod, raw/admin/**, use, allow,",
    "g, group:corp:users, role:user",
]


def close_after(response: bytes) -> Script:
    """Return a script that reads one request, sends `response` and closes."""

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(response)

    return script


def held_until_the_client_goes() -> tuple[Script, threading.Event, threading.Event]:
    """Return a script that never answers, and the events that the request arrived and that the peer left."""
    arrived, gone = threading.Event(), threading.Event()

    def script(connection: RawConnection) -> None:
        connection.read_request()
        arrived.set()
        connection.read_to_end()
        gone.set()

    return script, arrived, gone


def ok(body: bytes = b"ok", headers: bytes = b"") -> bytes:
    """Return a complete 200 response."""
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (headers, len(body), body)


@dataclass
class Front:
    """The running gateway, the issuer it trusts, and the backend behind it."""

    gateway: GatewayProcess
    issuer: Issuer
    upstream: RawUpstream
    site: Site
    script: Script
    token: str

    def request(
        self, target: str, *headers: str, method: str = "GET", body: bytes = b"", token: str | None = None
    ) -> bytes:
        """Return the bytes of a request with a good token (or the one given; "": none)."""
        token = self.token if token is None else token
        lines = [f"{method} {target} HTTP/1.1", "Host: gateway.example.com", *headers]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    def send(self, data: bytes, *, answers_head: bool = False) -> RawResponse:
        """Send bytes on a connection of their own and return the response."""
        with RawClient(self.gateway.port) as client:
            client.send(data)
            return client.read_response(answers_head=answers_head)

    def last_seen(self) -> bytes:
        """Return every byte of the newest connection to the backend."""
        return self.upstream.connections[-1].received

    def records(self, request_id: bytes) -> list[Row]:
        """Return the rows of one request, waiting for its outcome where one is due."""
        wanted = request_id.decode("ascii")
        found: list[Row] = []

        def complete() -> bool:
            reader = open_audit_reader(f"sqlite:///{self.site.database}")
            try:
                found[:] = [row for row in reader.rows() if row.request_id == wanted]
            finally:
                reader.close()
            return bool(found) and (found[0].verdict != "allowed" or len(found) == 2)

        self.gateway.wait_until(complete, f"the records of {wanted} are there")
        return found
