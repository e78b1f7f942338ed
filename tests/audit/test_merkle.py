"""The tree is RFC 6962's: the reference vectors, and a naive reading of the definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash, root_of

# The inputs and roots of the reference implementation of Certificate Transparency (merkle tree tests).
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, as it is written."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


@pytest.mark.parametrize("size", range(9))
def test_the_reference_roots(size: int) -> None:
    tree = Frontier()
    tree.extend(map(leaf_hash, INPUTS[:size]))
    assert tree.root.hex() == ROOTS[size]


@given(st.lists(st.binary(max_size=4), max_size=70), st.integers(0, 70))
def test_however_it_grows_the_root_is_that_of_the_definition(bodies: list[bytes], cut: int) -> None:
    leaves = [leaf_hash(body) for body in bodies]
    tree = Frontier()
    tree.extend(leaves[:cut])
    again = Frontier(tree.size, tree.edge)
    again.extend(leaves[cut:])
    assert again.root == root_of(again.edge) == naive_root(leaves)
    assert again.size == len(leaves)


def test_a_copy_grows_on_its_own() -> None:
    tree = Frontier()
    copy = tree.copy()
    copy.extend([leaf_hash(b"x")])
    assert tree.root == EMPTY_ROOT


@pytest.mark.parametrize(("size", "edge"), [(1, ()), (3, (b"x" * 32,)), (1, (b"short",)), (-1, ())])
def test_an_edge_that_does_not_fit_its_size_is_refused(size: int, edge: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="right-edge"):
        Frontier(size, edge)
