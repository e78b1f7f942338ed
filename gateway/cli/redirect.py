"""Receives the browser on a loopback address at the end of a login (RFC 8252 section 7.3)."""

import hmac
import html
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from gateway.cli.output import printable

_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Portcullis</title>
<p>%s Go back to the terminal; this page can be closed.</p></html>
"""
_DONE = _PAGE % b"The browser's part is done."
_MAX_REASON = 300


class LoopbackRedirect:
    """Listens on 127.0.0.1, on a port of the system's choice, for one authorization response.

    Only a request with this login's `state` ends the wait: any web page can make a browser call a local port.
    """

    def __init__(self, state: str) -> None:
        answers: queue.Queue[dict[str, str]] = queue.Queue()
        self._answers = answers

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                fields = parse_qs(parts.query)
                answer = {key: values[0] for key, values in fields.items()}
                # RFC 6749 section 3.1: no parameter more than once.
                good = parts.path == "/callback" and all(len(values) == 1 for values in fields.values())
                good = good and hmac.compare_digest(answer.get("state", "").encode(), state.encode())
                body = _page(answer) if good else b"Not part of a login.\n"
                self.send_response(200 if good else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8" if good else "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Security-Policy", "default-src 'none'")
                self.send_header("Referrer-Policy", "no-referrer")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)
                if good:
                    answers.put(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing: the request line holds the code."""

        # Browsers open connections ahead of need: with one thread, an idle one would keep the redirect waiting.
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def uri(self) -> str:
        """The redirect URI to register with the authorization request."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/callback"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait(self, timeout_s: float) -> dict[str, str] | None:
        """Return the authorization response's parameters, None where none came in time."""
        try:
            return self._answers.get(timeout=timeout_s)
        except queue.Empty:
            return None


def _page(answer: dict[str, str]) -> bytes:
    """Return what the person sees: of a failure also why, for the gateway's page on it may have gone by too soon."""
    if "error" not in answer:
        return _DONE
    reason = printable(answer.get("error_description", ""))[:_MAX_REASON]
    return _PAGE % f"The login did not work{f' ({html.escape(reason)})' if reason else ''}.".encode()
