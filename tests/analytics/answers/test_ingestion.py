"""Test telling how far ingestion has come."""

from analytics.stored import Stored, ago
from tracklog.analytics import ExecutionAnalytics
from tracklog.analytics.answers.ingestion import reservation


def test_nothing_was_ever_ingested(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A database that no ingester wrote to is not complete, and has no time it is right for."""
    ingestion = analytics.get_ingestion()
    assert (ingestion.complete, ingestion.as_of, ingestion.hosts) == (False, None, [])
    assert reservation(ingestion) == "but nothing was ever ingested into this database"


def test_an_ingester_that_follows(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """While every ingester has just looked and is behind by nothing, what is not there did not happen."""
    stored.ingester("one")
    stored.ingester("two")
    ingestion = analytics.get_ingestion()
    assert ingestion.complete is True
    assert ingestion.as_of == min(host.looked_at for host in ingestion.hosts)
    assert reservation(ingestion) is None


def test_an_ingester_that_is_behind(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Bytes that were seen and not yet read are a reservation."""
    stored.ingester(bytes_behind=1234)
    ingestion = analytics.get_ingestion()
    assert (ingestion.complete, ingestion.bytes_behind) == (False, 1234)
    assert reservation(ingestion) == "but ingestion is 1,234 bytes behind"


def test_a_host_whose_ingester_is_down(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A host that has not looked for a minute, and did not say that it stops, is stale and named."""
    stored.ingester("fresh")
    stored.ingester("dead", looked_at=ago(minutes=10))
    ingestion = analytics.get_ingestion()
    assert [(host.host, host.stale) for host in ingestion.hosts] == [("dead", True), ("fresh", False)]
    assert (ingestion.complete, ingestion.as_of) == (False, ago(minutes=10))
    assert (reservation(ingestion) or "").startswith("but the ingester on dead has not looked since ")


def test_a_host_that_stopped_on_purpose_does_not_count(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """A machine that was retired does not hold back the time the others are right for."""
    stored.ingester("fresh")
    stored.ingester("retired", looked_at=ago(days=10), stopped_at=ago(days=10))
    ingestion = analytics.get_ingestion()
    assert ingestion.complete is True
    assert ingestion.as_of is not None
    assert ingestion.as_of > ago(minutes=1)


def test_no_ingester_runs(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """After the last ingester stopped, only what was logged before its last look is in."""
    stored.ingester(looked_at=ago(minutes=5), stopped_at=ago(minutes=5))
    ingestion = analytics.get_ingestion()
    assert (ingestion.complete, ingestion.as_of) == (False, ago(minutes=5))
    assert (reservation(ingestion) or "").startswith("but no ingester runs")


def test_unreadable_lines_are_counted(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Lines in quarantine are counted over all files: one of them may be the one that is missed."""
    stored.source("a", lines_quarantined=2)
    stored.source("b", lines_quarantined=3)
    assert analytics.get_ingestion().lines_quarantined == 5
