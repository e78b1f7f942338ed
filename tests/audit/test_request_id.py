"""Request ids are UUIDs of version 7."""

import uuid

from audit.request_id import new_request_id


def test_is_a_version_7_uuid_of_its_time() -> None:
    for _ in range(200):
        found = uuid.UUID(new_request_id(1_795_456_000_123_999))
        assert (found.version, found.variant) == (7, uuid.RFC_4122)
        assert found.int >> 80 == 1_795_456_000_123


def test_ids_differ_and_sort_by_time() -> None:
    ids = [new_request_id(time_us) for time_us in range(0, 3_000_000_000, 1_000_000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_is_written_in_the_usual_form() -> None:
    found = new_request_id(1)
    assert str(uuid.UUID(found)) == found
