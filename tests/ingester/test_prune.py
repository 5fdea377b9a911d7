"""Old executions removed for good."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ingester import kept
from ingester.lines import START, dumps, stamped
from tracklog.ingester import Ingester, commit
from tracklog.ingester.prune import prune
from tracklog.ingester.quarantine import Retried, retry
from tracklog.ingester.store import Store
from tracklog.processors.errors import TracklogError


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


def test_what_has_no_time_is_as_old_as_the_last_reading_of_its_file(database: str, logs: Path) -> None:
    """Of all the files that have lines of it, however much else is old."""
    (logs / "other.log").write_bytes(b'{"event":"hello again","execution_id":"f1"}\n')
    kept.ingest(database, logs)
    month = dt.timedelta(days=30)
    now = dt.datetime.now(dt.UTC)
    kept.change(database, "tracklog_sources", "path", str(logs / "foreign.log"), read_at=now - 2 * month)
    assert 5 == pruned(database, now - month)
    assert ["f1"] == ids(database)
    kept.change(database, "tracklog_sources", "path", str(logs / "other.log"), read_at=now - 2 * month)
    assert (1, 0) == (pruned(database, now - month), pruned(database, now - month))
    kept.ingest(database, logs)
    assert [] == ids(database)


def test_it_goes_in_steps(database: str, logs: Path) -> None:
    """None holds more than it was told, and the last one nothing."""
    kept.ingest(database, logs)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    steps = [kept.with_store(database, lambda store: prune(store, later, limit=4)) for _ in range(3)]
    assert [4, 2, 0] == steps


@pytest.mark.parametrize("late", ["read", "mended"])
def test_it_is_pruned_while_a_late_line_of_it_is_committed(
    postgres_database: str, logs: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """Just after the batch found that it was not: it goes with its late line, also where that was in quarantine."""
    line = dumps(stamped("z", 1, execution_id="a1", event="late"))
    before, behind = (dumps(*(stamped(name, seq, at=61, execution_id="b1") for seq in range(1, 41))) for name in "xy")
    path = logs / "late.jsonl"
    path.write_bytes(before + (line.replace(b"}", b" ") + behind if late == "mended" else b""))
    kept.ingest(postgres_database, logs)
    with path.open("r+b") as file:
        file.seek(len(before))
        file.write(line)
    look, pruning = commit.pruned, list[asyncio.Task[int]]()

    async def look_and_prune(transaction: commit.Transaction, executions: Sequence[Any]) -> set[str]:
        found = await look(transaction, executions)
        if not pruning:
            pruning.append(asyncio.create_task(prune(other, START + dt.timedelta(seconds=30))))
            await asyncio.wait(pruning, timeout=0.5)
        return found

    async def ingest_and_prune() -> None:
        monkeypatch.setattr(commit, "pruned", look_and_prune)
        async with Ingester([logs], postgres_database, host=kept.HOST) as ingester:
            if late == "mended":
                assert Retried(settled=1, refused=1) == await retry(ingester._store)
            else:
                await ingester.run_once()
        assert 3 == await pruning[0]
        await other.close()

    other = Store(postgres_database, "elsewhere")
    asyncio.run(ingest_and_prune())
    monkeypatch.undo()
    assert ["b1", "b2", "f1"] == ids(postgres_database)
    assert [] == kept.query(postgres_database, "SELECT 1 FROM agent_execution_logs WHERE execution_id LIKE 'a%'")


def test_it_was_cut_off(database: str, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had noted, and not removed yet, it removes the next time; nothing comes to it meanwhile."""
    kept.ingest(database, logs)

    async def die(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr("tracklog.ingester.prune.delete_executions", die)
        with pytest.raises(TracklogError):
            pruned(database, START + dt.timedelta(seconds=30))
    (logs / "late.jsonl").write_bytes(dumps(stamped("z", 1, at=61, execution_id="a1")))
    kept.ingest(database, logs)
    assert pruned(database, START + dt.timedelta(seconds=30)) == 3
    assert ["b1", "b2", "f1"] == ids(database)
