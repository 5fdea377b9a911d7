"""Test watching what runs."""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from analytics.commands.terminal import Terminal, seen
from analytics.stored import Stored, lately
from ingester import kept
from ingester.lines import START, dumps, stamped
from tracklog.analytics.commands.group import tracklog
from tracklog.processors.line import Kind

NOW = (dt.datetime.now(dt.UTC) - START).total_seconds()


def line(seq: int, **fields: Any) -> dict[str, Any]:
    """Write a line of an execution that runs now."""
    return stamped("w", seq, at=NOW + seq / 1000, **{"execution_id": "e1", **fields})


STARTED = line(1, agent_name="Critic", kind=Kind.EXECUTION_STARTED)
FINISHED = line(4, kind=Kind.EXECUTION_FINISHED, status="success", duration_ms=5.0)
FAILED = line(4, kind=Kind.EXECUTION_FINISHED, status="failed", error_message="no JSON")


def run(url: str, *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(tracklog, [*arguments, "--db", url])


@pytest.fixture
def logs(database: str, tmp_path: Path) -> Path:
    """Give the logs of an execution that runs, and that are in the database."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.jsonl").write_bytes(dumps(STARTED, line(2, event="reading", stage="prepare")))
    kept.ingest(database, logs)
    return logs


def more(database: str, logs: Path, *lines: dict[str, object]) -> None:
    """Bring more lines into the database."""
    with (logs / "a.jsonl").open("ab") as file:
        file.write(dumps(*lines))
    kept.ingest(database, logs)


def watching(database: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Watch in a process of its own."""
    code = "from tracklog.analytics.cli import main; main()"
    command = [sys.executable, "-c", code, "watch", "--db", database, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def watch(database: str, logs: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Watch the execution, as JSON."""
    process = watching(database, "e1", "--json")
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("end", "code"), [(FINISHED, 0), (FAILED, 1)])
def test_watch_until_the_end(
    database: str, logs: Path, watch: "subprocess.Popen[bytes]", end: dict[str, object], code: int
) -> None:
    """Lines come as they come into the database; the exit code says how it ended."""
    assert watch.stdout is not None
    assert [1, 2] == [json.loads(watch.stdout.readline())["seq"] for _ in range(2)]
    more(database, logs, line(3, event="more"), end)
    *lines, last = map(json.loads, watch.stdout.read().splitlines())
    assert [3, 4] == [one["seq"] for one in lines]
    assert end["status"] == last["execution"]["status"]
    assert code == watch.wait(30)


def test_watch_for_people(database: str, logs: Path) -> None:
    """People read lines as they read them elsewhere, and how it ended."""
    more(database, logs, FAILED)
    result = run(database, "watch", "e1")
    assert 1 == result.exit_code
    _, second, _, last = result.stdout.splitlines()
    assert second.endswith("  prepare  reading")
    assert "Critic  failed  –  no JSON" == last


def test_watch_what_was_called(database: str, logs: Path) -> None:
    """With --tree lines of what it called come too, each with its agent."""
    child = {"execution_id": "e2", "agent_name": "Editor", "parent_execution_id": "e1"}
    more(database, logs, line(3, kind=Kind.EXECUTION_STARTED, **child), FINISHED)
    assert ["Critic", "Critic", "Editor", "Critic", "Critic"] == [
        next(word for word in printed.split() if word in ("Critic", "Editor"))
        for printed in run(database, "watch", "e1", "--tree").stdout.splitlines()
    ]


def test_watch_waits_for_no_database_that_lets_nobody_in(tmp_path: Path) -> None:
    """No ingester makes one of a file that is something else."""
    (tmp_path / "junk.db").write_text("no database, but a long text " * 50, encoding="ascii")
    watch = watching(f"sqlite:///{tmp_path / 'junk.db'}", "e1", "--wait", "--timeout", "60s")
    _, complaint = watch.communicate(timeout=30)
    assert (5, True) == (watch.returncode, b"lets nobody in" in complaint)


def test_watch_waits_for_an_execution(database: str, tmp_path: Path) -> None:
    """With --wait not even the database need be there yet."""
    process = watching(database, "e1", "--wait", "--timeout", "60s")
    logs = tmp_path / "logs"
    logs.mkdir()
    more(database, logs, STARTED, FINISHED)
    stdout, stderr = process.communicate(timeout=60)
    assert (0, b"") == (process.returncode, stderr)
    assert b"Critic  success" in stdout


def test_watch_gives_up(database: str, logs: Path) -> None:
    """After --timeout it ends with 1, and says why."""
    result = run(database, "watch", "e1", "--timeout", "300ms")
    assert (1, "tracklog: e1 has not ended after 300 ms\n") == (result.exit_code, result.stderr)


def test_watch_nothing(database: str, logs: Path) -> None:
    """Without --wait an id that there is not is an error."""
    assert 3 == run(database, "watch", "x").exit_code


def test_watch_on_a_terminal(database: str, logs: Path) -> None:
    """On a terminal its state stands below the lines, and is gone in the end."""
    screen = seen(80, "watch", "e1", "--timeout", "1s", "--db", database, exit_code=1)
    assert "\r\x1b[K" in screen
    assert re.search(r"Critic  \x1b\[[0-9;]*mrunning", screen)
    assert "has not ended after 1.0 s" in screen.rpartition("\x1b[K")[2]


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with something going on."""
    stored.ingester()
    editor = {"agent_name": "Editor", "created_at": lately(minutes=4)}
    stored.executions(
        {
            "execution_id": "r1",
            "agent_name": "Critic",
            "status": "running",
            "current_stage": "llm_call",
            "created_at": lately(minutes=3),
        },
        {"execution_id": "f1", "status": "failed", "error_message": "bad \x1b[2J", **editor},
        *({"execution_id": f"s{number}", "llm_tokens_used": 500, **editor} for number in range(20)),
    )
    return stored.url


def test_top_once(url: str) -> None:
    """In a pipe it is told once: what runs, the agents, and what failed."""
    text = run(url, "top").stdout
    assert "1 running   in 15 min: 22 executions, 1.5/min, 1 failed, 10,000 tokens" in text
    assert re.search(r"^Critic  r1  running  llm_call  3 min", text, re.MULTILINE)
    assert re.search(r"^Editor +21 +1.4 +1 ", text, re.MULTILINE)
    assert re.search(r"^Editor  f1  failed .* bad \\x1b\[2J$", text, re.MULTILINE)
    assert text.index("Editor   ") < text.index("Critic    ")
    assert run(url, "top", "--sort", "slowest").exit_code == 0


def test_top_of_what_has_not_begun(stored: Stored) -> None:
    """What was selected and has not begun does not run."""
    stored.executions({"execution_id": "p1", "status": "pending", "created_at": lately(minutes=1)})
    text = run(stored.url, "top").stdout
    assert "0 running, 1 pending   in 15 min" in text
    assert "Nothing runs." in text


def test_top_once_on_a_terminal(url: str) -> None:
    """Where no key is waited for, none is offered."""
    screen = seen(80, "top", "--once", "--db", url)
    assert "1 running" in re.sub(r"\x1b\[[0-9;]*m", "", screen)
    assert "q quit" not in screen


def test_top_as_json(url: str) -> None:
    """Programs get the answer as it is."""
    answer = json.loads(run(url, "top", "--agent", "Critic", "--json").stdout)
    assert ["r1"] == [row["execution_id"] for row in answer["running"]]
    assert ["Critic"] == [agent["agent_name"] for agent in answer["agents"]]


def test_nothing_goes_on(stored: Stored) -> None:
    """Nothing is said in words."""
    assert "Nothing runs." in run(stored.url, "top").stdout


@pytest.mark.parametrize("width", [40, 80, 200])
def test_top_on_a_terminal(url: str, width: int) -> None:
    """On a terminal it fills the screen, follows keys, and leaves the terminal as it was."""
    terminal = Terminal(width, "top", "--db", url, "--interval", "100ms", height=40)
    terminal.until("sort (runs)")
    terminal.type("s")
    terminal.until("sort (failed)")
    terminal.type("/Crix\x7ftic")
    terminal.until("agent: Critic▁")
    terminal.type("\n")
    terminal.until("in 15 min: 1 execution")
    terminal.type("q")
    screen, code = terminal.end()
    assert 0 == code
    assert "\x1b[?1049l" in screen.rpartition("agent: Critic")[2]
    assert (
        max(map(cell_len, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.replace("\x1b[H", "\n")).splitlines())) <= width
    )


def test_top_is_terminated(url: str) -> None:
    """SIGTERM ends it, and the terminal is left as it was."""
    terminal = Terminal(80, "top", "--db", url)
    before = termios.tcgetattr(terminal.descriptor)
    terminal.until("running")
    assert before != termios.tcgetattr(terminal.descriptor)
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.until("\x1b[?1049l")
    assert 143 == terminal.end()[1]
    assert before == terminal.left
