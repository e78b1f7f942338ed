"""A client at the level of bytes, for framing and smuggling cases: it sends what no HTTP library would.

    with RawClient(port) as client:
        client.send(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1\\r\\nContent-Length: 1\\r\\n\\r\\na")
        response = client.read_response()       # .status .reason .headers .body .raw
        assert client.is_closed()               # the server closed, and sent nothing more

`exchange(port, data)` is the same for a single request on a connection of its own: all bytes until the server closes.
Every wait ends after `PATIENCE_S`.
"""

import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response: its parts, and in `raw` its bytes as received. Names keep their spelling; `values` ignores it."""

    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    raw: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return every value of that header, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class RawClient:
    """One TCP (or, with `tls`, TLS) connection."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._socket: socket.socket = socket.create_connection((host, port), PATIENCE_S)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        self._unread = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.sendall(data)

    def end(self) -> None:
        """Send the end of the stream, keep reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def read_response(self, *, answers_head: bool = False) -> RawResponse:
        """Read one response to its end, by its own framing (interim ones count as responses).

        Raises ConnectionError where the server closes before.
        """
        head = self.read_until(b"\r\n\r\n")
        lines = head[:-4].split(b"\r\n")
        _, status, *reason = lines[0].split(b" ", 2)
        headers = tuple((name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines[1:]))
        fields = {name.lower(): value for name, value in headers}
        if answers_head or int(status) in (204, 304) or int(status) < 200:
            raw = body = b""
        elif fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            raw, body = self._chunked()
        elif b"content-length" in fields:
            raw = body = self._exactly(int(fields[b"content-length"]))
        else:
            raw = body = self.read_to_close()
        return RawResponse(int(status), reason[0] if reason else b"", headers, body, head + raw)

    def read_to_close(self) -> bytes:
        """Return all bytes until the server closes; a reset counts as a close."""
        try:
            while True:
                self._fill()
        except ConnectionError:
            data, self._unread = self._unread, b""
            return data

    def is_closed(self) -> bool:
        """Wait for the server's next sign: True where it closes or resets, False where it sends bytes.

        Raises TimeoutError where it does neither.
        """
        return not self._unread and self.read_to_close() == b""

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _chunked(self) -> tuple[bytes, bytes]:
        raw = body = b""
        while True:
            line = self.read_until(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                break
            data = self._exactly(size + 2)
            raw += line + data
            body += data[:-2]
        raw += line
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            raw += line
        return raw + line, body

    def read_until(self, end: bytes) -> bytes:
        """Read up to and with `end`; raises ConnectionError where the server closes before."""
        while end not in self._unread:
            self._fill()
        data, separator, self._unread = self._unread.partition(end)
        return data + separator

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._fill()
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._unread += data


def exchange(port: int, data: bytes, *, host: str = "127.0.0.1") -> bytes:
    """Send `data` on a connection of its own and return all bytes until the server closes."""
    with RawClient(port, host=host) as client:
        client.send(data)
        return client.read_to_close()
