"""Where in a request the caller's token is, if anywhere."""

from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.headers import BadHeadersError, RequestHeaders
from identity.authenticator import InvalidCredentialError

_AWS_SIGNATURE: Final = b"AWS4-HMAC-SHA256 "
_SCHEMES: Final[dict[bytes, Literal["bearer", "dpop"]]] = {b"bearer": "bearer", b"dpop": "dpop"}


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token, and how it was presented: as `Bearer`, as `DPoP`, or in the backend's own header."""

    token: bytes = field(repr=False)
    scheme: Literal["bearer", "dpop", "native"]


def presented_token(headers: RequestHeaders, token_header: bytes | None) -> PresentedToken | None:
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
    if authorization is None or (token_header is not None and authorization.startswith(_AWS_SIGNATURE)):
        return PresentedToken(native, "native") if native is not None else None
    # RFC 6750 section 2.1, RFC 9449 section 7.1; which bytes may be in a token is for its verifier to say.
    name, _, token = authorization.partition(b" ")
    scheme = _SCHEMES.get(name.lower())
    if scheme is None or not token or b" " in token or b"," in token:
        raise InvalidCredentialError(
            "malformed_credential", "Authorization must be 'Bearer' or 'DPoP' and one token: log in and send that token"
        )
    if native is not None:
        raise InvalidCredentialError("ambiguous_credential", "two tokens are given: send one")
    return PresentedToken(token, scheme)
