"""Agents that log and rotate, while whatever can be killed is killed."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import PostgresServer
from faults import agents
from faults.conftest import Record
from faults.length import LENGTH, long_or_short
from faults.oracle import Account, compare_files, rows_of, until_begun, until_read
from faults.processes import ENVIRONMENT, SECONDS, Nursery, end, running, until
from faults.proxy import Mode, proxied
from faults.written import Hand
from tracklog.ingester import Ingester, database
from tracklog.ingester.errors import DatabaseUnreachableError

MEGABYTES = 250
"""More than an ingester may ever hold."""

PACKETS = 190
"""More than an ingester sends that reads one small file."""

EACH = long_or_short(1, 3)

AT_ONCE = 40
"""As many ingesters as the server has connections for."""


class Ensemble:
    """Agents with their ledgers."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.logs = directory / "logs"
        self._ledgers = directory / "ledgers"
        self._ledgers.mkdir()
        self._chance = chance
        self._number = 0
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, executions: int, pause: float) -> None:
        """Start another agent."""
        self._number += 1
        name = f"agent{self._number}"
        seed = self._chance.randrange(1 << 30)
        arguments = [self.logs, self._ledgers / name, name, seed, executions, 20_000, pause]
        command = [sys.executable, agents.__file__, *map(str, arguments)]
        self.running.append(subprocess.Popen(command, env=ENVIRONMENT))

    def kill_one(self) -> None:
        """Kill one of them."""
        victim = self._chance.choice(self.running)
        victim.kill()
        victim.wait()
        self.running.remove(victim)

    def wait(self) -> None:
        """Wait until those that are left have ended by themselves."""
        for process in self.running:
            assert 0 == process.wait(120)

    def check(self, database: str) -> None:
        """Compare the ledgers with the rows: what was logged is there once; what was being logged, perhaps."""
        there = Counter(
            (row["data"]["by"], row["data"]["number"])
            for row in rows_of(database, "agent_execution_logs")
            if row["data"] and "number" in row["data"]
        )
        assert [] == [line for line, times in there.items() if times > 1]
        for path in self._ledgers.iterdir():
            entries = path.read_text().split()
            of_agent = {number for name, number in there if name == path.name}
            written = {int(entry[1:]) for entry in entries if entry[0] == "!"}
            begun = {int(entry[1:]) for entry in entries if entry[0] == "?"}
            assert written <= of_agent <= begun, path.name

    def close(self) -> None:
        """End what still runs."""
        for process in self.running:
            process.kill()
            process.wait()


@contextlib.contextmanager
def ensemble(directory: Path, chance: random.Random) -> Iterator[Ensemble]:
    """Have agents for the time of a block."""
    agents_ = Ensemble(directory, chance)
    try:
        yield agents_
    finally:
        agents_.close()


def finish(database: str, nursery: Nursery, those: Ensemble) -> Account:
    """Read the rest, and compare all."""
    nursery.run("ingest", "--once", those.logs, "--db", database)
    those.check(database)
    return compare_files(database, those.logs)


@pytest.mark.parametrize("seed", range(long_or_short(3, 1)))
def test_everything_is_killed_under_load(
    database: str, nursery: Nursery, tmp_path: Path, record: Record, seed: int, request: pytest.FixtureRequest
) -> None:
    """Agents, ingesters and backends are killed at random moments while lines are written and files rotate."""
    print("seed", seed)
    chance = random.Random(seed)
    server = None if database.startswith("sqlite") else request.getfixturevalue("postgres_server")
    kills = 0
    with ensemble(tmp_path, chance) as those:
        for _ in range(3):
            those.start(100_000, 0.002)
        until(those.logs.exists)
        for _ in range(LENGTH // 2 or 4):
            with running(nursery, "ingest", those.logs, "--db", database) as child:
                time.sleep(chance.uniform(0.05, 0.6))
                if server is not None and chance.random() < 0.5:
                    server.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname LIKE 'test%' AND pid <> pg_backend_pid()"
                    )
                    kills += 1
                    time.sleep(chance.uniform(0, 0.4))
                if chance.random() < 0.3:
                    those.kill_one()
                    those.start(100_000, 0.002)
                    kills += 1
                assert child.poll() is None, child.messages
                child.send(signal.SIGKILL)
                assert -signal.SIGKILL == child.wait()
                assert child.kilobytes < MEGABYTES << 10
                kills += 1
        for _ in range(3):
            those.kill_one()
            kills += 1
        record(finish(database, nursery, those), kills=kills)
        unfinished = [row for row in rows_of(database, "agent_executions") if row["line_status"] == "running"]
        assert {"crashed"} >= {row["status"] for row in unfinished}


