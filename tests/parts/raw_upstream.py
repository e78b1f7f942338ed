"""A backend at the level of bytes: it records exactly what it got and plays a script.

    def script(connection: RawConnection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

    with RawUpstream(script) as upstream:
        ...                                     # talk to upstream.url
    upstream.connections[0].received            # every byte of the first connection

Each connection runs its script in a thread; a connection is closed when its script returns. A script that waits does so
for an explicit event (`RawConnection.wait_for`) or for bytes, never for time, and every wait ends after `PATIENCE_S`.
What a script raises is raised again when the `with` block ends.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

PATIENCE_S = 10.0


class RawConnection:
    """One accepted connection; `number` counts from 0, `received` is all that was read so far."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.number = number
        self.received = b""
        self._socket = sock
        self._socket.settimeout(PATIENCE_S)
        self._unread = b""

    def read_until(self, end: bytes) -> bytes:
        """Read up to and with `end`; raises ConnectionError where the peer closes first."""
        while end not in self._unread:
            self._fill()
        data, separator, self._unread = self._unread.partition(end)
        return data + separator

    def read_exactly(self, size: int) -> bytes:
        """Read `size` bytes; raises ConnectionError where the peer closes first."""
        while len(self._unread) < size:
            self._fill()
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def read_request(self) -> bytes:
        """Read one request with its Content-Length or chunked body (no trailers); returns its bytes."""
        head = self.read_until(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        if fields.get(b"transfer-encoding") == b"chunked":
            return head + self.read_until(b"0\r\n\r\n")
        return head + self.read_exactly(int(fields.get(b"content-length", b"0")))

    def read_to_end(self) -> bytes:
        """Read until the peer closes; a reset counts as an end."""
        with contextlib.suppress(ConnectionError):
            while True:
                self._fill()
        data, self._unread = self._unread, b""
        return data

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.sendall(data)

    def end(self) -> None:
        """Send the end of the stream, keep reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def end_tls(self) -> None:
        """Send TLS's close_notify, and wait for the peer's."""
        assert isinstance(self._socket, ssl.SSLSocket)
        with contextlib.suppress(OSError):
            self._socket.unwrap()

    def reset(self) -> None:
        """Close with a TCP reset; what the peer has not read yet may be lost."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close; unread bytes turn this into a reset, as with any TCP server."""
        self._socket.close()

    def wait_for(self, event: threading.Event) -> None:
        """Wait until the test sets the event."""
        if not event.wait(PATIENCE_S):
            raise TimeoutError("the test never set the event that the script waits for")

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the peer closed the connection")
        self.received += data
        self._unread += data


Script = Callable[[RawConnection], None]


def answering(*responses: bytes) -> Script:
    """Return a script that reads a request and sends a response, for each response, then waits for the peer's close.

    A peer that closes earlier ends the script.
    """

    def script(connection: RawConnection) -> None:
        with contextlib.suppress(ConnectionError):
            for response in responses:
                connection.read_request()
                connection.send(response)
            connection.read_to_end()

    return script


class RawUpstream:
    """A server on a free port of 127.0.0.1 that runs `script` for every connection.

    Given several scripts, the first connection runs the first, and so on; the last serves all further ones.
    `tls` makes it an https server; `receive_buffer` bounds what the kernel takes before a script reads, in bytes.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None, receive_buffer: int | None = None) -> None:
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._failures: list[BaseException] = []
        self._accepted = threading.Condition()
        self._stopping = False
        self.connections: list[RawConnection] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def wait_for_connections(self, count: int) -> None:
        """Return once that many connections were accepted in all."""
        with self._accepted:
            if not self._accepted.wait_for(lambda: len(self.connections) >= count, PATIENCE_S):
                raise TimeoutError(f"{len(self.connections)} connections were made, not {count}")

    def __enter__(self) -> Self:
        """Start."""
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, wait for the scripts, and raise what one of them raised."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(PATIENCE_S)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        if error is None and self._failures:
            raise self._failures[0]

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
        except OSError:
            return  # the client refused our certificate, or is not a TLS client
        try:
            with self._accepted:
                connection = RawConnection(sock, len(self.connections))
                self.connections.append(connection)
                self._accepted.notify_all()
                script = self._scripts[min(connection.number, len(self._scripts) - 1)]
            script(connection)
        except Exception as failure:
            if not self._stopping:
                self._failures.append(failure)
        finally:
            sock.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
