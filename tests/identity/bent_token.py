"""One token of the corpus, and what the whole corpus is made for."""

from collections.abc import Iterator
from dataclasses import dataclass

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_S = 60
# Half a character, as JSON can write it.
SURROGATE = b"\\ud800"


@dataclass(frozen=True, slots=True)
class Case:
    """One token; `name` says what was done to it."""

    name: str
    token: bytes

    @property
    def family(self) -> str:
        """Where it was bent; `good` is not at all."""
        return self.name.partition(" ")[0]


def other_texts(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield ways to write a JSON object that are not its UTF-8, by what they are called."""
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        yield f"in {encoding}", good.decode().encode(encoding)
    yield "in Latin-1", good[:-1] + b',"x":"\xe9"}'
    yield "with half a character in UTF-8", good[:-1] + b',"x":"\xed\xa0\x80"}'
