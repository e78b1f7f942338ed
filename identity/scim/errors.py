"""Why a SCIM request failed, as its client is told (RFC 7644, section 3.12)."""

from typing import Any, Literal

ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"

ScimType = Literal[
    "invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget", "invalidValue"
]


class ScimError(Exception):
    """The request can't be done. `scim_type` is the standard's keyword for it, None where it has none."""

    def __init__(self, status: int, scim_type: ScimType | None, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.scim_type = scim_type
        self.detail = detail

    def document(self) -> dict[str, Any]:
        """Return the answer's body; the status is a text there."""
        document: dict[str, Any] = {"schemas": [ERROR_SCHEMA], "status": str(self.status), "detail": self.detail}
        if self.scim_type is not None:
            document["scimType"] = self.scim_type
        return document


def bad_request(scim_type: ScimType, detail: str) -> ScimError:
    """Return an error of status 400."""
    return ScimError(400, scim_type, detail)


def shown(text: str) -> str:
    """Return a client's own text for an error's detail: bounded, and on one line."""
    return repr(text if len(text) <= 64 else text[:61] + "...")
