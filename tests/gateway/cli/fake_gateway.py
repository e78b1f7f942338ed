"""A gateway as the command line sees it: set answers, OAuth endpoints that work, and what was asked."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.gateway.cli.fake_authorization_server import FakeAuthorizationServer

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class FakeGateway:
    """Answers on loopback with what `answers` holds for a path, else as a gateway whose `oauth` works, else with a 404
    that no gateway would send.

    `answers` maps a path to (status, document or raw bytes, headers if any), or to a function that returns it for a
    bearer token; `asked` lists (path, query, Authorization), `posted` the JSON of each POST that was no form.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Callable[[str], Answer]] = {}
        self.asked: list[tuple[str, dict[str, str], str | None]] = []
        self.posted: list[Any] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                fake.asked.append((parts.path, query, self.headers.get("Authorization")))
                found = fake._set_answer(parts.path, self.headers.get("Authorization"))
                if found is None and parts.path == "/-/oauth/authorize":
                    found = 302, fake.oauth.authorize(query).encode()
                elif found is None and parts.path == "/-/device" and "user_code" in query:
                    fake.oauth.allow_device(query["user_code"])
                    found = 200, b"allowed"
                elif found is None and parts.path == "/.well-known/oauth-authorization-server":
                    found = 200, fake.oauth.metadata()
                self._answer(found or (404, b"<h1>Not here</h1>"))

            def do_POST(self) -> None:
                path = urlsplit(self.path).path
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                fake.asked.append((path, {}, self.headers.get("Authorization")))
                found = fake._set_answer(path, self.headers.get("Authorization"))
                endpoints = {
                    "/-/oauth/token": fake.oauth.token,
                    "/-/oauth/device_authorization": fake.oauth.device_authorization,
                    "/-/oauth/revoke": fake.oauth.revoke,
                }
                if self.headers["Content-Type"] == "application/json":
                    fake.posted.append(json.loads(body))
                elif found is None and path in endpoints:
                    found = endpoints[path](parse_qs(body))
                self._answer(found or (404, b"<h1>Not here</h1>"))

            def _answer(self, answer: Answer) -> None:
                status, document = answer[:2]
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", document.decode())
                for name, value in (answer[2] if len(answer) == 3 else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.oauth = FakeAuthorizationServer(self.url)

    def _set_answer(self, path: str, authorization: str | None) -> Answer | None:
        found = self.answers.get(path)
        return found((authorization or "").removeprefix("Bearer ")) if callable(found) else found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
