"""Test the command line as a process: exit codes, pipes, what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.stored import Stored


def tracklog(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line as users do."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "from tracklog.analytics.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TRACKLOG_DATABASE_URL": "", **environment},
    )


def test_help_lists_the_commands() -> None:
    """The help names each command with what it does."""
    done = tracklog("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("list", "show", "why", "failed", "slow", "stats", "chain", "db"):
        assert f"\n  {command} " in done.stdout


def test_the_version() -> None:
    """The version is that of the distribution."""
    from importlib.metadata import version

    assert tracklog("--version").stdout == f"tracklog {version('tracklog')}\n"


def test_a_pipe_gets_whole_ids_and_no_colours(stored: Stored) -> None:
    """Into a pipe, lines are not cut to a width, ids are whole, and there are no escapes."""
    identity, agent, error = "x" * 128, "A" * 100, "é" * 99
    stored.executions({"execution_id": identity, "agent_name": agent, "status": "failed", "error_message": error})
    done = tracklog("list", "--db", stored.url)
    assert (done.returncode, done.stderr) == (0, "")
    header, row = done.stdout.splitlines()
    assert header.startswith("ID ")
    assert identity in row
    assert agent in row
    assert error in row
    assert "\x1b" not in done.stdout
    assert [line for line in (header, row) if line != line.rstrip()] == []


def test_json_is_one_document(stored: Stored) -> None:
    """With --json, before or after the command, stdout is one JSON document with raw numbers and ISO times."""
    stored.executions({"execution_id": "e1", "duration_ms": 1234.5})
    for arguments in (("--json", "list"), ("list", "--json")):
        (record,) = json.loads(tracklog(*arguments, TRACKLOG_DATABASE_URL=stored.url).stdout)
        assert (record["execution_id"], record["duration_ms"]) == ("e1", 1234.5)
        assert record["created_at"].endswith("Z")


def test_the_database_may_be_named_before_the_command(stored: Stored) -> None:
    """--db stands before or after the command; the one after decides."""
    stored.executions({"execution_id": "e1"})
    assert "e1" in tracklog("--db", stored.url, "list").stdout
    assert "e1" in tracklog("--db", "/nowhere/x.db", "list", "--db", stored.url).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("list", "--db", "/nowhere/x.db"), 5, "tracklog: there is no database at /nowhere/x.db"),
        (("list", "--db", "mysql://x"), 2, "tracklog: tracklog works on SQLite and PostgreSQL"),
        (("list", "--db", "postgresql://me:secret@127.0.0.1:1/x"), 5, "tracklog: the database postgresql://me:***@"),
        (("list", "--db", ":memory:"), 2, "tracklog: a database in memory is gone"),
        (("ingest", "--once", "/nowhere", "--db", ":memory:"), 2, "tracklog: a database in memory is gone"),
        (("db", "upgrade", "--db", ":memory:"), 2, "tracklog: a database in memory is gone"),
        (("db", "current", "--db", "mysql://x"), 2, "tracklog: tracklog works on SQLite and PostgreSQL"),
        (("db", "upgrade", "--db", "sqlite://"), 2, "tracklog: an SQLite database of tracklog is a file"),
        (("db", "current", "--db", "postgresql://me:secret@127.0.0.1:1/x"), 5, "tracklog: the database postgresql://"),
        (("list", "--limit", "none"), 2, "Usage: tracklog list"),
        (("unknown",), 2, "Usage: tracklog"),
        (("slow", "--over", "soon"), 2, "Usage: tracklog slow"),
        (("ingest", "--once", "/nowhere", "--db", "{}"), 3, "tracklog: there is no file or directory /nowhere; name "),
        (("ingest", "--once", "/dev/null", "--db", "{}"), 3, "tracklog: /dev/null is neither a file nor a directory"),
        (("grep", "x", "/dev/null"), 3, "tracklog: /dev/null is neither a file nor a directory"),
        (("tail", "/dev/null"), 3, "tracklog: /dev/null is neither a file nor a directory"),
        (("ingest", "--once", ""), 2, "Usage: tracklog ingest"),
        (("verify", "logs", ""), 2, "Usage: tracklog verify"),
        (("tail", ""), 2, "Usage: tracklog tail"),
        (("list", "--agent", ""), 2, "Usage: tracklog list"),
        (("stats", ""), 2, "Usage: tracklog stats"),
        (("grep", "x", "--vault", ""), 2, "Usage: tracklog grep"),
    ],
)
def test_what_goes_wrong_is_one_line(arguments: tuple[str, ...], code: int, message: str, tmp_path: Path) -> None:
    """Errors are messages on stderr with an exit code, without a traceback and without passwords."""
    done = tracklog(*(argument.format(tmp_path / "x.db") for argument in arguments))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert message.startswith("Usage") or done.stderr.count("\n") == 1


def test_a_reader_that_went_away(tmp_path: Path) -> None:
    """A pipe that is closed early ends the command silently."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.executions(*({"execution_id": f"e{n:05d}", "agent_name": "A" * 200} for n in range(2000)))
    command = f"'{sys.executable}' -c 'from tracklog.analytics.cli import main; main()' list --limit 2000"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TRACKLOG_DATABASE_URL": stored.url},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ID")


