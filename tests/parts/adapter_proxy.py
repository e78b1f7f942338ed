"""A gateway reduced to its adapter: takes one request, classifies it, forwards exactly what the adapter dressed.

Native clients (boto3, the AWS CLI) can so be pointed at an adapter before the gateway is there.
"""

import http.client
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from adapters.backend import Access, Adapter, BackendRequest, Outbound, UnclassifiedError

_FRAMING = ("host", "connection", "content-length", "transfer-encoding", "expect", "authorization")


class AdapterProxy:
    """Serves `adapter` at `url` and forwards to `backend_url`; use as a context manager.

    `seen` lists the accesses of each request that was forwarded, `denied` the text of each refusal, `tokens` what
    came in the adapter's token header, `sent` what went out.
    """

    def __init__(self, adapter: Adapter, backend_url: str) -> None:
        self.seen: list[tuple[Access, ...]] = []
        self.denied: list[str] = []
        self.tokens: list[str | None] = []
        self.sent: list[Outbound] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_expect_100(self) -> bool:
                self.send_response_only(100)
                self.end_headers()
                return True

            def log_message(self, format: str, *args: object) -> None:
                return

            def _serve(self) -> None:
                proxy._forward(self, adapter, backend_url)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 (http.server's names)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A client that keeps its connection open must not hold up the end of a test.
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @staticmethod
    def _request(handler: BaseHTTPRequestHandler, token_header: bytes | None) -> tuple[BackendRequest, bytes]:
        """Return the request as the data path would hand it to an adapter, and its body."""
        path, mark, query = handler.path.partition("?")
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in handler.headers.items()
            if name.lower() not in _FRAMING and name.lower().encode() != token_header
        ]
        segments = tuple(unquote(part, errors="strict") for part in path[1:].split("/"))
        return BackendRequest(
            handler.command, path.encode("latin-1"), segments, query.encode("latin-1") if mark else None, headers
        ), body

    def _forward(self, handler: BaseHTTPRequestHandler, adapter: Adapter, backend_url: str) -> None:
        request, body = self._request(handler, adapter.token_header)
        self.tokens.append(handler.headers.get((adapter.token_header or b"authorization").decode()))
        limit = adapter.body_limit(request)
        if limit:
            request = replace(request, body=body if len(body) <= limit else None)
        try:
            accesses = adapter.classify(request)
        except UnclassifiedError as error:
            self.denied.append(str(error))
            handler.send_response(403)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        outbound = adapter.outbound(request)
        self.seen.append(accesses)
        self.sent.append(outbound)
        backend = http.client.HTTPConnection(urlsplit(backend_url).netloc, timeout=20)
        try:
            backend.putrequest(
                request.method, outbound.target.decode("ascii"), skip_host=True, skip_accept_encoding=True
            )
            for name, value in outbound.headers:
                backend.putheader(name.decode("latin-1"), value)
            if body or request.method in ("PUT", "POST"):
                backend.putheader("Content-Length", str(len(body)))
            backend.endheaders(body)
            answer = backend.getresponse()
            content = answer.read()
            handler.send_response(answer.status, answer.reason)
            for key, text in answer.getheaders():
                if key.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    handler.send_header(key, text)
            length = answer.getheader("Content-Length") if request.method == "HEAD" else str(len(content))
            handler.send_header("Content-Length", length or "0")
            handler.end_headers()
            handler.wfile.write(content)
        finally:
            backend.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
