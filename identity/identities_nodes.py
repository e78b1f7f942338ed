"""Nodes of `identities.yaml`: what is well-formed is read, everything else noted with its line."""

from collections.abc import Iterator
from typing import NamedTuple

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

STRING_TAG = "tag:yaml.org,2002:str"
MAP_TAG = "tag:yaml.org,2002:map"
BOOL_TAG = "tag:yaml.org,2002:bool"
INT_TAG = "tag:yaml.org,2002:int"


class DirectoryFinding(NamedTuple):
    """One thing that is wrong; `line` counts from 1."""

    file: str
    line: int
    message: str


class NodeReader:
    """Reads nodes of one file; `findings` is what was wrong with them so far."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.findings: list[DirectoryFinding] = []

    def members(
        self, node: Node, what: str, allowed: tuple[str, ...] | None = None
    ) -> Iterator[tuple[ScalarNode, Node]]:
        """Yield the well-formed members of a mapping; notes everything else, repeated keys with both lines."""
        if not isinstance(node, MappingNode) or node.tag != MAP_TAG:
            self.wrong(node, f"{what} must be a plain mapping")
            return
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag != STRING_TAG:
                self.wrong(key, f"{what}: a key must be a text; put it in quotes")
            elif key.value in seen:
                self.wrong(key, f"{what}: the key {key.value!r} is already on line {seen[key.value]}")
            elif allowed is not None and key.value not in allowed:
                self.wrong(key, f"{what}: unknown key {key.value!r}; known are {', '.join(allowed)}")
            else:
                seen[key.value] = line_of(key)
                yield key, value

    def elements(self, node: Node, what: str) -> list[Node]:
        """Return the elements of a list; notes one that is empty or no list."""
        if isinstance(node, SequenceNode) and node.value:
            return list(node.value)
        self.wrong(node, f"{what} must be a list of at least one")
        return []

    def text(self, node: Node, what: str) -> str | None:
        """Return a text that is not empty; notes everything else."""
        if isinstance(node, ScalarNode) and node.tag == STRING_TAG and node.value:
            return str(node.value)
        self.wrong(node, f"{what} must be a text: put it in quotes")
        return None

    def wrong(self, node: Node, message: str) -> None:
        """Note that something is wrong where the node begins."""
        self.findings.append(DirectoryFinding(self._file, line_of(node), message))


def line_of(node: Node) -> int:
    """Return the line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1
