"""What is written in one transaction: queued records made into rows, and the tree that they lead to."""

from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from audit.merkle import Frontier, leaf_hash
from audit.receipt import Receipt
from audit.record import Record
from audit.store import Head, Row

Entry = tuple[Record, "Future[Receipt] | None"]


class Signal(Enum):
    """What is queued besides records: look at `kept` now, or end."""

    FLUSH = "flush"
    END = "end"


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries, the rows they become, and the head and tree of the log once they are stored."""

    entries: Sequence[Entry]
    rows: Sequence[Row]
    head: Head
    tree: Frontier


def batch_of(entries: Sequence[Entry], tree: Frontier, *, settled: int) -> Batch:
    """Return `entries` as the next rows of the log that `tree` stands for; `tree` itself does not change."""
    leaves = [leaf_hash(record.body) for record, _ in entries]
    rows = [
        Row(
            index,
            leaf,
            record.body,
            record.time_us,
            record.kind,
            record.request_id,
            record.actor,
            record.backend,
            record.verdict,
        )
        for index, leaf, (record, _) in zip(range(tree.size, tree.size + len(entries)), leaves, entries, strict=True)
    ]
    grown = tree.copy()
    grown.extend(leaves)
    return Batch(entries, rows, Head(grown.size, grown.edge, settled), grown)
