"""The commands that look after a database: doctor, quarantine, verify, rebuild, prune."""

import datetime as dt
import errno
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert

from conftest import PostgresServer
from ingester import kept
from ingester.lines import dumps, stamped
from tracklog.analytics.commands.group import tracklog
from tracklog.ingester import schema, sqlite
from tracklog.ingester.database import database_url, shown
from tracklog.ingester.store import Store

GOOD = b'{"event":"hello","execution_id":"e1","agent_name":"A"}\n'

ASKING = [
    "ingest {} --once",
    "list",
    "show e1",
    "why A",
    "grep hello",
    "doctor",
    "verify {}",
    "rebuild {}",
    "quarantine list",
    "prune --older-than 1d",
    "db current",
    "db upgrade",
]
"""Commands, in which {} is for the log files, that ask a database or write it."""


class Caretaker:
    """Runs commands on one database, as this host."""

    def __init__(self, database: str, logs: Path) -> None:
        self.database = database
        self.environment = {"TRACKLOG_DATABASE_URL": database, "TRACKLOG_HOST": kept.HOST}
        self.logs = logs

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner(env=self.environment).invoke(tracklog, list(arguments))

    def text(self, *arguments: str, code: int = 0) -> str:
        """Run a command and give what it prints."""
        done = self.run(*arguments)
        assert done.exit_code == code, done.output
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json and give its answer."""
        return json.loads(self.text(*arguments, "--json", code=code))

    def ingest(self) -> None:
        """Read what is there."""
        self.text("ingest", str(self.logs), "--once")


@pytest.fixture
def care(database: str, tmp_path: Path) -> Caretaker:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.jsonl").write_bytes(GOOD)
    return Caretaker(database, logs)


def test_all_is_well(care: Caretaker) -> None:
    """Everything that was written is in the database, and `doctor` says so, of the paths that were ingested."""
    care.ingest()
    assert "Everything that was written is in the database." in care.text("doctor")
    report = care.json("doctor")
    assert report["complete"]
    assert (report["files"]["files"], report["files"]["unread"]) == (1, [])


def test_all_that_the_ingesters_of_a_host_follow(care: Caretaker, tmp_path: Path) -> None:
    """Where each has paths of its own, `doctor` names them, and looks at the files of all."""
    care.ingest()
    more = tmp_path / "more"
    more.mkdir()
    (more / "b.jsonl").write_bytes(GOOD)
    host = {"host": kept.HOST, "version": "0", "pid": 1, "files": 1, "bytes_seen": 1, "bytes_behind": 0}
    now = dt.datetime.now(dt.UTC)

    async def run_beside(store: Store) -> None:
        async with store.transaction() as connection:
            row = {**host, "paths": [str(more)], "started_at": now, "looked_at": now}
            await connection.execute(insert(schema.tracklog_ingesters).values(row))

    kept.with_store(care.database, run_beside)
    shown = " ".join(care.text("doctor", code=4).split())
    assert f"here, {care.logs}: stopped" in shown
    assert f"here, {more}: looked" in shown
    assert "2 files, 110 bytes: 55 bytes of 1 file not in the database" in shown


@pytest.mark.parametrize("command", ["doctor", "verify", "db current", "quarantine list"])
def test_who_only_reads_waits_for_nobody_who_writes(tmp_path: Path, command: str) -> None:
    """A rebuild may hold an SQLite database for minutes."""
    database = tmp_path / "x.db"
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    care = Caretaker(str(database), tmp_path / "a.jsonl")
    care.ingest()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        care.text(*command.split())
        assert time.monotonic() - began < sqlite.BUSY_SECONDS


def test_nothing_was_ever_ingested(care: Caretaker) -> None:
    """A database without an ingester holds nothing of what was written."""
    care.text("db", "upgrade")
    assert "none has ever worked on this database" in care.text("doctor", code=4)
    assert "1 file, 55 bytes: 55 bytes of 1 file not in the database" in care.text("doctor", str(care.logs), code=4)


def test_unread_lines_are_missed(care: Caretaker) -> None:
    """They are named with their file; the beginning of a line is none yet."""
    care.ingest()
    line = b'{"event":"not yet ended","execution_id":"e1"}\n'
    with (care.logs / "a.jsonl").open("ab") as file:
        file.write(line[:15])
    assert "1 file ending within a line" in care.text("doctor")
    with (care.logs / "a.jsonl").open("ab") as file:
        file.write(line[15:] + b'{"half')
    shown = " ".join(care.text("doctor", code=4).split())
    assert f"{care.logs / 'a.jsonl'}: {len(line)} bytes" in shown
    assert "Not everything that was written is in the database." in shown
    care.ingest()
    care.text("doctor")


def test_a_file_that_cannot_be_read_is_missed(care: Caretaker) -> None:
    """What is in it nobody knows."""
    gone = care.logs.parent / "gone.jsonl"
    gone.write_bytes(GOOD)
    care.text("ingest", str(care.logs), str(gone), "--once")
    gone.unlink()
    report = care.json("doctor", code=4)
    assert {str(gone): os.strerror(2)} == report["files"]["unreadable"]


def test_a_path_that_is_not_there(care: Caretaker) -> None:
    """Who names it is told so; nothing was checked."""
    care.ingest()
    done = care.run("doctor", str(care.logs), "nowhere")
    assert (3, "", True) == (done.exit_code, done.stdout, "no file or directory nowhere" in done.stderr)


def test_missing_numbers_are_named(care: Caretaker) -> None:
    """A gap in `seq` is the proof of a loss."""
    lines = [stamped("w", seq, execution_id="e2") for seq in (2, 3, 7, 9)]
    end = stamped("w", 10, kind="writer.closed", lines_written=5, lines_dropped=4, reason="exit")
    (care.logs / "w.jsonl").write_bytes(dumps(*lines, end))
    care.ingest()
    assert "5 lines of 1 of 1 writer missing" in (shown := care.text("doctor", code=4))
    assert "(w): 5, seq 1, 4–6, 8; it could not write 4" in shown
    (gap,) = care.json("doctor", code=4)["losses"]["gaps"]
    assert (gap["lines_missing"], gap["missing"]) == (5, [[1, 1], [4, 6], [8, 8]])


def test_a_line_that_cannot_be_read(care: Caretaker) -> None:
    """It is listed, shown with its escapes written out, tried again, and no longer missed when it was read."""
    path = care.logs / "a.jsonl"
    # So much around it that neither the head nor the tail of the file tell of it.
    path.write_bytes(GOOD * 40 + b'{"event": \x1b[31m"x"}\n' + GOOD * 40)
    care.ingest()
    assert "1 line could not be read" in care.text("doctor", code=4)
    (line,) = care.json("quarantine", "list")["lines"]
    assert (line["line_offset"], line["length"], line["file"]) == (40 * len(GOOD), 19, str(path))
    assert line["id"] in care.text("quarantine", "list")
    shown = care.text("quarantine", "show", line["id"][:6])
    assert '{"event": \\x1b[31m"x"}' in shown
    assert "0 lines could be read now, 1 still cannot be." in care.text("quarantine", "retry")
    with path.open("r+b") as file:
        file.seek(40 * len(GOOD))
        file.write(b'{"execution_id":17}\n')
    assert "1 line could be read now, 0 still cannot be." in care.text("quarantine", "retry")
    assert "Every line could be read." in care.text("quarantine", "list")
    care.text("doctor")


def test_a_compressed_file_that_was_cut_is_missed(care: Caretaker) -> None:
    """As long as it has no end, whoever looks is told so, however often it was read; nothing else is behind."""
    lines = [stamped("w", seq, execution_id=f"x{seq}", event=os.urandom(300).hex()) for seq in range(1, 201)]
    path, whole = care.logs / "w.jsonl.gz", gzip.compress(dumps(*lines))
    path.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        care.ingest()
        files = care.json("doctor", code=4)["files"]
        assert ([], [str(path)]) == (files["unread"], list(files["unreadable"]))
        assert "ends within its compressed stream" in " ".join(care.text("doctor", code=4).split())
    path.write_bytes(whole)
    care.ingest()
    care.text("doctor")


@pytest.mark.parametrize(("command", "code"), [("verify", 4), ("rebuild", 1)])
def test_a_compressed_file_that_was_cut(care: Caretaker, command: str, code: int) -> None:
    """What is missing of it nobody knows; what was read of it once stays."""
    lines = [stamped("w", seq, execution_id=f"x{seq}", event=os.urandom(300).hex()) for seq in range(1, 201)]
    path = care.logs / "w.jsonl.gz"
    path.write_bytes(gzip.compress(dumps(*lines)))
    care.ingest()
    os.truncate(path, path.stat().st_size // 2)
    assert 1 == care.json(command, str(care.logs), code=code)["unreadable"]
    assert 201 == len(kept.query(care.database, "SELECT execution_id FROM agent_executions"))


def test_a_line_that_is_not_in_quarantine(care: Caretaker) -> None:
    """An id that nothing has, and one that several have."""
    (care.logs / "a.jsonl").write_bytes(b"no\nnor this\n")
    care.ingest()
    assert care.run("quarantine", "show", "zzz").exit_code == 3
    done = care.run("quarantine", "show", "")
    assert done.exit_code == 2
    assert "several lines" in done.stderr


def test_verify_and_rebuild(care: Caretaker, database: str) -> None:
    """A difference is code 4 and a sentence; after a rebuild there is none."""
    care.ingest()
    assert "No difference: 1 line of 1 execution in 1 file." in care.text("verify")
    kept.change(database, "agent_executions", "execution_id", "e1", agent_name="B")
    assert "agent_executions has another agent_name of execution e1" in care.text("verify", code=4)
    assert care.json("verify", code=4)["difference"]
    assert "Made 1 execution anew from 1 line of 1 file." in care.text("rebuild")
    assert care.json("verify", str(care.logs)) == {
        "files": 1,
        "lines": 1,
        "executions": 1,
        "unread": 0,
        "elsewhere": 0,
        "pruned": 0,
        "unreadable": 0,
        "difference": None,
    }


@pytest.mark.parametrize(("command", "code"), [("ingest --once", 1), ("verify", 4), ("rebuild", 1)])
def test_a_file_that_cannot_be_read(care: Caretaker, command: str, code: int) -> None:
    """It is named on stderr and counted, and the exit code says that not all was read."""
    care.ingest()
    loop = care.logs / "b.jsonl"
    loop.symlink_to(loop)
    done = care.run(*command.split(), str(care.logs))
    assert (done.exit_code, "1 not readable" in done.stdout) == (code, True)
    complaint, *hints = done.stderr.splitlines()
    assert complaint.startswith(f"tracklog: cannot read {loop}: {os.strerror(errno.ELOOP)}")
    assert all(hint.startswith("→ ") for hint in hints)
    if command != "ingest --once":
        assert care.json(command, code=code)["unreadable"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_told_to_end_it_leaves_nothing_behind(
    care: Caretaker, tmp_path: Path, command: str, number: signal.Signals
) -> None:
    """The second database that it makes is as large as the first, and would fill the disk one day."""
    lines = (stamped("w", seq, execution_id=f"e{seq}", agent_name="A") for seq in range(1, 10_001))
    (care.logs / "b.jsonl").write_bytes(dumps(*lines))
    care.ingest()
    before = care.json("list", "--limit", "20000")
    (temporary := tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **care.environment, "TMPDIR": str(temporary)},
    )
    while not any(temporary.iterdir()) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 128 + number
    assert not any(temporary.iterdir())
    assert care.json("list", "--limit", "20000") == before


def test_rebuild_makes_a_database(care: Caretaker) -> None:
    """From named files, where there is none."""
    assert "Made 1 execution anew" in care.text("rebuild", str(care.logs))
    assert [record["execution_id"] for record in care.json("list")] == ["e1"]


def test_prune(care: Caretaker) -> None:
    """What is old goes, and is not a difference."""
    (care.logs / "old.jsonl").write_bytes(dumps(stamped("w", 1, execution_id="old")))
    care.ingest()
    assert "Removed 1 execution " in care.text("prune", "--older-than", "1d")
    assert [record["execution_id"] for record in care.json("list")] == ["e1"]
    assert care.json("prune", "--older-than", "1d")["executions"] == 0
    assert "1 execution pruned" in care.text("verify")


@pytest.mark.parametrize("command", ["doctor", "verify", "rebuild", "quarantine list", "prune --older-than 1d"])
def test_a_database_that_is_not_there(command: str, tmp_path: Path) -> None:
    """None is made."""
    path = tmp_path / "none.db"
    done = CliRunner().invoke(tracklog, [*command.split(), "--db", str(path)])
    assert done.exit_code == 5
    assert "there is no database" in done.stderr
    assert not path.exists()


@pytest.mark.parametrize("command", ASKING)
def test_a_database_that_lets_nobody_in(command: str, tmp_path: Path, postgres_server: PostgresServer) -> None:
    """All commands say it in the same words: of a server, and of a file that is no database."""
    (logs := tmp_path / "a.jsonl").write_bytes(GOOD)
    (junk := tmp_path / "junk.db").write_text("no database, but a long text " * 50, encoding="ascii")
    for database, reason in (
        (postgres_server.url("nothing_here"), 'database "nothing_here" does not exist; check the URL'),
        (str(junk), "file is not a database; it is another sort of file; name another one"),
    ):
        done = Caretaker(database, logs).run(*command.format(logs).split(), "--db", database)
        assert (done.exit_code, done.stdout) == (5, "")
        assert done.stderr == f"tracklog: the database {shown(database_url(database))} lets nobody in: {reason}\n"


@contextmanager
def closed(directory: Path) -> Iterator[None]:
    """Let nobody enter a directory; root, whom nothing is forbidden, is somebody else meanwhile."""
    directory.chmod(0o000)
    if is_root := os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        directory.chmod(0o700)


@pytest.mark.parametrize("command", ASKING)
def test_a_database_that_is_a_directory(command: str, tmp_path: Path) -> None:
    """All commands say so, and put nothing into it."""
    (directory := tmp_path / "d").mkdir()
    (logs := tmp_path / "a.jsonl").write_bytes(GOOD)
    done = Caretaker(str(directory), logs).run(*command.format(logs).split(), "--db", str(directory))
    assert (done.exit_code, done.stdout) == (5, "")
    said = f"the database sqlite:///{directory} lets nobody in: {os.strerror(errno.EISDIR)}; name a file in it"
    assert done.stderr == f"tracklog: {said}\n"
    assert not any(directory.iterdir())


@pytest.mark.parametrize("command", ASKING)
def test_a_database_in_a_directory_that_may_not_be_entered(command: str, tmp_path: Path) -> None:
    """The system's own word, and what to look at."""
    (directory := tmp_path / "closed").mkdir()
    (logs := tmp_path / "a.jsonl").write_bytes(GOOD)
    care = Caretaker(str(directory / "x.db"), logs)
    care.ingest()
    arguments = command.format(logs).split()
    care.run(*arguments, "--db", str(directory / "x.db"))  # What it imports may not be there for somebody else.
    with closed(directory):
        done = care.run(*arguments, "--db", str(directory / "x.db"))
    assert (done.exit_code, done.stdout) == (5, "")
    assert f"the database sqlite:///{directory / 'x.db'} lets nobody in: " in done.stderr
    assert "check the permissions of the file and of its directory" in done.stderr


def test_without_paths_there_must_have_been_an_ingester(care: Caretaker) -> None:
    """Else nobody knows where the files are."""
    care.text("db", "upgrade")
    for command in ("verify", "rebuild"):
        done = care.run(command)
        assert done.exit_code == 2
        assert "name the log files" in done.stderr
