"""Several ingesters at once: on the same files, on the same executions, stopped and gone on, behind a pooler."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import PostgresServer
from faults.conftest import Record
from faults.length import LENGTH, long_or_short
from faults.oracle import compare_files, until_read
from faults.processes import Nursery, end, running
from faults.proxy import Proxy
from faults.written import Hand
from tracklog.analytics import ExecutionAnalytics


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Give an empty directory for logs."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


def test_two_follow_the_same_files(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """One of them is stopped now and then, the other goes on, and the first finds that it did."""
    hands = [Hand(f"w{number}", stamped=number % 2 == 0) for number in range(3)]
    chance = random.Random(8)
    with (
        running(nursery, "ingest", logs, "--db", database) as one,
        running(nursery, "ingest", logs, "--db", database) as other,
    ):
        for _ in range(LENGTH or 8):
            stopped = chance.choice((one, other))
            # Of SQLite a process that is stopped in a transaction keeps the lock; so not longer than one waits for it.
            stopped.send(signal.SIGSTOP)
            for hand in hands:
                with (logs / f"{hand.name}.log").open("ab") as file:
                    file.write(hand.lines(200))
            time.sleep(chance.uniform(0, 0.3))
            stopped.send(signal.SIGCONT)
            time.sleep(chance.uniform(0, 0.1))
        until_read(database, logs)
        assert (0, 0) == (end(one), end(other)), one.messages
    record(compare_files(database, logs))


def test_many_write_the_same_executions(
    postgres_server: PostgresServer, postgres_database: str, nursery: Nursery, logs: Path, record: Record
) -> None:
    """Hosts that read different lines of the same executions at once are in each other's way, and never for good."""
    nursery.run("ingest", "--once", logs, "--db", postgres_database)
    hosts = long_or_short(16, 5)
    chance = random.Random(9)
    for number in range(hosts):
        hand = Hand(f"w{number}", chance=random.Random(number))
        (logs / str(number)).mkdir()
        lines = [hand.line(execution_id=f"shared-{chance.randrange(300)}", kind=None) for _ in range(3000)]
        (logs / str(number) / "a.log").write_bytes(b"".join(lines))
    children = [
        nursery.start("ingest", "--once", logs / str(number), "--db", postgres_database, "--host", f"host{number}")
        for number in range(hosts)
    ]
    assert [0] * hosts == [child.wait() for child in children], children[0].messages
    record(compare_files(postgres_database, logs))
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    postgres_server.execute(
        f"DO $$ BEGIN ASSERT (SELECT deadlocks = 0 FROM pg_stat_database WHERE datname = '{name}'); END $$"
    )


@pytest.fixture
def pooled(postgres_server: PostgresServer, postgres_database: str, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a database behind pgbouncer, which gives each transaction another connection."""
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    port = random.Random().randrange(20_000, 30_000)
    settings = tmp_path / "pgbouncer.ini"
    server = Proxy(postgres_server.socket)  # Whose directory is closed to the pooler's user.
    settings.write_text(
        f"[databases]\n{name} = host=127.0.0.1 port={server.port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nserver_reset_query_always = 1\nserver_lifetime = 1\n"
    )
    tmp_path.chmod(0o755)
    for directory in tmp_path.parents[:2]:
        directory.chmod(0o755)
    settings.chmod(0o644)
    process = subprocess.Popen(
        ["pgbouncer", "-u", "nobody", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/{name}"
    finally:
        process.terminate()
        process.wait()
        server.close()


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed")
def test_behind_a_pooler(pooled: str, postgres_database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """Each transaction has another connection of the server's: two ingesters follow, and nothing is amiss."""
    nursery.run("ingest", "--once", logs, "--db", postgres_database)
    hands = [Hand(f"w{number}") for number in range(3)]
    with (
        running(nursery, "ingest", logs, "--db", pooled) as one,
        running(nursery, "ingest", logs, "--db", pooled) as two,
    ):
        for _ in range(LENGTH or 10):
            for hand in hands:
                with (logs / f"{hand.name}.log").open("ab") as file:
                    file.write(hand.lines(50))
            time.sleep(0.1)
        until_read(postgres_database, logs)
        with ExecutionAnalytics(pooled) as analytics:
            for _ in range(20):
                assert analytics.get_recent_executions()
        assert (0, 0) == (end(one), end(two)), one.messages
    record(compare_files(postgres_database, logs))
