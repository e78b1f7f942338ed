"""Signature Version 4 of a request as it leaves: exactly the bytes that are sent, with the backend's own keys.

Source: "Create a signed AWS API request", AWS Identity and Access Management User Guide. botocore signs; this file
states what is signed where botocore's own clients would rewrite the request first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from adapters.backend import BackendRequest, UnclassifiedError

UNSIGNED: Final = b"UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER: Final = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CONTENT_HASH: Final = b"x-amz-content-sha256"

_HEX_HASH: Final = re.compile(rb"[0-9a-f]{64}")
_EMPTY_HASH: Final = sha256(b"").hexdigest().encode()
_SIGNED: Final = frozenset((b"content-type", b"content-md5"))


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for: `service` is the signing name, which some services share."""

    service: str
    region: str


@dataclass(frozen=True, slots=True)
class Unsigned:
    """What is signed: raw path, decoded query parameters, and all headers that are sent beside the signature's own."""

    method: str
    host: bytes
    path: bytes
    parameters: Sequence[tuple[str, str]]
    headers: Sequence[tuple[bytes, bytes]]
    content_hash: bytes


class _ExactSigner(SigV4Auth):  # type: ignore[misc]
    """botocore's signer for S3: one round of encoding, and no path is normalised (as S3's documentation demands)."""

    def _normalize_url_path(self, path: str) -> str:
        return quote_from_bytes(unquote_to_bytes(path), safe="/~")


def payload_hash(body: bytes | None, given: bytes | None, *, s3: bool) -> bytes:
    """Return the value of x-amz-content-sha256 to sign; `given` is the client's own.

    A body that was read is hashed; otherwise the client's own hash stands, and the backend holds the body against it.
    Raises UnclassifiedError where the client signed its chunks: AWS does not know the keys of those signatures.
    """
    if given is not None and given.startswith(b"STREAMING-") and (given != UNSIGNED_TRAILER or not s3):
        raise UnclassifiedError(
            "chunks signed by the client can't be signed again: use an https:// gateway URL, or switch chunked "
            "payload signing off in the SDK (Java: chunkedEncodingEnabled(false); boto3 and the AWS CLI need nothing)"
        )
    if body is not None:
        if given == UNSIGNED_TRAILER:
            raise UnclassifiedError("the body decides what this request does: send it whole, not in aws-chunked form")
        return sha256(body).hexdigest().encode()
    if given is not None and (_HEX_HASH.fullmatch(given) or (s3 and given in (UNSIGNED, UNSIGNED_TRAILER))):
        return given
    if given is not None:
        raise UnclassifiedError("x-amz-content-sha256 must be a SHA-256 in lower-case hex or UNSIGNED-PAYLOAD")
    return UNSIGNED if s3 else _EMPTY_HASH


def check_signable(request: BackendRequest) -> None:
    """Raise UnclassifiedError where a header that is signed holds bytes that two readers would decode differently."""
    for name, value in request.headers:
        if not value.isascii() and is_signed(name.lower()):
            raise UnclassifiedError(f"the header {name.decode('latin-1')!r} must be ASCII: it is signed")


def is_signed(name: bytes) -> bool:
    """Say whether a header of that (lower-case) name goes into the signature."""
    return name in _SIGNED or name.startswith(b"x-amz-")


def sign(unsigned: Unsigned, scope: Scope, credentials: Credentials) -> list[tuple[bytes, bytes]]:
    """Return the headers that sign the request: date, session token, content hash and Authorization."""
    host = unsigned.host.decode()
    outgoing: Any = AWSRequest(
        method=unsigned.method, url=f"http://{host}{unsigned.path.decode()}", params=list(unsigned.parameters)
    )
    outgoing.headers["Host"] = host
    for name, value in unsigned.headers:
        if is_signed(name.lower()):
            outgoing.headers[name.decode()] = value.decode()
    outgoing.headers["X-Amz-Content-SHA256"] = unsigned.content_hash.decode()
    signer = _ExactSigner if scope.service == "s3" else SigV4Auth
    signer(credentials, scope.service, scope.region).add_auth(outgoing)
    names = ("X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256", "Authorization")
    return [(name.encode(), outgoing.headers[name].encode()) for name in names if name in outgoing.headers]
