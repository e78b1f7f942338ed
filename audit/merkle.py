"""The Merkle tree of RFC 6962 section 2.1, kept as its right edge: all that appending needs."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of one leaf: SHA-256(0x00 || body)."""
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of one inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(frontier: Sequence[bytes]) -> bytes:
    """Return the root of the tree whose right edge is `frontier`, largest subtree first."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


class Frontier:
    """A growing tree: the roots of its perfect subtrees, largest first, one for each bit set in `size`."""

    __slots__ = ("_edge", "size")

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        if size < 0 or len(edge) != size.bit_count() or any(len(item) != 32 for item in edge):
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} right-edge hashes of 32 bytes")
        self.size = size
        self._edge = list(edge)

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes in order."""
        edge, size = self._edge, self.size
        for leaf in leaves:
            top, rest = leaf, size
            while rest & 1:
                top = sha256(b"\x01" + edge.pop() + top).digest()
                rest >>= 1
            edge.append(top)
            size += 1
        self.size = size

    def copy(self) -> "Frontier":
        """Return a tree that grows on its own."""
        return Frontier(self.size, self._edge)

    @property
    def edge(self) -> tuple[bytes, ...]:
        """The right-edge hashes, largest subtree first."""
        return tuple(self._edge)

    @property
    def root(self) -> bytes:
        """The tree's root hash."""
        return root_of(self._edge)
