"""Any sequence of what may happen to log files, to the ingester and to its database, against a model."""

import asyncio
import contextlib
import gzip
import inspect
import itertools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from conftest import PostgresServer
from faults import oracle
from faults.conftest import Record
from faults.failpoints import PLACES, Action, Died, Failpoint, Failpoints
from faults.length import LENGTH
from faults.oracle import Account, Content, Key, compare, compare_positions, read_files, rows_of
from faults.processes import Nursery
from faults.written import Hand
from tracklog.ingester import DatabaseUnreachableError, Ingester, schema
from tracklog.ingester.decode import Event, decode
from tracklog.ingester.ranges import Ranges, add
from tracklog.ingester.store import Store

NAMES = st.sampled_from(["a.jsonl", "b.jsonl", "c.log", "sub/a.jsonl", "sub/deep/d.ndjson", "other"])
HANDS = st.sampled_from(["h0", "h1", "foreign"])
CHANGES = st.sampled_from(
    [
        "append",
        "begin_line",
        "finish_line",
        "rename",
        "copy_and_truncate",
        "truncate",
        "write_anew",
        "delete",
        "compress",
        "link",
    ]
)


class Machine(RuleBasedStateMachine):
    """Files, an ingester and a database, and what must be in it: the lines that were there when it looked."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self.world = world
        self.root = Path(tempfile.mkdtemp(dir=world.directory))
        self.logs = self.root / "logs"
        self.logs.mkdir()
        self.hands = {name: Hand(name, stamped=name != "foreign") for name in ("h0", "h1", "foreign")}
        self.numbers = itertools.count(1)
        self.rests: dict[Path, bytes] = {}
        self.must: dict[Key, Event] = {}
        self.may: dict[Key, Event] = {}
        self.rejected: set[tuple[int, bytes]] = set()
        self.owed: dict[Key, Event] = {}
        """Lines of files that were deleted while the ingester held them."""
        self.held: set[tuple[int, int]] = set()
        self.ingester: Ingester | None = None
        self.runner = asyncio.Runner()
        self.kills = 0

    @initialize()
    def empty(self) -> None:
        """Begin with an empty database."""
        self.url = self.world.empty_database(self.root)

    def note(self) -> None:
        """Note the lines that an ingester may come to see."""
        content = read_files(self.logs)
        self.may.update(keyed(content))

    def is_chimera(self, line: bytes) -> bool:
        """Tell whether a line has the stamp of one and says what another does, as no writer writes it.

        It can be where a file was cut within a line, and the rest of another fits.
        """
        event = decode(line.rstrip(b"\n"), 0)
        if not isinstance(event, Event) or event.execution_id is None:
            return False
        known = self.may.get((event.execution_id, event.writer, event.seq))
        return known is not None and known.fields != event.fields

    def file(self, name: str) -> Path | None:
        path = self.logs / name
        return path if path.is_file() else None

    def put_away(self, path: Path, suffix: str = "") -> Path:
        return path.with_name(f"{path.name}.{next(self.numbers)}{suffix}")

    @rule(name=NAMES, hand=HANDS, count=st.integers(1, 8))
    def append(self, name: str, hand: str, count: int) -> None:
        """Write some lines at the end of a file, which is made if it is not there."""
        path = self.logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(self.hands[hand].lines(count))
        self.note()

    @rule(name=NAMES, hand=HANDS, part=st.floats(0.05, 0.95))
    def begin_line(self, name: str, hand: str, part: float) -> None:
        """Write the beginning of a line."""
        path = self.logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        line = self.hands[hand].line()
        cut = max(1, int(len(line) * part))
        with path.open("ab") as file:
            file.write(line[:cut])
        self.rests[path] = line[cut:]
        self.note()

    @rule(name=NAMES)
    def finish_line(self, name: str) -> None:
        """Write the rest of a line, wherever its beginning is by now."""
        path = self.logs / name
        if path.exists() and path in self.rests:
            rest = self.rests.pop(path)
            begun = path.read_bytes().rpartition(b"\n")[2]
            if self.is_chimera(begun + rest):
                return
            with path.open("ab") as file:
                file.write(rest)
            self.note()

    @rule(name=NAMES)
    def rename(self, name: str) -> None:
        """Rotate a file."""
        if path := self.file(name):
            path.rename(self.put_away(path))

    @rule(name=NAMES)
    def copy_and_truncate(self, name: str) -> None:
        """Rotate as `copytruncate` does, while nobody writes."""
        if path := self.file(name):
            shutil.copyfile(path, self.put_away(path))
            self.note()
            os.truncate(path, 0)

    @rule(name=NAMES, part=st.floats(0, 1))
    def truncate(self, name: str, part: float) -> None:
        """Cut a file anywhere."""
        if path := self.file(name):
            os.truncate(path, int(path.stat().st_size * part))
            self.note()

    @rule(name=NAMES, hand=HANDS)
    def write_anew(self, name: str, hand: str) -> None:
        """Put other lines in the place of a file's, and more of them, before anybody looks."""
        if path := self.file(name):
            size = path.stat().st_size
            lines = self.hands[hand].lines(3)
            while len(lines) < size + 100:
                lines += self.hands[hand].lines(2)
            path.write_bytes(lines)
            self.note()

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        """Delete a file; an ingester that has it open reads it to its end."""
        if path := self.file(name):
            status = path.stat()
            if (status.st_dev, status.st_ino) in self.held and status.st_nlink == 1 and not path.is_symlink():
                self.owed.update(keyed(read_files_at(path)))
            path.unlink()

    @rule(name=NAMES, zstd=st.booleans(), keep=st.booleans())
    def compress(self, name: str, zstd: bool, keep: bool) -> None:
        """Rotate and compress a file; sometimes what it was stays beside it."""
        if path := self.file(name):
            packed = self.put_away(path, ".zst" if zstd else ".gz")
            data = path.read_bytes()
            packed.write_bytes(zstandard.compress(data) if zstd else gzip.compress(data))
            self.note()
            if not keep:
                path.unlink()

    @rule(name=NAMES, symbolic=st.booleans())
    def link(self, name: str, symbolic: bool) -> None:
        """Give a file a second name."""
        if path := self.file(name):
            other = self.put_away(path, ".jsonl")
            if symbolic:
                other.symlink_to(path)
            else:
                os.link(path, other)

    @rule(name=NAMES, year=st.sampled_from([0, 4102444800]))
    def set_time(self, name: str, year: int) -> None:
        """Let a file look as if it was last changed long ago, or will be."""
        if path := self.file(name):
            os.utime(path, (year, year))

    @rule()
    def cut_connections(self) -> None:
        """Cut the database's connections, as when it is started anew."""
        self.world.cut(self.url)

    @rule()
    def look(self) -> None:
        """Let the ingester read all there is, started if none runs; and compare."""
        for _ in range(5):
            with contextlib.suppress(DatabaseUnreachableError):
                self.runner.run(self.started().run_once())
                self.check()
                return
        raise AssertionError("the database did not come back")

    @rule()
    def look_in_vain(self) -> None:
        """Let the ingester look while the database is away."""
        with self.world.away(self.url), contextlib.suppress(DatabaseUnreachableError):
            self.runner.run(self.started().run_once())

    @rule(place=st.sampled_from(PLACES), after=st.booleans(), time=st.integers(1, 6))
    def die(self, place: str, after: bool, time: int) -> None:
        """Kill the ingester at one of its steps, if it comes by."""
        self.world.failpoints.arm(Failpoint(f"{place}{'>' if after else '<'}", time, Action.DIE))
        try:
            self.runner.run(self.started().run_once())
        except (Died, DatabaseUnreachableError):
            self.kills += 1
        finally:
            self.world.failpoints.arm(None)
        self.stop()

    @rule(
        place=st.sampled_from(PLACES),
        after=st.booleans(),
        time=st.integers(1, 6),
        change=CHANGES,
        name=NAMES,
        hand=HANDS,
        part=st.floats(0.05, 0.95),
    )
    def change(self, place: str, after: bool, time: int, change: str, name: str, hand: str, part: float) -> None:
        """Change a file while the ingester is at one of its steps, if it comes by."""
        given = {"name": name, "hand": hand, "part": part, "count": 5, "zstd": after, "keep": False, "symbolic": after}
        method = getattr(self, change)
        wanted = {key: value for key, value in given.items() if key in inspect.signature(method).parameters}
        failpoint = Failpoint(f"{place}{'>' if after else '<'}", time, Action.CALL)
        self.world.failpoints.arm(failpoint, lambda: method(**wanted))
        try:
            with contextlib.suppress(DatabaseUnreachableError):
                self.runner.run(self.started().run_once())
        finally:
            self.world.failpoints.arm(None)
        self.look()

    @rule(place=st.sampled_from(PLACES), time=st.integers(1, 4))
    def kill_another(self, place: str, time: int) -> None:
        """Kill a process that ingests the same files beside the one that runs."""
        failpoint = Failpoint(f"{place}>", time, Action.KILL)
        arguments = ("ingest", "--once", self.logs, "--db", self.url)
        self.kills += self.world.nursery.start(*arguments, failpoint=failpoint).wait() < 0

    @rule()
    def stop(self) -> None:
        """Stop the ingester."""
        if self.ingester is not None:
            self.runner.run(self.ingester.close())
        self.ingester = None
        self.held.clear()
        self.owed.clear()

    def started(self) -> Ingester:
        if self.ingester is None:
            self.ingester = Ingester([self.logs], self.url)
        return self.ingester

    def check(self) -> None:
        """Compare the database with what there was to see."""
        content = read_files(self.logs)
        self.held = set(content.ends)
        self.must.update(keyed(content))
        self.must.update(self.owed)
        self.owed.clear()
        self.may.update(self.must)
        self.rejected |= {(line.length, line.head) for line in content.rejected}
        compare(self.url, list(self.must.values()), besides=self.may.values())
        compare_positions(self.url, content)
        kept = {(row["length"], bytes(row["head"])) for row in rows_of(self.url, "tracklog_quarantine")}
        assert self.rejected <= kept
        seen: dict[str, Ranges] = {}
        for row in rows_of(self.url, "agent_execution_logs"):
            if not row["writer"].startswith("~"):
                add(seen.setdefault(row["writer"], []), row["seq"])
        assert seen == {row["writer"]: row["seen"] for row in rows_of(self.url, "tracklog_writers")}

    def teardown(self) -> None:
        """Look once more, and count."""
        try:
            if hasattr(self, "url"):
                self.look()
                self.world.record(Account(len(self.must), 0, 0), kills=self.kills)
                self.stop()
        finally:
            if self.ingester is not None:
                self.runner.run(self.ingester.close())
            self.runner.close()
            shutil.rmtree(self.root)


