"""Files and database compared."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ingester import kept
from ingester.lines import dumps, stamped
from tracklog.ingester import SourceNotFoundError, files
from tracklog.ingester.prune import prune
from tracklog.ingester.verify import Verification, verify


def verified(database: str, logs: Path) -> Verification:
    return kept.with_store(database, lambda store: verify(store, [str(logs)]))


def test_what_was_ingested_is_what_the_files_say(database: str, logs: Path) -> None:
    """All lines and all executions are compared, those of copies and of compressed files too."""
    kept.ingest(database, logs)
    assert Verification(files=4, lines=31, executions=6) == verified(database, logs)


def test_more_files_than_may_be_open(database: str, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are compared some after the others."""
    kept.ingest(database, logs)
    monkeypatch.setattr(files, "_most_open", lambda: 2)
    assert Verification(files=4, lines=31, executions=6) == verified(database, logs)
    kept.change(database, "agent_executions", "execution_id", "b2", duration_ms=12.0)
    assert verified(database, logs).difference is not None


def test_what_is_not_read_yet_is_no_difference(database: str, logs: Path) -> None:
    """An agent logs on, and the ingester is behind."""
    kept.ingest(database, logs)
    with (logs / "a.jsonl").open("ab") as file:
        file.write(dumps(*(stamped("a", seq, execution_id="a1", event="late") for seq in (19, 20))))
    result = verified(database, logs)
    assert (None, 2, 5) == (result.difference, result.unread, result.executions)


def test_rows_of_files_that_are_gone_are_no_difference(database: str, logs: Path) -> None:
    """Of them nothing can be compared."""
    kept.ingest(database, logs)
    (logs / "b.jsonl.gz").unlink()
    result = verified(database, logs)
    assert (None, 4, 2) == (result.difference, result.executions, result.elsewhere)


def test_what_was_pruned_is_no_difference(database: str, logs: Path) -> None:
    """Executions that were removed on purpose are counted."""
    from ingester.lines import START

    kept.ingest(database, logs)
    kept.with_store(database, lambda store: prune(store, START.replace(second=30)))
    result = verified(database, logs)
    assert (None, 3, 3) == (result.difference, result.executions, result.pruned)


def test_the_order_in_which_latencies_were_added_up_is_no_difference(database: str, logs: Path) -> None:
    """A server adds fractions up in any order, and their sum is another one in its last digit."""
    kept.ingest(database, logs)
    kept.change(database, "agent_executions", "execution_id", "b2", llm_latency_ms=1.5000000000000002)
    assert verified(database, logs).difference is None
    kept.change(database, "agent_executions", "execution_id", "b2", llm_latency_ms=1.501)
    assert "another llm_latency_ms of execution b2" in (verified(database, logs).difference or "")


def test_what_is_still_to_be_rolled_up_is_no_difference(database: str, logs: Path) -> None:
    """Answers take it from the rows."""
    kept.ingest(database, logs)
    kept.change(database, "agent_performance_metrics", "agent_name", "A", llm_tokens=9)
    kept.change(database, "agent_performance_hours", "agent_name", "A", llm_tokens=9)
    assert verified(database, logs).difference is not None
    mark = "INSERT INTO tracklog_dirty_windows SELECT agent_name, window_start, 'x', window_start FROM {}"
    kept.execute(database, mark.format("agent_performance_metrics"))
    assert verified(database, logs).difference is None


CHANGES: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("agent_execution_logs", "execution_id", "a2", {}, "a line of execution a2, is not in the database"),
    ("agent_execution_logs", "execution_id", "f1", {"message": "bye"}, "another message of execution f1"),
    ("agent_executions", "execution_id", "a1", {"output_data": 1}, "another output_data of execution a1"),
    ("agent_executions", "execution_id", "b2", {"duration_ms": 12.0}, "another duration_ms of execution b2"),
    ("agent_executions", "execution_id", "b2", {"llm_tokens_used": 8}, "another llm_tokens_used of execution b2"),
    ("agent_executions", "execution_id", "b1", {}, "agent_executions has 0 rows of execution b1"),
    ("agent_llm_calls", "execution_id", "a3", {"response": {"text": "no"}}, "another response of execution a3"),
    ("agent_llm_calls", "execution_id", "a3", {}, "agent_llm_calls has 0 rows of execution a3"),
    ("agent_call_chains", "child_execution_id", "a2", {"parent_execution_id": "x"}, "another parent_execution_id"),
    ("agent_execution_logs", "execution_id", "f1", {"execution_id": "f2"}, "foreign.log, byte 0"),
    ("agent_execution_logs", "execution_id", "f1", {"seq": 1}, "foreign.log, byte 0"),
    ("agent_performance_metrics", "agent_name", "A", {"llm_tokens": 9}, "another llm_tokens of agent 'A' at 2026"),
    ("agent_performance_metrics", "agent_name", "A", {}, "agent_performance_metrics has no row of agent 'A' at 2026"),
    (
        "agent_performance_hours",
        "agent_name",
        "B",
        {"duration_sum_ms": 9},
        "another duration_sum_ms of agent 'B' at 2026",
    ),
    ("agent_performance_hours", "agent_name", "B", {"by_model": {}}, "agent_performance_hours has another by_model"),
]


@pytest.mark.parametrize(("table", "key", "value", "values", "message"), CHANGES)
def test_a_difference_is_found(
    database: str, logs: Path, table: str, key: str, value: str, values: dict[str, Any], message: str
) -> None:
    """Whatever was changed, lost or added, the sentence says where."""
    kept.ingest(database, logs)
    kept.change(database, table, key, value, **values)
    found = verified(database, logs).difference
    assert found is not None
    assert message in found


def test_an_execution_that_no_file_tells_of_is_found(database: str, logs: Path) -> None:
    """A row that says it comes from a file, of which no line is."""
    kept.ingest(database, logs)
    moved = {"execution_id": "ghost"}
    kept.change(database, "agent_executions", "execution_id", "f1", **moved)
    kept.change(database, "agent_execution_logs", "execution_id", "f1", **moved)
    found = verified(database, logs).difference
    assert found is not None
    assert "f1" in found


def test_the_second_database_goes_also_while_something_is_still_written(
    database: str, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread of the driver may make a file in the directory while that is removed: it is removed again."""
    kept.ingest(database, logs)
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    refused = iter([OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))])
    remove = shutil.rmtree

    def once_in_vain(directory: str) -> None:
        for error in refused:
            raise error
        remove(directory)

    monkeypatch.setattr(shutil, "rmtree", once_in_vain)
    assert verified(database, logs).difference is None
    assert [] == list(temporary.iterdir())


def test_a_path_must_exist(database: str, logs: Path) -> None:
    """A typing error must not pass for a database that is right."""
    kept.ingest(database, logs)
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        verified(database, logs / "nowhere")
