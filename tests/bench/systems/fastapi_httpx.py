"""A proxy as a FastAPI tutorial has it: one route, one default httpx client, no check of anything."""

import os
import sys

import httpx
from fastapi import FastAPI, Request, Response

from tests.bench.machine import python_version_of
from tests.bench.processes import Launch
from tests.bench.system import Site, System

_BACKEND_VARIABLE = "BENCH_BACKEND"
_DROPPED = frozenset({"host", "connection", "content-length", "transfer-encoding"})


def app() -> FastAPI:
    """Return the application; uvicorn calls this in the process that is measured."""
    application = FastAPI()
    client = httpx.AsyncClient()
    backend = os.environ[_BACKEND_VARIABLE]

    @application.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def forward(path: str, request: Request) -> Response:
        answer = await client.request(
            request.method,
            f"{backend}/{path}",
            params=request.query_params,
            headers={name: value for name, value in request.headers.items() if name not in _DROPPED},
            content=await request.body(),
        )
        headers = {name: value for name, value in answer.headers.items() if name not in _DROPPED}
        return Response(answer.content, answer.status_code, headers)

    return application


def _prepare(site: Site) -> Launch:
    command = [sys.executable, "-m", "uvicorn", "--factory", f"{__name__}:app", "--port", str(site.port)]
    # Its access log would cost it a line a request that no other system writes.
    command += ["--log-level", "warning", "--no-access-log"]
    environment = {
        _BACKEND_VARIABLE: f"http://127.0.0.1:{site.backend_port}",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    return Launch(command, site.port, site.directory, environment)


SYSTEM = System(
    key="fastapi_httpx",
    title="FastAPI route + httpx client",
    checks="nothing",
    refuses=False,
    path="/payments/status",
    version=lambda: python_version_of("fastapi", "httpx", "uvicorn"),
    prepare=_prepare,
)
