"""The parameters of an OAuth request, read with one meaning or not at all (RFC 6749, sections 3.1 and 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from identity.issuer.oauth_error import OAuthError

MAX_PARAMETERS: Final = 160
# RFC 8693, section 2.1, and RFC 8707, section 2: these alone may come several times.
REPEATABLE: Final = frozenset(("resource", "audience"))


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a form or a query holds. A parameter without a value is as good as absent."""

    _values: Mapping[str, tuple[str, ...]] = field(repr=False)

    @classmethod
    def parse(cls, encoded: bytes) -> "Parameters":
        """Read `application/x-www-form-urlencoded` text; raises OAuthError (invalid_request)."""
        try:
            pairs = parse_qsl(
                encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
            )
        except ValueError:
            raise OAuthError("invalid_request", "the parameters are not form-encoded text, or too many") from None
        values: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            if value:
                values[name] = (*values.get(name, ()), value)
        return cls(values)

    def check_repeats(self) -> None:
        """Raise OAuthError (invalid_request) where a parameter that may come once comes twice, known or not."""
        if any(len(values) > 1 for name, values in self._values.items() if name not in REPEATABLE):
            raise OAuthError("invalid_request", "a parameter is given twice")

    def get(self, name: str, *, longest: int = 2048) -> str | None:
        """Return a parameter, None where it is absent; raises OAuthError (invalid_request).

        All that the standards define are printable ASCII (RFC 6749, appendix A).
        """
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise OAuthError("invalid_request", f"{name} is given twice")
        return _plain(name, values[0], longest)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a parameter that may be repeated; raises OAuthError (invalid_request)."""
        return tuple(_plain(name, value, 2048) for value in self._values.get(name, ()))

    def required(self, name: str, *, longest: int = 2048) -> str:
        """Return a parameter; raises OAuthError (invalid_request) where it is absent too."""
        value = self.get(name, longest=longest)
        if value is None:
            raise OAuthError("invalid_request", f"{name} is missing")
        return value


def _plain(name: str, value: str, longest: int) -> str:
    if len(value) > longest or not value.isascii() or not value.isprintable():
        raise OAuthError("invalid_request", f"{name} is too long, or not printable ASCII")
    return value
