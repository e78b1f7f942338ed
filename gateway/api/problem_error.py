"""How a route of the gateway's own API answers with a problem document."""

from fastapi import Request, Response

from gateway.exchange import Exchange
from gateway.headers import RawHeaders
from gateway.problems import Problem


class ProblemError(Exception):
    """Raised by a route; `headers` are added to the problem's own."""

    def __init__(self, problem: Problem, headers: RawHeaders | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or []


def exchange_of(request: Request) -> Exchange:
    """Return the exchange that this request of the API belongs to."""
    exchange: Exchange = request.state.exchange
    return exchange


def problem_response(
    request: Request, problem: Problem, public_url: str, headers: RawHeaders | None = None
) -> Response:
    """Return the problem's document as a response."""
    request_id = exchange_of(request).request_id
    response = Response(problem.document(request_id), status_code=problem.status)
    for name, value in problem.headers(request_id, public_url) + (headers or []):
        response.headers[name.decode("latin-1")] = value.decode("latin-1")
    return response