def keyed(content: Content) -> dict[Key, Event]:
    """Give the lines of some files by their keys."""
    return oracle.keyed(content.events)


def read_files_at(path: Path) -> Content:
    """Read one file."""
    content = Content()
    oracle.decode_file(content, path)
    return content


class World:
    """What the machine's runs have in common."""

    def __init__(self, directory: Path, nursery: Nursery, record: Record, failpoints: Failpoints) -> None:
        self.directory = directory
        self.nursery = nursery
        self.record = record
        self.failpoints = failpoints

    def empty_database(self, root: Path) -> str:
        """Give an empty database."""
        raise NotImplementedError

    def cut(self, url: str) -> None:
        """Cut its connections."""
        raise NotImplementedError

    @contextlib.contextmanager
    def away(self, url: str) -> Iterator[None]:
        """Let it be away for a while."""
        raise NotImplementedError
        yield


class SQLiteWorld(World):
    """With a file."""

    def empty_database(self, root: Path) -> str:
        """Copy a file with the empty tables."""
        template = self.directory / "template.db"
        if not template.exists():
            asyncio.run(_prepare(f"sqlite:///{template}"))
            with contextlib.closing(sqlite3.connect(template)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(template, root / "tracklog.db")
        return f"sqlite:///{root / 'tracklog.db'}"

    def cut(self, url: str) -> None:
        """Do nothing: a file has no connections to cut."""

    @contextlib.contextmanager
    def away(self, url: str) -> Iterator[None]:
        """Hold the write lock from another connection."""
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")


class PostgresWorld(World):
    """With a server."""

    def __init__(
        self,
        directory: Path,
        nursery: Nursery,
        record: Record,
        failpoints: Failpoints,
        server: PostgresServer,
        url: str,
    ) -> None:
        super().__init__(directory, nursery, record, failpoints)
        self._server = server
        self._url = url
        asyncio.run(_prepare(url))

    def empty_database(self, root: Path) -> str:
        """Empty the tables."""
        tables = ", ".join(schema.metadata.tables)
        self._server.execute(f"TRUNCATE {tables}", database=self._name)
        return self._url

    @property
    def _name(self) -> str:
        return self._url.partition("?")[0].rpartition("/")[2]

    def cut(self, url: str) -> None:
        """End all backends of the database."""
        self._server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'")

    @contextlib.contextmanager
    def away(self, url: str) -> Iterator[None]:
        """Let nobody connect."""
        self._server.execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self.cut(url)
        try:
            yield
        finally:
            self._server.execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")


async def _prepare(url: str) -> None:
    store = Store(url, "machine")
    await store.prepare()
    await store.close()


@pytest.fixture(params=["large", "small"])
def batches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch hold all there is, or a few lines, so that the next one is read and folded ahead."""
    if request.param == "small":
        for name in ("files._BATCH_BYTES", "files._TURN_BYTES", "read._STEP_BYTES"):
            monkeypatch.setattr(f"tracklog.ingester.{name}", 1000)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    nursery: Nursery,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
    batches: None,
) -> World:
    """Give the machine what it works on, on either database."""
    failpoints = Failpoints()
    failpoints.install(monkeypatch.setattr)
    monkeypatch.setattr("tracklog.ingester.sqlite.BUSY_SECONDS", 0.05)
    if request.param == "sqlite":
        return SQLiteWorld(tmp_path, nursery, record, failpoints)
    server = request.getfixturevalue("postgres_server")
    return PostgresWorld(tmp_path, nursery, record, failpoints, server, request.getfixturevalue("postgres_database"))


def test_any_sequence_of_events(world: World) -> None:
    """Whatever happens in whatever order, each line that could be seen is there once, and none that was not written."""

    class There(Machine):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        There,
        settings=settings(
            max_examples=LENGTH or 8,
            stateful_step_count=50 if LENGTH else 25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )
