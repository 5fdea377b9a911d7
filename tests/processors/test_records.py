"""Each record once."""

import copy
import logging

from tracklog.processors.records import _REMEMBERED, WrittenRecords


def record() -> logging.LogRecord:
    return logging.LogRecord("name", logging.INFO, "path", 1, "message", None, None)


def test_a_record_is_new_once() -> None:
    """Its copies, which handlers and queues make, are the same record."""
    records, one = WrittenRecords(), record()
    assert records.add(one)
    assert not records.add(one)
    assert not records.add(logging.makeLogRecord(one.__dict__))
    assert not records.add(copy.copy(one))


def test_records_of_the_same_moment_are_two() -> None:
    """A coarse clock gives many records the same time."""
    records, one, other = WrittenRecords(), record(), record()
    other.created = one.created + 0.0
    assert other.created is not one.created
    assert records.add(one)
    assert records.add(other)


def test_memory_is_bounded_and_the_latest_are_kept() -> None:
    """A long-lived program logs many records; the handlers of one follow at once."""
    records = WrittenRecords()
    many = [record() for _ in range(5 * _REMEMBERED)]
    assert all(records.add(one) for one in many)
    assert not records.add(many[-1])
    assert len(records._times) <= _REMEMBERED