def on_a_full_disk(command: str, url: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line by a shell, with what it redirects."""
    main = f"'{sys.executable}' -c 'from tracklog.analytics.cli import main; main()'"
    return subprocess.run(
        ["sh", "-c", f"{main} {command}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TRACKLOG_DATABASE_URL": url},
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "list --help",
        "list",
        "list --json",
        "list --format csv",
        "list --format jsonl",
        "show e1",
        "export e1",
        "sql 'SELECT 1'",
        "doctor",
        "settings",
        "completion bash",
        "annotate <{}",
        "ingest --once {}",
    ],
)
def test_an_answer_to_a_full_disk(tmp_path: Path, command: str) -> None:
    """It is one line and an exit code, whatever was to be written."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.executions({"execution_id": "e1"})
    (log := tmp_path / "a.jsonl").write_text('{"event":"hello","execution_id":"e1"}\n', encoding="utf-8")
    done = on_a_full_disk(f"{command.format(log)} >/dev/full", stored.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "tracklog: the answer cannot be written: No space left on device; make room, or write elsewhere"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
def test_a_file_on_a_full_disk(tmp_path: Path) -> None:
    """It is named."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.executions({"execution_id": "e1"})
    done = tracklog("export", "e1", "-o", "/dev/full", "--db", stored.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "tracklog: /dev/full cannot be written: No space left on device; make room, or write elsewhere\n"
    )


def test_an_error_of_the_system_where_nobody_reads() -> None:
    """It is one line, also where the shell has closed what an answer would go to."""
    code = """
from tracklog.analytics.cli import main
from tracklog.analytics.commands import settings

def fail(_name):
    raise OSError(5, "Input/output error")

settings.setting = fail
main()
"""
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" list >&-', sys.executable, code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (1, "tracklog: what is asked for cannot be read or written: Input/output error\n") == (
        done.returncode,
        done.stderr,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize(
    ("command", "code"), [("list", 0), ("list --db /nowhere/x.db", 5), ("list --unknown", 2), ("ingest --once {}", 0)]
)
def test_messages_to_a_full_disk(tmp_path: Path, command: str, code: int) -> None:
    """They are lost; what was asked for is done, and the exit code is what it is."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    (log := tmp_path / "a.jsonl").write_text('{"event":"hello","execution_id":"e1"}\nno json\n', encoding="utf-8")
    done = on_a_full_disk(f"{command.format(log)} 2>/dev/full", stored.url)
    assert (done.returncode, done.stderr) == (code, "")


def test_another_encoding(tmp_path: Path) -> None:
    """Characters that the output's encoding lacks are written as escapes."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.executions({"execution_id": "e1", "agent_name": "Lektor Œ Ü", "duration_ms": 1.0})
    done = subprocess.run(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "list", "--db", stored.url],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Lektor \\u0152 Ü".encode("latin-1") in done.stdout


def test_without_the_extra() -> None:
    """Where only the processors are installed, the command says what to install."""
    code = "import sys; sys.modules['click'] = None\nfrom tracklog.analytics.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("run: pip install 'tracklog[ingester]'\n")
    assert done.stderr.count("\n") == 1
