"""Names that come once."""

import uuid

from tracklog.processors.ids import execution_id, short_id


def test_an_execution_id_is_a_uuid_of_version_7() -> None:
    """Other programs' libraries read it."""
    parsed = uuid.UUID(execution_id())
    assert (7, uuid.RFC_4122) == (parsed.version, parsed.variant)


def test_execution_ids_sort_by_time() -> None:
    """One made later sorts later, so that rows that belong together lie together."""
    ids = []
    for _ in range(50):
        ids.append(execution_id())
        # The order is told to a quarter of a microsecond.
        while execution_id()[:18] == ids[-1][:18]:
            pass
    assert sorted(ids) == ids


def test_ids_do_not_come_again() -> None:
    """Many made at once differ."""
    assert len({execution_id() for _ in range(10_000)}) == 10_000
    assert len({short_id() for _ in range(10_000)}) == 10_000
