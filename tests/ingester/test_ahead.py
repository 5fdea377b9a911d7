"""Batches that are read and folded ahead, by a process beside."""

import asyncio
import contextlib
import datetime as dt
import gzip
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from conftest import PostgresServer
from ingester import kept
from ingester.lines import dumps, wrapped
from tracklog.ingester import Ingester, Summary, ahead, files, read, sqlite, worker
from tracklog.ingester.batch import Piece, Tally, fold_pieces
from tracklog.ingester.beside import Begin, Fold, Write
from tracklog.ingester.commit import Database, Positions
from tracklog.ingester.errors import DatabaseUnreachableError, TransactionConflictError
from tracklog.ingester.fold import Rows
from tracklog.ingester.sources import Portion, Source
from tracklog.ingester.store import Store, limit_waiting
from tracklog.ingester.worker import Worker

STORIES = 40

Asked = Database | Fold | Begin | Write


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it on a machine with one core, too."""
    monkeypatch.setattr(worker, "_is_worth_it", lambda: True)


@pytest.fixture(autouse=True)
def started_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the process there when it is asked for: the backlogs of these tests are short."""

    monkeypatch.setattr(Worker, "start", kept.start_and_wait)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a directory of which each file takes several batches."""
    for module, name in ((files, "_BATCH_BYTES"), (files, "_TURN_BYTES"), (read, "_STEP_BYTES")):
        monkeypatch.setattr(module, name, 5000)
    kept.write(tmp_path / "logs")
    for writer in ("x", "y"):
        told = kept.story(writer, [f"{writer}{number}" for number in range(STORIES)])
        (tmp_path / "logs" / f"{writer}.jsonl").write_bytes(dumps(*told))
    return tmp_path / "logs"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the ids of the processes that were asked to fold, as often as they were."""
    pids: list[int] = []
    give = worker._give

    def note(process: "subprocess.Popen[bytes]", what: Asked, pieces: Sequence[Piece]) -> None:
        if isinstance(what, Fold):
            pids.append(process.pid)
        give(process, what, pieces)

    monkeypatch.setattr(worker, "_give", note)
    return pids


def is_gone(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] in "ZX"
    return True


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while not is_gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def without_it(directory: Path, logs: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, object]]]:
    """Give what is in a database that was filled without a process beside."""
    with monkeypatch.context() as patched:
        patched.setattr(worker, "_is_worth_it", lambda: False)
        database = str(directory / "alone.db")
        kept.ingest(database, logs)
    return kept.contents(database)


