"""Old executions removed for good."""

import datetime as dt
from pathlib import Path

from ingester import kept
from ingester.lines import START, dumps, stamped
from tracklog.ingester.prune import prune


def pruned(database: str, before: dt.datetime) -> int:
    return kept.with_store(database, lambda store: prune(store, before))


def ids(database: str) -> list[str]:
    return [row[0] for row in kept.query(database, "SELECT execution_id FROM agent_executions ORDER BY execution_id")]


def test_what_is_old_goes_with_all_that_belongs_to_it(database: str, logs: Path) -> None:
    """Rows, calls, chains, and its share of the figures by the minute and hour; what is younger stays."""
    kept.ingest(database, logs)
    assert pruned(database, START + dt.timedelta(seconds=30)) == 3
    assert pruned(database, START + dt.timedelta(seconds=30)) == 0
    kept.ingest(database, logs)
    held = kept.contents(database)
    assert ["b1", "b2", "f1"] == [row["execution_id"] for row in held["agent_executions"]]
    assert {"b1", "b2", "f1"} == {row["execution_id"] for row in held["agent_execution_logs"]}
    assert ["b1", "b2"] == [row["execution_id"] for row in held["agent_llm_calls"]]
    assert ["b2"] == [row["child_execution_id"] for row in held["agent_call_chains"]]
    assert ["B"] == [row["agent_name"] for row in held["agent_performance_metrics"]]
    assert ["B"] == [row["agent_name"] for row in held["agent_performance_hours"]]


def test_it_does_not_come_back(database: str, logs: Path) -> None:
    """Not with a copy of its file, and not with a late line."""
    kept.ingest(database, logs)
    pruned(database, START + dt.timedelta(seconds=30))
    (logs / "again.jsonl").write_bytes((logs / "a.jsonl").read_bytes() + dumps(stamped("z", 1, execution_id="a1")))
    kept.ingest(database, logs)
    assert ["b1", "b2", "f1"] == ids(database)


def test_its_age_is_that_of_its_last_line(database: str, logs: Path) -> None:
    """What began long ago and still says something is not old."""
    (logs / "on.jsonl").write_bytes(dumps(stamped("z", 1, at=61, execution_id="a1", event="still here")))
    kept.ingest(database, logs)
    assert pruned(database, START + dt.timedelta(seconds=30)) == 2
    assert ["a1", "b1", "b2", "f1"] == ids(database)


def test_what_has_no_time_has_no_age(database: str, logs: Path) -> None:
    """Lines without a timestamp are never old."""
    kept.ingest(database, logs)
    pruned(database, dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert ["f1"] == ids(database)
