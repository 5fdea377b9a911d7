"""Test adding to log lines what became of their executions."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.commands.searcher import LINES, Searcher, searched
from ingester import kept
from ingester.lines import START, dumps, stamped
from tracklog.processors.line import Kind


@pytest.fixture
def search(database: str, tmp_path: Path) -> Searcher:
    """Give two executions of which one failed."""
    return searched(database, tmp_path)


def test_each_line_says_what_became_of_its_execution(search: Searcher) -> None:
    """Line in, line out: what became of the execution, then the line as it came."""
    lines = dumps(LINES[3], LINES[7]).decode().splitlines()
    first, second = search.run("annotate", stdin=dumps(LINES[3], LINES[7])).stdout.splitlines()
    assert ["Critic  success  1.5 s", lines[0]] == [part.strip() for part in first.split("│ ")]
    assert ["Editor  failed  parse  –", lines[1]] == [part.strip() for part in second.split("│ ")]


@pytest.mark.parametrize(
    "line",
    [
        b"plain text",
        b'{"event":"of none"}',
        b"",
        b"[1, 2]",
        b'{"broken',
        "ä\x1b[2J\udcff".encode(errors="surrogateescape"),
    ],
)
def test_other_lines_pass(search: Searcher, line: bytes) -> None:
    """A line of no execution comes out as it went in, byte by byte."""
    assert line + b"\n" == search.run("annotate", stdin=line + b"\n").stdout_bytes


@pytest.mark.parametrize(
    "line",
    [
        "logs/a.jsonl:12:{}",
        "[pod/agents-0/main] {}",
        "2026-11-23T10:00:00.1Z stdout F {}",
        "with a blank: {}",
    ],
)
def test_lines_behind_something(search: Searcher, line: str) -> None:
    """What grep, kubectl and the runtimes of containers put in front is no hindrance, and stays."""
    whole = line.replace("{}", dumps(LINES[3]).decode().strip().replace("{", "{ " if "blank" in line else "{"))
    (printed,) = search.run("annotate", stdin=f"{whole}\n".encode()).stdout.splitlines()
    assert printed.startswith("Critic  success")
    assert printed.endswith(f"│ {whole}")


def test_docker_lines(search: Searcher) -> None:
    """A line within Docker's own JSON belongs to the execution it names."""
    line = json.dumps({"log": dumps(LINES[3]).decode(), "stream": "stdout", "time": "2026-11-23T10:00:00Z"})
    assert search.run("annotate", stdin=f"{line}\n".encode()).stdout.startswith("Critic  success")


def test_what_the_database_has_not(search: Searcher) -> None:
    """A line that was not ingested yet says so, with the agent that it names itself."""
    line = dumps(stamped("x", 1, execution_id="new", agent_name="Novice"))
    assert search.run("annotate", stdin=line).stdout.startswith("Novice  not in the database yet")


def test_what_goes_on(search: Searcher) -> None:
    """An execution that goes on has the stage that it is in."""
    now = (dt.datetime.now(dt.UTC) - START).total_seconds()
    started = {"execution_id": "e3", "agent_name": "Novice", "kind": Kind.EXECUTION_STARTED, "stage": "prepare"}
    line = dumps(stamped("v", 1, at=now, **started))
    (search.logs / "c.jsonl").write_bytes(line)
    kept.ingest(search.environment["TRACKLOG_DATABASE_URL"], search.logs)
    assert search.run("annotate", stdin=line).stdout.startswith("Novice  running  prepare  ")


def test_json(search: Searcher) -> None:
    """Each line becomes an object with its execution, or with none."""
    stdin = dumps(LINES[3]) + b"plain\n" + dumps({"event": "x", "execution": "own", "execution_id": "e1"})
    first, second, third = map(json.loads, search.run("annotate", "--json", stdin=stdin).stdout.splitlines())
    assert ("reading chapter", "success") == (first["event"], first["execution"]["status"])
    assert {"message": "plain", "execution": None} == second
    assert ("own", "failed") == (third["execution"], third["execution_"]["status"])


def test_a_database_that_goes_away(search: Searcher) -> None:
    """Lines pass while it is away, and are annotated once it is back; the exit code says that some were not."""
    database = Path(search.environment["TRACKLOG_DATABASE_URL"].removeprefix("sqlite:///"))
    if not database.exists():
        pytest.skip("the file is taken away, which a server has not")
    process = subprocess.Popen(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "annotate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **search.environment},
    )

    def annotated(line: bytes) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        process.stdin.flush()
        return process.stdout.readline()

    assert annotated(dumps(LINES[0])).startswith(b"Editor  failed")
    hidden = database.rename(database.with_suffix(".away"))
    assert annotated(dumps(LINES[1])).startswith(b"Critic  the database is away")
    hidden.rename(database)
    assert annotated(dumps(LINES[1])).startswith(b"Critic  success")
    _, complaint = process.communicate()
    assert 5 == process.returncode
    assert complaint.startswith(b"tracklog: ")
    assert b"Traceback" not in complaint


def test_lines_come_out_at_once(search: Searcher) -> None:
    """A stream that goes on is annotated while it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "annotate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **search.environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in LINES[:3]:
        process.stdin.write(dumps(line))
        process.stdin.flush()
        assert process.stdout.readline().endswith(dumps(line))
    rest, _ = process.communicate(b"without an end")
    assert b"without an end\n" == rest
    assert 0 == process.returncode


def test_without_a_database(tmp_path: Path) -> None:
    """Without a database there is nothing to add, which is said once, and the lines pass."""
    search = Searcher(f"sqlite:///{tmp_path}/none.db", tmp_path)
    line = dumps(LINES[1])
    done = search.run("annotate", stdin=b"x\n" + line, code=5)
    assert done.stderr.startswith("tracklog: there is no database")
    assert 1 == done.stderr.count("\n")
    plain, noted = done.stdout.splitlines()
    assert "x" == plain
    assert noted.startswith("Critic  the database is away")
    assert noted.endswith(f"│ {line.decode().rstrip()}")
    assert {"message": "x", "execution": None} == json.loads(
        search.run("annotate", "--json", stdin=b"x\n", code=5).stdout
    )


def test_a_database_that_comes(search: Searcher, tmp_path: Path) -> None:
    """Lines pass until it is there, and are annotated from then on."""
    database = tmp_path / "later.db"
    process = subprocess.Popen(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "annotate", "--db", str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **search.environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for expected in (b"Critic  the database is away", b"Critic  success"):
        process.stdin.write(dumps(LINES[1]))
        process.stdin.flush()
        assert process.stdout.readline().startswith(expected)
        kept.ingest(str(database), search.logs)
    _, complaint = process.communicate()
    assert 5 == process.returncode
    assert complaint.startswith(b"tracklog: there is no database")


def test_a_database_that_is_none(tmp_path: Path) -> None:
    """A URL that is wrong is an error of the command, not a database that is away."""
    done = Searcher("mysql://x", tmp_path).run("annotate", stdin=b"x\n", code=2)
    assert "" == done.stdout
    assert done.stderr.startswith("tracklog: tracklog works on SQLite and PostgreSQL")
