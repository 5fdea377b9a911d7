"""The database made anew from the files."""

import asyncio
import datetime as dt
import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ingester import kept
from ingester.lines import START, dumps, stamped
from tracklog.ingester import Ingester, files, read
from tracklog.ingester.prune import prune
from tracklog.ingester.rebuild import Rebuilt, rebuild
from tracklog.ingester.sources import Portion, Source
from tracklog.ingester.store import Store
from tracklog.ingester.verify import verify


def _but(contents: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: rows for name, rows in contents.items() if name not in names}


def rebuilt(database: str, logs: Path) -> Rebuilt:
    return kept.with_store(database, lambda store: rebuild(store, [str(logs)]))


@pytest.mark.parametrize("most_open", [4096, 2])
def test_it_is_what_ingesting_makes(database: str, logs: Path, most_open: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row, also where rows were changed, lost and added, and however few files may be open at once."""
    kept.ingest(database, logs)
    monkeypatch.setattr(files, "_most_open", lambda: most_open)
    before = kept.contents(database)
    kept.change(database, "agent_executions", "execution_id", "a1", agent_name="Wrong", output_data=1)
    kept.change(database, "agent_llm_calls", "execution_id", "b1")
    kept.change(database, "agent_execution_logs", "execution_id", "a3")
    kept.change(database, "agent_executions", "execution_id", "b2", execution_id="ghost")
    result = rebuilt(database, logs)
    assert Rebuilt(files=4, lines=50, executions=6) == result
    after = kept.contents(database)
    rollups = ("agent_performance_metrics", "agent_performance_hours")  # Rolled up by the next ingester.
    assert _but(before, rollups) == _but(after, rollups)
    kept.ingest(database, logs)
    assert before == kept.contents(database)


def test_a_database_that_was_lost_is_made(database: str, logs: Path) -> None:
    """From nothing but the files."""
    rebuilt(database, logs)
    assert kept.with_store(database, lambda store: verify(store, [str(logs)])).executions == 6


def test_verdicts_stay(database: str, logs: Path) -> None:
    """What an ingester found out stands in no file."""
    (logs / "w.jsonl").write_bytes(dumps(stamped("w", 1, execution_id="w1", kind="execution.started")))
    kept.ingest(database, logs)
    assert [("timeout",)] == kept.query(database, "SELECT status FROM agent_executions WHERE execution_id = 'w1'")
    before = kept.contents(database)["agent_executions"]
    rebuilt(database, logs)
    assert before == kept.contents(database)["agent_executions"]


def test_what_came_from_files_that_are_gone_stays(database: str, logs: Path) -> None:
    """Executions of such a file, and those that another file tells of in part."""
    (logs / "late.jsonl").write_bytes(dumps(stamped("l", 1, at=90, execution_id="b2", event="late")))
    kept.ingest(database, logs)
    before = kept.contents(database)
    (logs / "b.jsonl.gz").unlink()
    result = rebuilt(database, logs)
    assert (2, 5) == (result.kept, result.executions)
    assert before == kept.contents(database)


def test_what_came_from_files_that_cannot_be_read_stays(
    database: str, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails in the middle of a file takes away nothing of what was read of it once."""
    kept.ingest(database, logs)
    before = kept.contents(database)
    monkeypatch.setattr(files, "_TURN_BYTES", 100)
    monkeypatch.setattr(files, "_BATCH_BYTES", 100)
    monkeypatch.setattr(read, "_STEP_BYTES", 100)
    take = Source.take

    def fail(source: Source, limit: int) -> Portion:
        if source.path.endswith("foreign.log") or source.checkpoint.position > 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return take(source, limit)

    monkeypatch.setattr(Source, "take", fail)
    result = rebuilt(database, logs)
    assert (4, 0) == (result.unreadable, result.files)
    assert before == kept.contents(database)


def test_what_was_pruned_stays_away(database: str, logs: Path) -> None:
    """Though its lines are in the files."""
    kept.ingest(database, logs)
    kept.with_store(database, lambda store: prune(store, START + dt.timedelta(seconds=30)))
    result = rebuilt(database, logs)
    assert (3, 3) == (result.executions, result.pruned)
    assert [("b1",), ("b2",), ("f1",)] == kept.query(
        database, "SELECT execution_id FROM agent_executions ORDER BY execution_id"
    )


def test_a_content_that_came_later_is_not_taken_for_the_first(database: str, logs: Path) -> None:
    """A file that was truncated and written anew is another source; rows of its first content stay."""
    kept.ingest(database, logs)
    (logs / "foreign.log").write_bytes(b'{"event":"anew","execution_id":"f2"}\n')
    kept.ingest(database, logs)
    before = kept.contents(database)
    assert 5 == len(before["tracklog_sources"])
    rebuilt(database, logs)
    assert before == kept.contents(database)


def test_an_ingester_goes_on(database: str, logs: Path) -> None:
    """Its positions move under its feet, and nothing is lost or doubled."""

    async def run() -> None:
        stop = asyncio.Event()
        store = Store(database, kept.HOST)
        async with Ingester([logs], database, host=kept.HOST) as ingester:
            work = asyncio.create_task(ingester.run(stop))
            for number in range(6):
                with (logs / "a.jsonl").open("ab") as file:
                    file.write(dumps(*(stamped("a", 19 + number * 50 + step, execution_id="a1") for step in range(50))))
                if number % 2:
                    await rebuild(store, [str(logs)])
            deadline = asyncio.get_running_loop().time() + 20
            while (await verify(store, [str(logs)])).unread:
                assert asyncio.get_running_loop().time() < deadline
            stop.set()
            await work
            result = await verify(store, [str(logs)])
        await store.close()
        assert (None, 331) == (result.difference, result.lines)

    asyncio.run(run())


def test_a_file_that_was_moved_away_and_back_is_not_doubled(database: str, logs: Path, tmp_path: Path) -> None:
    """Under another inode it is another source, with the same lines."""
    kept.ingest(database, logs)
    shutil.copytree(logs, tmp_path / "other")
    rebuilt(database, tmp_path / "other")
    assert [(31,)] == kept.query(database, "SELECT count(*) FROM agent_execution_logs")