def test_the_server_crashes_again_and_again(
    postgres_server: PostgresServer, postgres_database: str, nursery: Nursery, tmp_path: Path, record: Record
) -> None:
    """PostgreSQL ends at once in mid-transaction and recovers, while one ingester follows all the time."""
    chance = random.Random(5)
    crashes = LENGTH // 8 or 2
    with (
        ensemble(tmp_path, chance) as those,
        running(
            nursery, "ingest", those.logs, "--db", postgres_database, constants={"ingester:_BACKOFF": [0.05, 0.2]}
        ) as child,
    ):
        for _ in range(2):
            those.start(100_000, 0.001)
        until(those.logs.exists)
        for _ in range(crashes):
            time.sleep(chance.uniform(0.3, 0.8))
            postgres_server.crash()
            time.sleep(chance.uniform(0, 0.3))
            postgres_server.start_again()
        assert child.poll() is None, child.messages
        while those.running:
            those.kill_one()
        until_read(postgres_database, those.logs)
        assert 0 == end(child), child.messages
        assert child.kilobytes < MEGABYTES << 10
        record(finish(postgres_database, nursery, those), kills=crashes + 2)


@pytest.mark.parametrize("mode", [Mode.CUT_BEFORE, Mode.CUT_AFTER])
def test_the_connection_is_cut_at_a_commit(
    postgres_server: PostgresServer,
    postgres_database: str,
    nursery: Nursery,
    tmp_path: Path,
    record: Record,
    mode: Mode,
) -> None:
    """Just before it, or after it was done and before its reply: what may have happened is looked up."""
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    cuts = LENGTH or 3
    with (
        proxied(postgres_server.socket) as proxy,
        ensemble(tmp_path, random.Random(6)) as those,
        running(
            nursery, "ingest", those.logs, "--db", proxy.url(name), constants={"ingester:_BACKOFF": [0.02, 0.1]}
        ) as child,
    ):
        those.start(100_000, 0.002)
        until(those.logs.exists)
        for number in range(1, cuts + 1):
            proxy.mode = mode
            until(lambda number=number: proxy.cut >= number or child.poll() is not None, seconds=20)  # type: ignore[misc]
            assert child.poll() is None, child.messages
            proxy.mode = Mode.PASS
            time.sleep(0.05)
        assert child.poll() is None, child.messages
        those.kill_one()
        until_read(postgres_database, those.logs)
        assert 0 == end(child), child.messages
        record(finish(postgres_database, nursery, those), kills=proxy.cut)


def test_the_connection_is_dead_and_nobody_says_so(
    postgres_server: PostgresServer, postgres_database: str, nursery: Nursery, tmp_path: Path, record: Record
) -> None:
    """Bytes go nowhere, and none come: after its patience the ingester makes a new connection."""
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    with (
        proxied(postgres_server.socket) as proxy,
        ensemble(tmp_path, random.Random(7)) as those,
        running(
            nursery,
            "ingest",
            those.logs,
            "--db",
            proxy.url(name),
            constants={
                "ingester:_BACKOFF": [0.02, 0.1],
                "database:_CONNECT_SECONDS": 1.5,
                "database:_ANSWER_SECONDS": 1.5,
            },
        ) as child,
    ):
        those.start(100_000, 0.002)
        until_begun(postgres_database)
        proxy.mode = Mode.SWALLOW
        time.sleep(3)
        proxy.mode = Mode.PASS
        those.kill_one()
        until_read(postgres_database, those.logs)
        assert 0 == end(child), child.messages
        record(finish(postgres_database, nursery, those), kills=1)


def test_the_connection_dies_after_each_packet(
    postgres_server: PostgresServer,
    postgres_database: str,
    nursery: Nursery,
    tmp_path: Path,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says nothing from some packet on: whichever that is, the ingester waits for its patience and no longer."""
    monkeypatch.setattr(database, "_ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(database, "_CONNECT_SECONDS", 1.0)
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    at_once = asyncio.Semaphore(AT_ONCE)
    (tmp_path / "none").mkdir()
    nursery.run("ingest", "--once", tmp_path / "none", "--db", postgres_database)

    async def is_done(packets: int) -> bool:
        """Ingest a file over a connection that takes so many packets; False if it died on the way."""
        which = f"w{packets}"
        logs = tmp_path / "logs" / which
        logs.mkdir(parents=True)
        (logs / "a.log").write_bytes(Hand(which).lines(3))
        async with at_once, asyncio.timeout(SECONDS):
            with proxied(postgres_server.socket) as proxy:
                proxy.dies_after = packets
                async with Ingester([logs], proxy.url(name), host=which) as ingester:
                    with contextlib.suppress(DatabaseUnreachableError):
                        await ingester.run_once()
                return proxy.dies_after > 0

    async def die() -> list[bool]:
        return await asyncio.gather(*(is_done(packets) for packets in range(1, PACKETS + 1, EACH)))

    done = asyncio.run(die())
    assert not done[0]
    assert done[-1], "an ingester sends more packets than that; count on"
    for logs in sorted((tmp_path / "logs").iterdir()):
        nursery.run("ingest", "--once", logs, "--db", postgres_database, "--host", logs.name)
    record(compare_files(postgres_database, tmp_path / "logs"), kills=done.count(False))
