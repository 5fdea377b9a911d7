"""Give tests a database with the tables, and what answers from it."""

from collections.abc import Iterator

import pytest

from analytics.stored import Stored
from tracklog.analytics import ExecutionAnalytics


@pytest.fixture
def stored(database: str) -> Stored:
    """Give a database whose tables are there and empty."""
    return Stored(database)


@pytest.fixture
def analytics(stored: Stored) -> Iterator[ExecutionAnalytics]:
    """Answer from the database of the test."""
    with ExecutionAnalytics(stored.url) as answers:
        yield answers
