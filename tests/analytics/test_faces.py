"""Test asking: on the class and on instances, blocking and awaited, over forks and lost databases."""

import asyncio
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, literal, select

from analytics.stored import Stored
from conftest import PostgresServer
from tracklog.analytics import (
    AsyncExecutionAnalytics,
    DatabaseError,
    DatabaseUnreachableError,
    ExecutionAnalytics,
    SchemaError,
)
from tracklog.analytics.faces import AsyncAnswer, SyncAnswer, close_defaults
from tracklog.analytics.query import Query
from tracklog.analytics.reader import open_database
from tracklog.ingester.schema import agent_executions


@pytest.fixture
def default(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    """Make the test's database the one that is asked when none is named."""
    monkeypatch.setenv("TRACKLOG_DATABASE_URL", stored.url)
    yield stored
    close_defaults()


def test_both_faces_have_the_same_answers() -> None:
    """Each question can be put both ways, and is the same query."""
    sync = {name: answer.query for name, answer in vars(ExecutionAnalytics).items() if isinstance(answer, SyncAnswer)}
    awaited = {
        name: answer.query for name, answer in vars(AsyncExecutionAnalytics).items() if isinstance(answer, AsyncAnswer)
    }
    assert sync == awaited
    assert "debug_why_agent_didnt_fire" in sync


def test_methods_are_described() -> None:
    """A method has the name, the parameters and the docstring of its query."""
    method = ExecutionAnalytics.get_recent_executions
    assert method.__name__ == "get_recent_executions"
    assert list(inspect.signature(method).parameters)[:4] == ["vault_id", "agent_name", "status", "limit"]
    assert (method.__doc__ or "").startswith("Give the newest executions first")


def test_asking_the_class(default: Stored) -> None:
    """Methods of the class ask the database that the environment names."""
    default.executions({"execution_id": "e1"})
    assert [record.execution_id for record in ExecutionAnalytics.get_recent_executions()] == ["e1"]


def test_asking_the_class_for_another_database(
    default: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is read at each call, not once."""
    default.executions({"execution_id": "e1"})
    assert ExecutionAnalytics.get_execution("e1") is not None
    monkeypatch.setenv("TRACKLOG_DATABASE_URL", Stored(f"sqlite:///{tmp_path / 'other.db'}").url)
    assert ExecutionAnalytics.get_execution("e1") is None


def test_asking_inside_a_running_loop(default: Stored) -> None:
    """The blocking face works where a loop runs, and the awaited one in one loop after the other."""
    default.executions({"execution_id": "e1"})

    async def ask() -> tuple[object, object]:
        blocking = ExecutionAnalytics.get_execution("e1")
        return blocking, await AsyncExecutionAnalytics.get_execution("e1")

    for _ in range(2):
        one, other = asyncio.run(ask())
        assert one == other
        assert one is not None


def test_many_at_once(stored: Stored) -> None:
    """One instance answers many threads and many tasks."""
    stored.executions(*({"execution_id": f"e{n}"} for n in range(20)))
    found: list[object] = []
    with ExecutionAnalytics(stored.url) as analytics:

        def ask(number: int) -> None:
            record = analytics.get_execution(f"e{number}")
            found.append(record and record.execution_id)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(map(str, found)) == sorted(f"e{n}" for n in range(20))

    async def ask_all() -> list[str]:
        async with AsyncExecutionAnalytics(stored.url) as awaited:
            records = await asyncio.gather(*(awaited.get_execution(f"e{n}") for n in range(20)))
        return [record.execution_id for record in records if record is not None]

    assert asyncio.run(ask_all()) == [f"e{n}" for n in range(20)]


def test_closing(stored: Stored) -> None:
    """An instance may be closed before it was asked, twice, and asked again after it."""
    analytics = ExecutionAnalytics(stored.url)
    analytics.close()
    assert analytics.get_recent_executions() == []
    analytics.close()
    analytics.close()
    assert analytics.get_recent_executions() == []
    analytics.close()


def test_a_closed_reader_leaves_no_thread(stored: Stored) -> None:
    """The thread that owns a pool ends when its instance is closed, or dropped."""
    before = set(threading.enumerate())
    with ExecutionAnalytics(stored.url) as analytics:
        analytics.get_recent_executions()
    ExecutionAnalytics(stored.url).get_recent_executions()
    assert {thread for thread in threading.enumerate() if thread.name == "tracklog-answers"} <= before


def test_an_answer_is_one_snapshot(stored: Stored) -> None:
    """What is written while a question is being answered is in none of its parts, and in the next answer."""
    count = select(func.count()).select_from(agent_executions)

    def twice(meanwhile: Callable[[], None]) -> Query[list[int]]:
        before = yield count.add_columns(literal("before").label("when"))
        writer = threading.Thread(target=meanwhile)
        writer.start()
        writer.join()
        after = yield count.add_columns(literal("after").label("when"))
        return [rows[0]["count_1"] for rows in (before, after)]

    reader = open_database(stored.url)
    assert reader.answer(lambda: twice(lambda: stored.executions({"execution_id": "e1"}))) == [0, 0]
    assert reader.answer(lambda: twice(lambda: None)) == [1, 1]
    reader.close()


def test_answers_write_nothing(postgres_database: str) -> None:
    """On PostgreSQL an answer's transaction is read-only, and sees one moment."""
    Stored(postgres_database)

    def settings() -> Query[list[str]]:
        rows = yield select(
            func.current_setting("transaction_read_only").label("read_only"),
            func.current_setting("transaction_isolation").label("isolation"),
        )
        return list(rows[0].values())

    reader = open_database(postgres_database)
    assert reader.answer(settings) == ["on", "repeatable read"]
    reader.close()


def test_after_a_fork(stored: Stored) -> None:
    """A forked child asks by connections of its own, and leaves its parent's alone."""
    stored.executions({"execution_id": "e1"})
    with ExecutionAnalytics(stored.url) as analytics:
        assert analytics.get_execution("e1") is not None
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = 0 if analytics.get_execution("e1") is not None else 2
                analytics.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert analytics.get_execution("e1") is not None


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    """A reader of a file that is not there says what makes it, and makes nothing."""
    path = tmp_path / "nothing.db"
    with (
        ExecutionAnalytics(f"sqlite:///{path}") as analytics,
        pytest.raises(DatabaseUnreachableError, match="tracklog ingest"),
    ):
        analytics.get_execution("e1")
    assert not path.exists()


def test_a_file_that_was_made_anew(tmp_path: Path) -> None:
    """A database that replaces another under the same name is what is read from then on."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    old = Stored(url)
    old.executions({"execution_id": "old"})
    with ExecutionAnalytics(url) as analytics:
        assert analytics.get_execution("old") is not None
        new = Stored(f"sqlite:///{tmp_path / 'b.db'}")
        new.executions({"execution_id": "new"})
        (tmp_path / "b.db").rename(tmp_path / "a.db")
        assert analytics.get_execution("new") is not None


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b""], ids=["garbage", "empty"])
def test_a_file_that_is_no_database_of_ours(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is refused in one line."""
    path = tmp_path / "other.db"
    path.write_bytes(content)
    with ExecutionAnalytics(str(path)) as analytics, pytest.raises(DatabaseError) as caught:
        analytics.get_execution("e1")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_without_tables(database: str, tmp_path: Path) -> None:
    """An empty database has no schema, and the message says what makes it."""
    if database.startswith("sqlite"):
        (tmp_path / "tracklog.db").touch()
    with ExecutionAnalytics(database) as analytics, pytest.raises(SchemaError, match="has no tables of tracklog"):
        analytics.get_execution("e1")


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:secret@127.0.0.1:1/agents", "postgresql://me:secret@/agents?host=/nowhere"],
    ids=["port", "socket"],
)
def test_a_server_that_is_away(url: str) -> None:
    """A server that does not answer is an error that names it, without the password."""
    with ExecutionAnalytics(url) as analytics, pytest.raises(DatabaseUnreachableError) as caught:
        analytics.get_execution("e1")
    assert "agents" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_that_the_server_does_not_have(postgres_server: PostgresServer) -> None:
    """A name that the server does not know is an error of the URL."""
    url = postgres_server.url("nothing_here")
    with ExecutionAnalytics(url) as analytics, pytest.raises(DatabaseUnreachableError, match="does not exist"):
        analytics.get_execution("e1")


def test_a_server_that_was_restarted(postgres_server: PostgresServer, postgres_database: str) -> None:
    """Connections that the server ended are made anew at the next question."""
    Stored(postgres_database)
    with ExecutionAnalytics(postgres_database) as analytics:
        assert analytics.get_recent_executions() == []
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tracklog'"
        )
        assert analytics.get_recent_executions() == []


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "://", "postgresql://host:port/x"])
def test_a_url_that_cannot_be(url: str) -> None:
    """A URL of another kind is refused when the instance is made."""
    with pytest.raises(DatabaseError):
        ExecutionAnalytics(url)


def test_a_process_ends_without_closing(default: Stored) -> None:
    """A script that never closes anything ends at once, without a warning."""
    code = "from tracklog.analytics import ExecutionAnalytics as A; print(A.get_recent_executions())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[]\n", "", 0)
