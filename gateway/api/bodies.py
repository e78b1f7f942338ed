"""Reads the body of a request to the gateway's own API: never more of it, and never for longer, than is said.

No route takes its body by FastAPI's own means, which read all of it before the route can look who is calling.
"""

import asyncio
from typing import Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from gateway.api.problem_error import ProblemError
from gateway.body import BodyTooLargeError, BodyTooSlowError
from gateway.problems import Problem

JSON_WITHIN_S: Final = 10.0
MAX_JSON_BYTES: Final = 4096

_Model = TypeVar("_Model", bound=BaseModel)


async def body_of(request: Request, limit: int, within_s: float) -> bytes:
    """Return the whole body.

    Raises BodyTooLargeError beyond `limit` bytes, BodyTooSlowError where it takes longer than `within_s` seconds.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise BodyTooLargeError
    except (TimeoutError, ClientDisconnect):
        raise BodyTooSlowError from None
    return bytes(body)


async def json_of(request: Request, model: type[_Model]) -> _Model:
    """Return what a small JSON body says; raises ProblemError (bad_parameter, body_too_slow)."""
    try:
        return model.model_validate_json(await body_of(request, MAX_JSON_BYTES, JSON_WITHIN_S))
    except BodyTooLargeError:
        raise ProblemError(Problem("bad_parameter", f"the body is larger than {MAX_JSON_BYTES} bytes")) from None
    except BodyTooSlowError:
        raise ProblemError(Problem("body_too_slow", f"the body did not come within {JSON_WITHIN_S:g} s")) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = " ".join(str(part) for part in first["loc"]) or "body"
        raise ProblemError(Problem("bad_parameter", f"{where}: {first['msg']}")) from None
