"""Where in a request the caller's token is, if anywhere."""

from typing import Final

from gateway.headers import BadHeadersError, RequestHeaders
from identity.authenticator import InvalidCredentialError

_AWS_SIGNATURE: Final = b"AWS4-HMAC-SHA256 "


def presented_token(headers: RequestHeaders, token_header: bytes | None) -> bytes | None:
    """Take the token out of the headers and return it, None where the request carries no credential.

    `token_header` is the backend's own header for it. A native client that signs its requests sends its signature
    in `Authorization` beside it; that signature proves nothing to the gateway and is dropped.
    Raises InvalidCredentialError for a credential that is malformed or given twice.
    """
    try:
        native = headers.take(token_header) if token_header is not None else None
    except BadHeadersError as error:
        raise InvalidCredentialError("ambiguous_credential", f"{error}: send the token once") from None
    authorization = headers.authorization
    if authorization is None:
        return native
    if token_header is not None and authorization.startswith(_AWS_SIGNATURE):
        return native
    # RFC 6750 section 2.1; which bytes may be in a token is for its verifier to say.
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token or b" " in token or b"," in token:
        raise InvalidCredentialError(
            "malformed_credential", "Authorization must be 'Bearer' and one token: log in and send that token"
        )
    if native is not None:
        raise InvalidCredentialError("ambiguous_credential", "two tokens are given: send one")
    return token
