"""Test reading an SQLite file that others write, link to, and fork with."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from analytics.stored import Stored
from tracklog.analytics import DatabaseError, ExecutionAnalytics
from tracklog.analytics.errors import StatementError
from tracklog.analytics.query import Query
from tracklog.analytics.reader import open_database
from tracklog.ingester.database import open_reader
from tracklog.ingester.schema import agent_executions


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


def test_a_file_is_written_after_it_was_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may not write beside a file reads it as one that nobody writes, until somebody does."""
    close_directory(monkeypatch, path.parent)
    with ExecutionAnalytics(str(path)) as analytics:
        assert analytics.get_recent_executions()[0].agent_name == "Agent"
        with contextlib.closing(sqlite3.connect(path)) as writer:
            writer.execute("UPDATE agent_executions SET agent_name = 'Other'")
            writer.commit()
            assert Path(f"{path}-wal").exists()
            assert analytics.get_recent_executions()[0].agent_name == "Other"
            analytics.close()  # The last one who may write takes the WAL away.
        assert analytics.get_recent_executions()[0].agent_name == "Other"
        with contextlib.closing(sqlite3.connect(path)) as writer:
            writer.execute("DELETE FROM agent_executions")
            writer.commit()
        assert not Path(f"{path}-wal").exists()
        assert analytics.get_recent_executions() == []


def test_a_file_is_written_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that somebody wrote into is asked for again."""
    close_directory(monkeypatch, path.parent)
    reader = open_database(str(path))
    writers: list[sqlite3.Connection] = []

    def question() -> Query[int]:
        rows = yield select(agent_executions.c.execution_id)
        if not writers:
            writers.append(sqlite3.connect(path))
            writers[0].execute("DELETE FROM agent_executions")
            writers[0].commit()
        return len(rows)

    assert reader.answer(question) == 0
    writers[0].close()
    reader.close()


def test_a_wal_goes_away(path: Path) -> None:
    """Whoever may not make SQLite's files reads without them when the ingester that made them ends."""
    reader = open_database(str(path))
    asked: list[str] = []

    def question() -> Query[int]:
        if not asked:  # As SQLite says it to users who may not write in the directory; root may.
            asked.append("first")
            raise StatementError("the database refuses the statement: attempt to write a readonly database")
        return len((yield select(agent_executions.c.execution_id)))

    assert reader.answer(question) == 1
    reader.close()


def test_a_malformed_file_in_a_closed_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told to move a file away that is only read without locks."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with monkeypatch.context() as patch:
        close_directory(patch, path.parent)
        with ExecutionAnalytics(str(path)) as analytics, pytest.raises(DatabaseError, match="or is damaged; ask again"):
            analytics.get_recent_executions()
    with ExecutionAnalytics(str(path)) as analytics, pytest.raises(DatabaseError, match="move it away"):
        analytics.get_recent_executions()


def fork(work: Callable[[], bool]) -> None:
    """Check that something is so in a forked child."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def open_files(path: Path) -> list[str]:
    """Give the names under which this process has a database and SQLite's files of it open."""
    names = (os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd"))
    return [name for name in names if name.startswith(str(path))]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="The system does not show what a process has open")
def test_a_fork_finds_no_file_open(path: Path) -> None:
    """A forked child inherits no file, with which SQLite would think that it holds its parent's locks."""
    with ExecutionAnalytics(str(path)) as analytics, ExecutionAnalytics(str(path)) as other:
        for answers in (analytics, other):
            assert len(answers.get_recent_executions()) == 1
        assert open_files(path)
        fork(lambda: not open_files(path) and len(analytics.get_recent_executions()) == 1 and bool(open_files(path)))
        assert not open_files(path)
        assert len(analytics.get_recent_executions()) == 1
        fork(lambda: not open_files(path))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="The system does not show what a process has open")
def test_a_fork_while_a_question_runs(path: Path) -> None:
    """A question that another thread asks is answered, and its connection not left open."""
    reader = open_database(str(path))
    asked, forked = threading.Event(), threading.Event()
    found: list[int] = []

    def question() -> Query[int]:
        yield select(agent_executions.c.execution_id)
        asked.set()
        assert forked.wait(10)
        return len((yield select(agent_executions.c.execution_id)))

    thread = threading.Thread(target=lambda: found.append(reader.answer(question)))
    thread.start()
    assert asked.wait(10)
    fork(lambda: True)
    forked.set()
    thread.join()
    assert found == [1]
    assert not open_files(path)
    assert reader.answer(question) == 1
    reader.close()
