"""The seam between the data path and whatever can tell who is calling."""

from typing import Protocol

from identity.principal import Principal


class InvalidCredentialError(Exception):
    """A credential was presented and is not good.

    `code` is stable and safe to show (`token_expired`, `wrong_audience`, ...); `detail` says in one sentence
    what was wrong and what to do, and never contains any part of the credential.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ProviderUnavailableError(Exception):
    """The credential may be good, but the provider that must vouch for it can't be reached.

    The caller's answer is 503, never 401 (the token may be fine) and never anonymous.
    """

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(f"{provider}: {detail}")
        self.provider = provider
        self.detail = detail


class Authenticator(Protocol):
    """Turns a bearer credential into a principal."""

    async def authenticate(self, token: bytes) -> Principal:
        """Return the caller the token stands for.

        Raises InvalidCredentialError for a bad token and ProviderUnavailableError where its keys can't be had.
        """
        ...
