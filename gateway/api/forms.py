"""Reads the urlencoded body of a request, of bounded size and within bounded time."""

from typing import Final

from fastapi import Request

from gateway.api.bodies import body_of
from gateway.body import BodyTooLargeError, BodyTooSlowError
from identity.issuer.oauth_error import OAuthError
from identity.issuer.parameters import Parameters

# Two tokens of the largest size that is accepted, and the rest.
MAX_FORM_BYTES: Final = 65_536
FORM_WITHIN_S: Final = 10.0
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"


async def form_of(request: Request) -> Parameters:
    """Return what a form holds; raises OAuthError (invalid_request), also where a parameter is given twice."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise OAuthError("invalid_request", f"the body must be {_MEDIA_TYPE}")
    try:
        body = await body_of(request, MAX_FORM_BYTES, FORM_WITHIN_S)
    except BodyTooSlowError:
        raise OAuthError("invalid_request", f"the body did not come within {FORM_WITHIN_S:g} s") from None
    except BodyTooLargeError:
        raise OAuthError("invalid_request", f"the body is larger than {MAX_FORM_BYTES} bytes", status=413) from None
    parameters = Parameters.parse(body)
    parameters.check_repeats()
    return parameters
