"""What every `AuditStore` and `AuditReader` must hold; a test class of a store inherits it and says how to make one."""

import pytest

from audit.merkle import Frontier
from audit.store import AuditReader, AuditStore, AuditUnavailableError, Head
from tests.audit.samples import checkpoint_of, decision, outcome, stored


class AuditStoreConformance:
    """A subclass provides the fixtures `store` (not yet open, over an empty log) and `reader` (of the same log)."""

    def test_an_empty_log_has_an_empty_head(self, store: AuditStore, reader: AuditReader) -> None:
        assert store.open() == reader.head() == Head(0, (), 0)
        assert list(reader.rows()) == []
        assert reader.last_checkpoint() is None

    def test_what_was_appended_is_read_back_exactly(self, store: AuditStore, reader: AuditReader) -> None:
        store.open()
        rows, head = stored([decision(1), outcome(1, 0), decision(2, path="/ü\x00\u2028", actor=None)])
        store.append(rows, head)
        assert list(reader.rows()) == rows
        assert reader.head() == head

    @pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 128, 300, 700])
    def test_batches_of_any_size_keep_their_order(self, store: AuditStore, reader: AuditReader, size: int) -> None:
        store.open()
        first, head = stored([decision(number) for number in range(size)])
        store.append(first, head)
        second, end = stored([decision(size), decision(size + 1)], tree=Frontier(head.size, head.frontier))
        store.append(second, end)
        assert list(reader.rows()) == [*first, *second]
        assert list(reader.rows(size - 1, size + 1)) == [first[-1], second[0]]
        assert list(reader.rows(size + 2)) == []
        assert reader.head() == end

    def test_the_head_outlives_the_store(self, store: AuditStore) -> None:
        store.open()
        rows, head = stored([decision(number) for number in range(5)])
        store.append(rows, head)
        store.close()
        assert store.open() == head

    @pytest.mark.parametrize("index", [0, 1, 3, 9])
    def test_rows_that_do_not_follow_are_refused_whole(
        self, store: AuditStore, reader: AuditReader, index: int
    ) -> None:
        store.open()
        rows, head = stored([decision(1), decision(2)])
        store.append(rows, head)
        other, other_head = stored([decision(5), decision(6)], tree=Frontier(index, [bytes(32)] * index.bit_count()))
        with pytest.raises(AuditUnavailableError):
            store.append(other, other_head)
        assert store.open() == head
        assert list(reader.rows()) == rows

    def test_nothing_of_a_batch_that_fails_midway_stays(self, store: AuditStore, reader: AuditReader) -> None:
        store.open()
        rows, head = stored([decision(number) for number in range(200)])
        rows[150] = rows[149]
        with pytest.raises(AuditUnavailableError):
            store.append(rows, head)
        assert store.open() == Head(0, (), 0)
        assert list(reader.rows()) == []

    def test_the_newest_checkpoint_is_read_back(self, store: AuditStore, reader: AuditReader) -> None:
        store.open()
        rows, head = stored([decision(1)])
        store.append(rows, head)
        for note in (b"first", checkpoint_of(head)):
            store.checkpoint(note, 1)
        assert reader.last_checkpoint() == checkpoint_of(head)

    def test_a_closed_store_refuses_and_closing_twice_is_safe(self, store: AuditStore) -> None:
        store.open()
        store.close()
        store.close()
        rows, head = stored([decision(1)])
        with pytest.raises(AuditUnavailableError):
            store.append(rows, head)
        with pytest.raises(AuditUnavailableError):
            store.checkpoint(b"note", 0)

    def test_a_reader_sees_what_is_appended_while_it_reads(self, store: AuditStore, reader: AuditReader) -> None:
        store.open()
        first, head = stored([decision(1)])
        store.append(first, head)
        reading = reader.rows(0, 3)
        assert next(reading) == first[0]
        second, end = stored([decision(2), decision(3)], tree=Frontier(head.size, head.frontier))
        store.append(second, end)
        assert list(reader.rows(0)) == [*first, *second]
        reader.close()
        reader.close()
        assert reader.head() == end
