"""Test reading an SQLite file that others write, link to, and fork with."""

import contextlib
import os
from pathlib import Path

import pytest

from analytics.stored import Stored
from tracklog.analytics import ExecutionAnalytics
from tracklog.analytics.errors import StatementError
from tracklog.ingester.database import open_reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give an SQLite database in a directory of its own, with one execution."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "tracklog.db"
    Stored(f"sqlite:///{path}").executions({"execution_id": "e1"})
    return path


def close_directory(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Make a directory one that may not be written in, also for root."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != directory and access(path, mode))


def is_immutable(url: str) -> bool:
    """Tell whether a reader of the database would take it for one that nobody writes."""
    engine = open_reader(url)
    engine.dispose()
    return "immutable" in engine.url.query


def test_a_link_in_a_closed_directory(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is where the file is, not where a link to it is."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "tracklog.db"
    link.symlink_to(path)
    close_directory(monkeypatch, link.parent)
    assert not is_immutable(str(link))
    close_directory(monkeypatch, path.parent)
    assert is_immutable(str(link))
    Path(f"{path}-wal").touch()
    assert not is_immutable(str(link))


def test_many_answers_at_a_time(path: Path) -> None:
    """However many ask at the same time, each has a connection at once."""
    engine = open_reader(str(path))
    connections = [engine.connect() for _ in range(20)]
    for connection in connections:
        connection.close()
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMP TABLE agent_executions AS SELECT * FROM main.agent_executions LIMIT 0",
        "CREATE TEMP VIEW agent_executions AS SELECT * FROM main.agent_executions WHERE 0",
        "PRAGMA case_sensitive_like = ON",
    ],
)
def test_a_statement_leaves_nothing_behind(path: Path, statement: str) -> None:
    """What somebody's own statement does to its connection, later answers do not see."""
    with ExecutionAnalytics(str(path)) as analytics:
        assert len(analytics.get_recent_executions()) == 1
        with contextlib.suppress(StatementError):
            analytics.run_sql(statement)
        assert len(analytics.get_recent_executions()) == 1
        assert analytics.run_sql("SELECT 'A' LIKE 'a' AS is_like")[0]["is_like"] == 1
