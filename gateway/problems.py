"""What goes wrong, and the HTTP answer to it: one table (RFC 9457)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One stable problem code, its HTTP status and its title."""

    status: int
    title: str


PROBLEMS: Final[Mapping[str, ProblemKind]] = {
    "bad_target": ProblemKind(400, "The request target is not in canonical form"),
    "bad_headers": ProblemKind(400, "The request's headers are ambiguous"),
    "bad_request": ProblemKind(400, "The request is not well-formed HTTP/1.1"),
    "bad_parameter": ProblemKind(400, "A parameter is missing or wrong"),
    "credential_required": ProblemKind(401, "A credential is required"),
    "invalid_credential": ProblemKind(401, "The credential is not valid"),
    "token_binding_required": ProblemKind(401, "The token must be bound to a key"),
    "stronger_login_required": ProblemKind(401, "A stronger or fresher login is required"),
    "beyond_token": ProblemKind(403, "The token was issued for less than this"),
    "denied": ProblemKind(403, "The policy does not allow this"),
    "unclassified": ProblemKind(403, "The gateway can't tell what this request would do"),
    "unknown_backend": ProblemKind(404, "There is no such backend"),
    "not_found": ProblemKind(404, "There is nothing here"),
    "identity_state_missing": ProblemKind(404, "This gateway keeps no sessions and issues no tokens"),
    "method_not_allowed": ProblemKind(405, "The method is not served"),
    "body_too_slow": ProblemKind(408, "The body did not come in time"),
    "body_too_large": ProblemKind(413, "The body is too large to be classified"),
    "headers_too_large": ProblemKind(431, "The request's headers are too large"),
    "internal_error": ProblemKind(500, "The gateway failed"),
    "upgrade_not_served": ProblemKind(501, "Protocol upgrades are not served"),
    "upstream_unreachable": ProblemKind(502, "The backend can't be reached"),
    "upstream_protocol": ProblemKind(502, "The backend did not answer in well-formed HTTP"),
    "upstream_failed": ProblemKind(502, "The backend did not answer"),
    "audit_unavailable": ProblemKind(503, "The audit log can't be written, so nothing is forwarded"),
    "identity_state_unavailable": ProblemKind(503, "The identity store can't be read, so nobody is let in"),
    "provider_unavailable": ProblemKind(503, "The identity provider can't be reached"),
    "upstream_timeout": ProblemKind(504, "The backend did not answer in time"),
}

# After these nobody can be sure where the next request on the connection begins.
_FRAMING: Final = frozenset(("bad_request", "body_too_slow", "bad_headers", "headers_too_large", "upgrade_not_served"))


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of one request. `members` are the document's extension members; they hold no secret.

    The rest goes with a 401 only: `challenge` is the error code for `WWW-Authenticate` (RFC 6750, RFC 9449, RFC 9470),
    `scheme` and `parameters` are the challenge's own, and `nonce` is what the next DPoP proof must hold.
    """

    code: str
    detail: str
    challenge: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)
    scheme: Literal["Bearer", "DPoP"] = "Bearer"
    parameters: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""

    @property
    def status(self) -> int:
        """The HTTP status of this problem's kind."""
        return PROBLEMS[self.code].status

    def document(self, request_id: str) -> bytes:
        """Return the `application/problem+json` body."""
        kind = PROBLEMS[self.code]
        return json.dumps(
            {
                "type": f"urn:portcullis:problem:{self.code}",
                "title": kind.title,
                "status": kind.status,
                "detail": self.detail,
                "code": self.code,
                "request_id": request_id,
                **self.members,
            },
            separators=(",", ":"),
        ).encode("ascii")

    def headers(self, request_id: str, public_url: str) -> list[tuple[bytes, bytes]]:
        """Return the answer's headers, the `WWW-Authenticate` challenge of a 401 included (RFC 6750, RFC 9728)."""
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"cache-control", b"no-store"),
            (b"portcullis-request-id", request_id.encode("ascii")),
        ]
        if self.status == 401:
            parameters = {"realm": "portcullis"}
            if self.challenge:
                parameters |= {"error": self.challenge, "error_description": self.detail}
            parameters |= self.parameters
            parameters["resource_metadata"] = f"{public_url}/-/oauth/protected-resource"
            # RFC 6750 section 3 allows neither quotes nor backslashes in a description.
            plain = {name: value.replace("\\", "/").replace('"', "'") for name, value in parameters.items()}
            challenge = f"{self.scheme} " + ", ".join(f'{name}="{value}"' for name, value in plain.items())
            headers.append((b"www-authenticate", challenge.encode("ascii", "replace")))
            if self.nonce:
                headers.append((b"dpop-nonce", self.nonce.encode("ascii")))
        if self.code in _FRAMING:
            headers.append((b"connection", b"close"))
        if self.status == 503:
            headers.append((b"retry-after", b"5"))
        return headers
