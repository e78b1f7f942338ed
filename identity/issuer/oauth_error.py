"""How the gateway, as authorization server, says no: an error code of the standard's and one sentence."""


class OAuthError(Exception):
    """A request of the OAuth endpoints is refused (RFC 6749, section 5.2).

    `error` is a registered code (`invalid_grant`, `invalid_target`, ...), `description` fixed words and configured
    names, never a part of a token or of anything else that was sent.
    """

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


def unavailable(description: str) -> OAuthError:
    """Return the error of what may work later: what the caller sent stays as good as it was."""
    return OAuthError("temporarily_unavailable", description, status=503)
