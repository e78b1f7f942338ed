"""A forward proxy on loopback: it opens tunnels (CONNECT, RFC 9110 section 9.3.6) and remembers where to.

with ForwardProxy() as proxy:
    proxy.url, proxy.targets          # http://127.0.0.1:<port>, ["127.0.0.1:40123", ...]
    proxy.refuses_with = 403          # from now on
"""

import contextlib
import selectors
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Self


class ForwardProxy:
    """A proxy with its own thread; `targets` are the hosts and ports it was asked for, in order.

    With a certificate and its key, PEM files, it is spoken to over TLS itself.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.targets: list[str] = []
        self.refuses_with: int | None = None
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                method, target, _ = self.rfile.readline().decode("ascii").split(" ")
                while self.rfile.readline().strip():
                    pass
                proxy.targets.append(target)
                if method != "CONNECT" or proxy.refuses_with is not None:
                    self.wfile.write(b"HTTP/1.1 %d Refused\r\ncontent-length: 0\r\n\r\n" % (proxy.refuses_with or 405))
                    return
                host, _, port = target.rpartition(":")
                with socket.create_connection((host, int(port)), timeout=10) as upstream:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    _carry(self.connection, upstream)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = self.url.replace("http:", "https:")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either end is done."""
    with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                # All of what a TLS socket has taken in: the selector sees only what is still outside of it.
                data = source.recv(65_536)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(65_536)
                if not data:
                    return
                key.data.sendall(data)