def test_a_backlog_is_folded_beside(
    database: str, logs: Path, tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the database is the same; both processes have ended with the ingester."""
    kept.ingest(database, logs)
    assert len(asked) > 5
    assert 2 == len(set(asked))
    assert all(map(is_gone, asked))
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(database)


def test_it_loads_no_sqlalchemy(database: str) -> None:
    """A third of a second, and 13 MiB in each process."""
    store = Store(database, kept.HOST)
    program = (
        "import pickle, sys; from tracklog.ingester.beside import main\n"
        "pickle.load(sys.stdin.buffer); print('sqlalchemy' in sys.modules, 'asyncpg' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(store.beside()), stdout=subprocess.PIPE, check=True
    )
    asyncio.run(store.close())
    assert f"False {not database.startswith('sqlite')}".encode() == done.stdout.strip()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bool | None]:
    """Give what became of each batch that was to be committed by the process that folded it."""
    outcomes: list[bool | None] = []
    write = worker.Folding.written

    async def note(self: worker.Folding, positions: Positions) -> bool | None:
        outcomes.append(await write(self, positions))
        return outcomes[-1]

    monkeypatch.setattr(worker.Folding, "written", note)
    return outcomes


def test_it_writes_what_it_folded(
    database: str,
    logs: Path,
    tmp_path: Path,
    asked: list[int],
    written: list[bool | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No row comes back, and SQLite's WAL is copied meanwhile."""
    copied = []
    monkeypatch.setattr(ahead, "_COPIED_BYTES", 10_000)
    monkeypatch.setattr(sqlite, "checkpoint", lambda path, copy=sqlite.checkpoint: copied.append(copy(path)))
    kept.ingest(database, logs)
    assert len(written) == len(asked) > 5
    assert all(written)
    assert bool(copied) == database.startswith("sqlite")
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(database)


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
def test_it_is_killed_as_it_commits(
    database: str,
    logs: Path,
    tmp_path: Path,
    written: list[bool | None],
    monkeypatch: pytest.MonkeyPatch,
    is_late: bool,
) -> None:
    """Whether a batch was committed of which it did not say so, is found out: it is there once, and counted once."""
    give, answer = worker._give, worker._answer
    told: dict[int, int] = {}
    killed: list[int] = []

    def kill(process: "subprocess.Popen[bytes]") -> None:
        killed.append(process.pid)
        process.kill()

    def give_or_kill(process: "subprocess.Popen[bytes]", what: Asked, pieces: Sequence[Piece]) -> None:
        told[process.pid] = told.get(process.pid, 0) + isinstance(what, Write)
        if not is_late and told[process.pid] == 2 and not killed:
            kill(process)
        give(process, what, pieces)

    def answer_and_kill(process: "subprocess.Popen[bytes]") -> bytes:
        said = answer(process)
        if is_late and told[process.pid] == 2 and not killed:
            kill(process)
            raise EOFError
        return said

    monkeypatch.setattr(worker, "_give", give_or_kill)
    monkeypatch.setattr(worker, "_answer", answer_and_kill)

    async def run() -> Summary:
        async with Ingester([logs], database, host=kept.HOST) as ingester:
            return await ingester.run_once()

    summary = asyncio.run(run())
    assert killed
    assert None in written
    monkeypatch.undo()
    assert summary.lines == sum(lines for (lines,) in kept.query(database, "SELECT lines FROM tracklog_sources"))
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(database)


def test_it_commits_and_nobody_can_wait_for_its_answer(
    database: str,
    logs: Path,
    tmp_path: Path,
    written: list[bool | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where no thread can be made once it was told: what it did is found out, and counted."""
    write = Worker.write

    def write_and_give_up(self: Worker, positions: Positions) -> "asyncio.Future[bytes] | None":
        if len(written) != 3:
            return write(self, positions)
        assert self._process is not None
        worker._give(self._process, Write(positions), ())
        worker._answer(self._process)
        self.give_up()
        return None

    monkeypatch.setattr(Worker, "write", write_and_give_up)

    async def run() -> Summary:
        async with Ingester([logs], database, host=kept.HOST) as ingester:
            return await ingester.run_once()

    summary = asyncio.run(run())
    assert None in written
    assert summary.lines == sum(lines for (lines,) in kept.query(database, "SELECT lines FROM tracklog_sources"))
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(database)


REFUSAL = {
    "sqlite": (
        "CREATE TRIGGER refusal BEFORE INSERT ON agent_execution_logs WHEN new.message = 'poison'"
        " BEGIN SELECT RAISE(ABORT, 'this is poison'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'this is poison'; END $$",
        "CREATE TRIGGER refusal BEFORE INSERT ON agent_execution_logs FOR EACH ROW"
        " WHEN (new.message = 'poison') EXECUTE FUNCTION refuse()",
    ),
}


def test_what_the_database_refuses_is_taken_out_here(
    database: str, logs: Path, asked: list[int], written: list[bool | None]
) -> None:
    """The process gives the rows back that it could not write, and goes on with the next ones."""
    kept.with_store(database, Store.prepare)
    for statement in REFUSAL[database.partition(":")[0]]:
        kept.execute(database, statement)
    told = (logs / "x.jsonl").read_bytes().splitlines(keepends=True)
    told[120:120] = [dumps({**orjson.loads(told[120]), "event": "poison"})]
    (logs / "x.jsonl").write_bytes(b"".join(told))
    kept.ingest(database, logs)
    assert 1 == written.count(False)
    assert 5 < written.count(True)
    assert [(1,)] == kept.query(database, "SELECT count(*) FROM tracklog_quarantine WHERE reason LIKE '%poison'")
    assert [(2 * STORIES,)] == kept.query(
        database, "SELECT count(*) FROM agent_executions WHERE status = 'success' AND agent_name IN ('X', 'Y')"
    )


@contextlib.contextmanager
def started(database: Database | None) -> Iterator[tuple[Worker, int]]:
    one = Worker(database)
    one.start()
    assert one._process is not None
    try:
        yield one, one._process.pid
    finally:
        one.close()


@pytest.fixture
def nowhere(tmp_path: Path) -> sqlite.Database:
    """Give a database that is not there."""
    return sqlite.Database(str(tmp_path / "nowhere.db"), 30)


NOTHING = Positions([], [], "here", dt.datetime.now(dt.UTC))


async def given_back(folding: worker.Folding) -> tuple[list[Tally], Rows]:
    """Have rows written to a database that is not there, and give what was folded."""
    tallies = await folding.tallies()
    assert folding.is_kept
    assert await folding.written(NOTHING) is False
    return tallies, await folding.rows()


def test_it_writes_to_no_database_that_is_not_there(nowhere: sqlite.Database) -> None:
    """It makes none, and the rows are here."""
    pieces = [Piece("s", 0, dumps(*kept.story("w", ["e"])))]

    async def run() -> None:
        with started(nowhere) as (one, _):
            assert fold_pieces(pieces) == await given_back(one.begin(pieces))

    asyncio.run(run())
    assert not Path(nowhere.path).exists()
    sqlite.checkpoint(nowhere.path)
    assert not Path(nowhere.path).exists()


def test_the_process_is_killed(
    database: str,
    logs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At any time: what it was asked is folded here, and it is asked no more."""
    begin = Worker.begin
    begun: list[int] = []
    killed: list[int] = []

    def begin_and_kill(self: Worker, pieces: Sequence[Piece]) -> worker.Folding:
        folding = begin(self, pieces)
        if self._process is not None:
            begun.append(self._process.pid)
            if len(begun) == 3:
                os.kill(self._process.pid, signal.SIGKILL)
                killed.append(self._process.pid)
        return folding

    monkeypatch.setattr(Worker, "begin", begin_and_kill)
    kept.ingest(database, logs)
    assert killed
    assert killed[0] not in begun[3 + ahead._DEPTH :]
    assert 1 == caplog.text.count("the process that reads ahead does not answer")
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(database)


def test_the_process_is_stopped(
    sqlite_database: str, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not answer is not waited for for ever."""
    begin = Worker.begin

    def begin_and_stop(self: Worker, pieces: Sequence[Piece]) -> worker.Folding:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)
        return begin(self, pieces)

    monkeypatch.setattr(worker, "_ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(worker, "_WRITE_SECONDS", 0.3)
    monkeypatch.setattr(Worker, "begin", begin_and_stop)
    kept.ingest(sqlite_database, logs)
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(sqlite_database)


def test_many_small_files_are_a_backlog(
    sqlite_database: str, logs: Path, tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though each of them is read to its end at once."""
    for place in range(20):
        (logs / f"small-{place}.jsonl").write_bytes(dumps(*kept.story(f"small-{place}", [f"s{place}"])))
    monkeypatch.setattr(files, "_TURN_BYTES", 1 << 20)
    monkeypatch.setattr(read, "_STEP_BYTES", 1 << 20)
    for name in ("x", "y"):
        (logs / f"{name}.jsonl").unlink()
    kept.ingest(sqlite_database, logs)
    assert len(asked) > 1
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(sqlite_database)


def test_batches_that_end_within_a_line_that_was_split(
    database: str, logs: Path, tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read ahead of it is read again, from where the line begins."""
    for writer in ("x", "y"):
        path = logs / f"{writer}.jsonl"
        path.write_bytes(wrapped(path.read_bytes(), 50))
    voided = []
    is_next = Source.is_next

    def note(self: Source, portion: Portion) -> bool:
        if not (answer := is_next(self, portion)):
            voided.append(portion)
        return answer

    monkeypatch.setattr(Source, "is_next", note)
    here, alone = Worker.here, list[Sequence[Piece]]()

    def note_alone(self: Worker, pieces: Sequence[Piece]) -> worker.Folding:
        alone.append(pieces)
        return here(self, pieces)

    monkeypatch.setattr(Worker, "here", note_alone)
    kept.ingest(database, logs)
    assert 1 <= len(voided) <= 4  # Of each file once: from then on only one batch of it is read ahead.
    assert len(asked) > 2 * len(alone)
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(database)
    assert [(2 * STORIES,)] == kept.query(
        database, "SELECT count(*) FROM agent_executions WHERE status = 'success' AND agent_name IN ('X', 'Y')"
    )
    assert [(1,)] == kept.query(database, "SELECT count(*) FROM tracklog_quarantine WHERE reason LIKE 'not JSON%'")


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_cannot_be_read_for_a_moment_is_read_again(
    sqlite_database: str,
    logs: Path,
    tmp_path: Path,
    asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
    compressed: bool,
) -> None:
    """What was read of it ahead is not noted on top of what is missing."""
    if compressed:
        data = (logs / "x.jsonl").read_bytes()
        (logs / "x.jsonl").unlink()
        (logs / "x.jsonl.gz").write_bytes(gzip.compress(data))
    take, taken, voided = Source.take, list[str](), list[Portion]()

    def fail_once(self: Source, limit: int) -> Portion:
        if "x.jsonl" in self.path:
            taken.append(self.path)
            if len(taken) == 4:
                voided.extend(self._taken)
                raise OSError(5, "Input/output error")
        return take(self, limit)

    async def run() -> Summary:
        patient = dt.timedelta(days=10_000)  # Between the two, executions of long ago seem to be unfinished.
        async with Ingester([logs], sqlite_database, host=kept.HOST, stale_after=patient) as ingester:
            await ingester.run_once()
            return await ingester.run_once()

    with monkeypatch.context() as patched:
        patched.setattr(Source, "take", fail_once)
        asyncio.run(run())
    assert len(taken) > 5
    assert voided
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(sqlite_database)


def test_a_file_that_is_written_over_while_it_is_read_ahead(sqlite_database: str, logs: Path, asked: list[int]) -> None:
    """What was read of the former content is kept, and the new one is read from its beginning."""
    path = logs / "x.jsonl"
    told = dumps(*kept.story("z", [f"z{number}" for number in range(STORIES + 1)]))

    reached: list[int] = []

    async def run() -> None:
        async with Ingester([logs], sqlite_database, host=kept.HOST) as ingester:

            def write_over(_: Summary) -> None:
                ahead_of = next((source._taken for source in ingester._files if source.path == str(path)), None)
                if len(asked) > 3 and ahead_of and not reached:
                    reached.append(ahead_of[-1].chunk.position)
                    with path.open("r+b") as file:
                        file.truncate()
                        file.write(told)

            await ingester.run_once(write_over)

    asyncio.run(run())
    agents = dict(kept.query(sqlite_database, "SELECT agent_name, count(*) FROM agent_executions GROUP BY 1"))
    assert (STORIES, STORIES + 1) == (agents["Y"], agents["Z"])
    assert 0 < agents["X"] < STORIES
    found = kept.query(
        sqlite_database,
        "SELECT position, lines, (SELECT count(*) FROM agent_execution_logs AS l WHERE l.source_id = s.source_id)"
        " FROM tracklog_sources AS s WHERE path LIKE '%x.jsonl' ORDER BY generation",
    )
    assert [*reached, len(told)] == [position for position, _, _ in found]
    assert all(lines == logged for _, lines, logged in found)


def test_each_line_is_counted_once(sqlite_database: str, logs: Path, asked: list[int]) -> None:
    """In the summary as in the positions."""

    async def run() -> Summary:
        async with Ingester([logs], sqlite_database, host=kept.HOST) as ingester:
            return await ingester.run_once()

    summary = asyncio.run(run())
    assert len(asked) > 5
    counted = ((summary.lines, summary.passed, summary.quarantined, summary.bytes_read),)
    assert counted == tuple(
        kept.query(
            sqlite_database,
            "SELECT sum(lines), sum(lines_passed), sum(lines_quarantined), sum(position) FROM tracklog_sources",
        )
    )
    assert len((logs / "x.jsonl").read_bytes().splitlines()) == 6 * STORIES
    assert [(6 * STORIES,)] == kept.query(
        sqlite_database, "SELECT lines FROM tracklog_sources WHERE path LIKE '%x.jsonl'"
    )


@pytest.mark.parametrize(("what", "number"), [("process", 1), ("thread", 1), ("thread", 2), ("thread", 6)])
def test_it_cannot_be_started(
    sqlite_database: str, logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, number: int
) -> None:
    """Where no process can be made, or no thread, one is enough."""

    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable") if what == "process" else RuntimeError(what)

    submit, threads = ThreadPoolExecutor.submit, list[str]()

    def refuse_thread(self: ThreadPoolExecutor, *arguments: Any) -> Any:
        if (name := self._thread_name_prefix or "").startswith("tracklog"):
            threads.append(name)
            if len(threads) == number:
                refuse()
        return submit(self, *arguments)

    with monkeypatch.context() as patched:
        if what == "process":
            patched.setattr(worker, "_start", refuse)
        else:
            patched.setattr(ThreadPoolExecutor, "submit", refuse_thread)
        kept.ingest(sqlite_database, logs)
    assert (what == "thread") == bool(threads)
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(sqlite_database)


def test_until_it_has_started_it_is_not_waited_for(
    sqlite_database: str, logs: Path, tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where it never does."""
    idle = [sys.executable, "-c", "import sys; sys.stdin.read()"]

    def start_another() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(idle, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    with monkeypatch.context() as patched:
        patched.setattr(worker, "_start", start_another)
        patched.setattr(Worker, "start", kept.START)
        kept.ingest(sqlite_database, logs)
    assert not asked
    assert without_it(tmp_path, logs, monkeypatch) == kept.contents(sqlite_database)


def many(name: str) -> list[Piece]:
    """Tell of so many executions that they are copied straight in."""
    return [Piece("s", 0, dumps(*kept.story(name, [f"{name}{number}" for number in range(150)])))]


def add(database: str, name: str) -> None:
    """Have `many` committed as by another ingester."""

    async def run(store: Store) -> None:
        await store.prepare()
        async with store.transaction() as connection:
            await limit_waiting(connection)
            await store.add(connection, fold_pieces(many(name))[1], dt.datetime.now(dt.UTC))

    kept.with_store(database, run)


def told(database: str) -> dict[str, list[dict[str, Any]]]:
    """Give what is there of executions, their lines and calls."""
    return {table: rows for table, rows in kept.contents(database).items() if table.startswith("agent_")}


def told_of(directory: Path, *names: str) -> dict[str, list[dict[str, Any]]]:
    """Give what is there of `many` by some names."""
    database = str(directory / "expected.db")
    for name in names:
        add(database, name)
    return told(database)


def begun(database: str) -> list[tuple[bool]]:
    """Give the transactions that wait for their turn, and whether each has rows of its own."""
    waiting = "datname = current_database() AND state = 'idle in transaction'"
    return kept.query(database, f"SELECT backend_xid IS NOT NULL FROM pg_stat_activity WHERE {waiting}")


def until_begun(database: str, *, rows: bool) -> None:
    """Wait for a transaction that waits for its turn, with rows of its own or without."""
    deadline = time.monotonic() + 30
    while begun(database) != [(rows,)]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.asynccontextmanager
async def put_in_before_its_turn(
    database: str, apart: Set[str] = frozenset()
) -> AsyncIterator[tuple[Worker, worker.Folding]]:
    """Have a process write `x`, and then put `y` in before its turn."""
    store = Store(database, kept.HOST)
    await store.prepare()
    with started(store.beside()) as (one, _):
        assert await (await folded(one, "x")).written(NOTHING) is True
        folding = await folded(one, "y")
        folding.put_in(apart)
        await asyncio.to_thread(until_begun, database, rows=not apart)
        yield one, folding
    await store.close()


async def folded(one: Worker, name: str) -> worker.Folding:
    folding = one.begin(many(name))
    await folding.tallies()
    return folding


def test_what_is_put_in_before_its_turn(postgres_database: str, tmp_path: Path) -> None:
    """It is seen when its turn comes; meanwhile others put in what they have, but who has to be alone waits for it."""

    async def run() -> None:
        async with put_in_before_its_turn(postgres_database) as (_, folding):
            with pytest.raises(TransactionConflictError, match="could not obtain lock"):
                await asyncio.to_thread(
                    kept.execute, postgres_database, "LOCK TABLE tracklog_sources IN EXCLUSIVE MODE NOWAIT"
                )
            await asyncio.to_thread(add, postgres_database, "z")
            seen = await asyncio.to_thread(kept.query, postgres_database, "SELECT execution_id FROM agent_executions")
            assert {"x", "z"} == {execution_id[0] for (execution_id,) in seen}
            assert await folding.written(NOTHING) is True

    asyncio.run(run())
    assert told_of(tmp_path, "x", "y", "z") == told(postgres_database)


def test_what_the_batch_before_is_about_is_not_put_in_before_its_turn(postgres_database: str, tmp_path: Path) -> None:
    """That has to be there first."""

    async def run() -> None:
        async with put_in_before_its_turn(postgres_database, {f"y{number}" for number in range(150)}) as (_, folding):
            assert await folding.written(NOTHING) is True

    asyncio.run(run())
    assert told_of(tmp_path, "x", "y") == told(postgres_database)


def test_another_ingester_brings_what_was_put_in_before_its_turn(postgres_database: str, tmp_path: Path) -> None:
    """It does not wait for long, as it would for a lock; and all is there once."""

    async def run() -> None:
        async with put_in_before_its_turn(postgres_database) as (_, folding):
            began = time.monotonic()
            await asyncio.to_thread(add, postgres_database, "y")
            assert time.monotonic() - began < 20
            assert await folding.written(NOTHING) is True

    asyncio.run(run())
    assert told_of(tmp_path, "x", "y") == told(postgres_database)


def test_it_is_killed_with_what_it_put_in_before_its_turn(postgres_database: str, tmp_path: Path) -> None:
    """Nothing of that is there."""

    async def run() -> None:
        async with put_in_before_its_turn(postgres_database) as (one, folding):
            assert one._process is not None
            one._process.kill()
            assert await folding.written(NOTHING) is None

    asyncio.run(run())
    assert told_of(tmp_path, "x") == told(postgres_database)


def test_what_was_put_in_is_not_wanted_any_more(postgres_database: str, tmp_path: Path) -> None:
    """What is written is what was folded last."""

    async def run() -> None:
        async with put_in_before_its_turn(postgres_database) as (one, _):
            assert await (await folded(one, "z")).written(NOTHING) is True

    asyncio.run(run())
    assert told_of(tmp_path, "x", "z") == told(postgres_database)


def test_after_somebody_was_in_the_way(postgres_database: str) -> None:
    """The next ones are done in their turn only."""

    async def run() -> None:
        async with put_in_before_its_turn(postgres_database) as (one, folding):
            await asyncio.to_thread(add, postgres_database, "y")
            assert await folding.written(NOTHING) is True
            (await folded(one, "z")).put_in(frozenset())
            assert await (await folded(one, "u")).written(NOTHING) is True  # By then it has thought about `z`.
            assert not await asyncio.to_thread(begun, postgres_database)

    asyncio.run(run())


def test_whatever_the_database_isolates_by_default(
    postgres_server: PostgresServer, postgres_database: str, logs: Path, written: list[bool | None]
) -> None:
    """A batch sees what was committed since it was begun."""
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    kept.ingest(postgres_database, logs)
    assert len(written) > 5
    assert all(written)


def test_the_server_ends_connections_that_are_idle(
    postgres_server: PostgresServer, postgres_database: str, logs: Path
) -> None:
    """As that of who has others write all the while; it has a new one for what comes at the end."""
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    postgres_server.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '300ms'")
    batches = []

    def wait_once(summary: Summary) -> None:
        batches.append(summary.lines)
        if len(batches) == 4:
            time.sleep(1)  # So that not even asyncpg knows.

    async def run() -> None:
        async with Ingester([logs], postgres_database, host=kept.HOST) as ingester:
            await ingester.run_once(wait_once)

    asyncio.run(run())
    assert len(batches) > 5
    assert [(0,)] == kept.query(postgres_database, "SELECT count(*) FROM tracklog_dirty_windows")


def test_what_is_not_wanted_any_more_is_in_nobodys_way(nowhere: sqlite.Database) -> None:
    """The answer to the second question is the second answer."""
    pieces = [Piece("s", 0, dumps(*kept.story("w", [f"e{number}"]))) for number in range(2)]

    async def run() -> None:
        with started(nowhere) as (one, _):
            one.begin(pieces[:1])
            assert fold_pieces(pieces[1:]) == await given_back(one.begin(pieces[1:]))

    asyncio.run(run())


def test_it_is_killed_in_the_middle_of_an_answer(nowhere: sqlite.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the tallies: the rows are made here, and are the same."""
    pieces = [Piece("s", 0, dumps(*kept.story("w", [f"e{number}" for number in range(500)])))]
    answer, answers = worker._answer, list[int]()

    def kill_before_the_second(process: "subprocess.Popen[bytes]") -> bytes:
        answers.append(process.pid)
        if len(answers) == 2:
            process.kill()
        return answer(process)

    monkeypatch.setattr(worker, "_answer", kill_before_the_second)
    monkeypatch.setattr(worker, "_PIPE_BYTES", 4096)  # So that the rows do not wait in the pipe.

    async def run() -> None:
        with started(nowhere) as (one, _):
            folding = one.begin(pieces)
            tallies = await folding.tallies()
            assert await folding.written(NOTHING) is None
            assert fold_pieces(pieces) == (tallies, await folding.rows())
            assert one._process is None

    asyncio.run(run())
    assert 2 == len(answers)


def test_it_rests(nowhere: sqlite.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a backlog it goes, with its memory; there is another one for the next backlog."""
    with started(nowhere) as (one, pid):
        one._used_at = time.monotonic()
        one.rest()
        assert not is_gone(pid)
        monkeypatch.setattr(worker, "_IDLE_SECONDS", 0.0)
        one.rest()
        assert is_gone(pid)
        one.start()
        assert one._process is not None


def test_one_that_gave_no_answer_is_done_without_for_some_time(
    nowhere: sqlite.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is another."""
    with started(nowhere) as (one, pid):
        one.give_up()
        assert is_gone(pid)
        one.start()
        assert one._process is None
        monkeypatch.setattr(worker, "_WITHOUT_SECONDS", 0.0)
        one.give_up()
        one.start()
        assert one._process is not None


def test_while_the_database_is_away_there_is_none(sqlite_database: str, tmp_path: Path) -> None:
    """Its connection may be the one that the database has no room for."""

    async def run() -> None:
        async with Ingester([tmp_path], sqlite_database) as ingester:
            for one in ingester._batches._workers:
                one.start()
            there = []

            async def look() -> None:
                there.append([one._process is not None for one in ingester._batches._workers])
                if len(there) == 1:
                    raise DatabaseUnreachableError("too many clients")

            await ingester._store.prepare()
            await ingester._outwait(look, asyncio.Event())
            assert [[True, True], [False, False]] == there

    asyncio.run(run())


def test_it_may_take_its_time_to_start(nowhere: sqlite.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not rest before it has greeted, unless it never does."""
    idle = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    monkeypatch.setattr(worker, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(worker, "_start", lambda: subprocess.Popen(idle, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    monkeypatch.setattr(Worker, "start", kept.START)
    with started(nowhere) as (one, pid):
        one.rest()
        assert not is_gone(pid)
        assert not one.is_ready
        monkeypatch.setattr(worker, "_ANSWER_SECONDS", 0.0)
        one.rest()
        assert is_gone(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_a_whole_group_is_for_who_started_it(nowhere: sqlite.Database, number: int) -> None:
    """It answers on: who asked ends in order, and ends it then."""
    pieces = [Piece("s", 0, dumps(*kept.story("w", ["e"])))]

    async def run() -> None:
        with started(nowhere) as (one, pid):
            await one.begin(pieces).tallies()
            os.kill(pid, number)
            assert fold_pieces(pieces) == await given_back(one.begin(pieces))
            assert not is_gone(pid)

    asyncio.run(run())


def test_it_ends_with_who_started_it() -> None:
    """Also where that was killed."""
    program = (
        "import os, signal; from tracklog.ingester import sqlite; from tracklog.ingester.worker import Worker\n"
        "one = Worker(sqlite.Database('nowhere.db', 30)); one.start()\n"
        "print(one._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert -signal.SIGKILL == done.returncode
    until_gone(int(done.stdout))


def test_it_does_not_outlive_who_started_it_for_a_fork() -> None:
    """A fork has the pipe too; what it asks for goes with the one that was killed."""
    program = (
        "import os, signal, time; from tracklog.ingester import sqlite; from tracklog.ingester.worker import Worker\n"
        "one = Worker(sqlite.Database('nowhere.db', 30)); one.start(); fork = os.fork()\n"
        "if fork == 0: os.close(1); time.sleep(60); os._exit(0)\n"
        "print(one._process.pid, fork, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    pid, fork = map(int, done.stdout.split())
    try:
        until_gone(pid)
        assert not is_gone(fork)
    finally:
        os.kill(fork, signal.SIGKILL)
