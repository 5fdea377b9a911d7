"""Test the demo as users run it: a room of real processes, one of them killed, and the answers."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from tracklog.analytics import ExecutionAnalytics

STARTED: Final = [sys.executable, "-W", "error", "-c", "from tracklog.analytics.cli import main; main()", "demo"]


def start(directory: Path) -> "subprocess.Popen[str]":
    """Start the demo, with what it writes in one pipe."""
    return subprocess.Popen(
        [*STARTED, "--directory", str(directory)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TRACKLOG_DATABASE_URL": "sqlite:////nowhere/else.db"},
        # Where the tests run in the background, they and their children do without it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def demo(directory: Path) -> tuple[int, str]:
    """Run the demo, and give its exit code and what it wrote."""
    with start(directory) as process:
        written, _ = process.communicate(timeout=120)
    return process.returncode, written


def rows(directory: Path, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database with SQL."""
    with closing(sqlite3.connect(directory / "tracklog.db")) as connection:
        return connection.execute(statement).fetchall()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Give the directory of a demo that ended well, and what it wrote."""
    directory = tmp_path_factory.mktemp("demo")
    code, written = demo(directory)
    assert code == 0, written
    return directory, written


def test_every_kind_of_end(ran: tuple[Path, str]) -> None:
    """Each specialist ends as the story has it, the killed one and the one that never started included."""
    found = rows(ran[0], "SELECT agent_name, status FROM agent_executions WHERE conversation_id = 'storm-night'")
    assert sorted(found) == [
        ("ChapterReader", "success"),
        ("ChapterReader", "success"),
        ("ChapterReader", "success"),
        ("Continuity", "success"),
        ("Editor", "success"),
        ("Lawyer", "pending"),
        ("Proofreader", "crashed"),
        ("Psychologist", "skipped"),
        ("StyleCritic", "failed"),
        ("Timekeeper", "timeout"),
    ]


def test_the_killed_one_names_its_call(ran: tuple[Path, str]) -> None:
    """Of the process that was killed, the call in flight and its request are known."""
    with ExecutionAnalytics(str(ran[0] / "tracklog.db")) as answers:
        result = answers.debug_why_agent_didnt_fire("Proofreader")
        assert result.status == "crashed"
        assert result.call_in_flight.model == "quill-mini"
        calls = answers.get_llm_interactions(result.executions[0].execution_id)
    assert (calls.status, calls.response) == ("unanswered", None)
    assert calls.request["messages"][0]["content"] == "Proofread the text."


def test_the_failure_has_its_traceback(ran: tuple[Path, str]) -> None:
    """The answer that could not be parsed is known by where it was parsed, and is there to be read."""
    with ExecutionAnalytics(str(ran[0] / "tracklog.db")) as answers:
        (failed,) = answers.get_recent_executions(agent_name="StyleCritic")
        calls = answers.get_llm_interactions(failed.execution_id)
    assert (failed.error_type, failed.current_stage) == ("JSONDecodeError", "llm_parse")
    assert "judge_style" in failed.error_traceback
    assert '"Write that' in calls.response["content"]


def test_the_chain_is_complete(ran: tuple[Path, str]) -> None:
    """From the editor all others are reached, also the one in another process and those one level further down."""
    with ExecutionAnalytics(str(ran[0] / "tracklog.db")) as answers:
        editors = answers.get_recent_executions(agent_name="Editor", conversation_id="storm-night")
        chain = answers.get_execution_call_chain(editors[0].execution_id)
    assert sorted((link.depth, link.parent_agent, link.child_agent) for link in chain) == [
        (1, "Editor", "Continuity"),
        (1, "Editor", "Lawyer"),
        (1, "Editor", "Proofreader"),
        (1, "Editor", "Psychologist"),
        (1, "Editor", "StyleCritic"),
        (1, "Editor", "Timekeeper"),
        (2, "Continuity", "ChapterReader"),
        (2, "Continuity", "ChapterReader"),
        (2, "Continuity", "ChapterReader"),
    ]
    assert all(link.call_reason for link in chain)


def test_agents_worked_at_the_same_time(ran: tuple[Path, str]) -> None:
    """The chapters were read at the same time, and the two conversations too."""
    readers = rows(ran[0], "SELECT started_at, completed_at FROM agent_executions WHERE agent_name = 'ChapterReader'")
    assert max(started for started, _ in readers) < min(completed for _, completed in readers)


def test_no_line_is_lost(ran: tuple[Path, str]) -> None:
    """Each line of each of the three processes is in the database."""
    logs = sorted((ran[0] / "logs").iterdir())
    assert ["editor", "editor", "proofreader"] == [path.name.partition(".")[0] for path in logs]
    seen = rows(ran[0], "SELECT seen FROM tracklog_writers")
    lines = sorted(len(path.read_bytes().splitlines()) for path in logs)
    assert sorted(f"[[1,{count}]]" for count in lines) == sorted(ranges.replace(" ", "") for (ranges,) in seen)
    assert rows(ran[0], "SELECT count(*) FROM tracklog_quarantine") == [(0,)]


def test_the_answers_stand_below_their_commands(ran: tuple[Path, str]) -> None:
    """Each question is shown as the command that answers it, in an order that tells the story."""
    directory, written = ran
    commands = re.findall(r"^\$ tracklog (\w+)(?: (\w+))?.* --db (\S+)$", written, re.MULTILINE)
    assert ["list", "why", "why", "why", "failed", "show", "chain", "stats"] == [name for name, *_ in commands]
    assert ["Psychologist", "Proofreader", "Historian"] == [agent for name, agent, _ in commands if name == "why"]
    assert {str(directory / "tracklog.db")} == {database for *_, database in commands}
    for answer in (
        "skipped  Psychologist was invoked but skipped",
        "crashed  Proofreader was invoked but its process died in stage llm_call, waiting for quill-mini",
        "never invoked  Historian was never invoked in conversation storm-night\n",
        "JSONDecodeError",
        "LLM call 1  quill-mini  unanswered",
        "│   ├── ChapterReader",
    ):
        assert answer in written
    assert f"left in {directory}" in written
    assert "Traceback" not in written
    assert "\x1b" not in written


def test_a_second_run_starts_afresh(ran: tuple[Path, str]) -> None:
    """Into the same directory the demo runs again, and nothing of the first run is left."""
    directory = ran[0]
    before = {path.name for path in (directory / "logs").iterdir()}
    code, written = demo(directory)
    assert code == 0, written
    assert not before & {path.name for path in (directory / "logs").iterdir()}
    assert rows(directory, "SELECT count(*) FROM agent_executions WHERE agent_name = 'Editor'") == [(2,)]


@pytest.mark.parametrize("name", ["notes.txt", "tracklog.db", "logs/mine.jsonl"])
def test_a_foreign_directory_is_refused(tmp_path: Path, name: str) -> None:
    """A directory that no demo made is left as it is, also if it looks like one of ours."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    code, written = demo(tmp_path)
    assert (code, written.count("\n")) == (1, 1)
    assert written.startswith(f"tracklog: {tmp_path} is not empty and was not made by the demo")
    assert [tmp_path / name] == [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (tmp_path / name).read_text() == "mine"


def test_what_was_put_beside_a_demo_is_not_removed(tmp_path: Path) -> None:
    """In a directory that a demo made, what it did not make is named, and nothing is removed."""
    (tmp_path / "made-by-tracklog-demo.txt").touch()
    (tmp_path / "tracklog.db").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    code, written = demo(tmp_path)
    assert (code, written.count("\n")) == (1, 1)
    assert written.startswith(f"tracklog: {tmp_path / 'notes.txt'} was not made by the demo")
    assert (tmp_path / "tracklog.db").read_text() == "old"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="asks Linux for the children of a process")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_ends_the_children(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Told to end in the middle, the demo ends its processes first; meanwhile no second one disturbs it."""
    directory = tmp_path / "demo"
    with start(directory) as process:
        until(lambda: (directory / "logs").exists() and any((directory / "logs").iterdir()))
        assert demo(directory) == (
            1,
            f"tracklog: another demo is running in {directory}; name another with --directory\n",
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        written, _ = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in written) == (code, False)
    assert children
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
