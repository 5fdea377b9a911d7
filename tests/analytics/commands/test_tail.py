"""Test printing the last lines of all logs, and following them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.commands.searcher import LINES, Searcher, searched
from analytics.commands.terminal import Terminal, seen
from ingester.lines import dumps, stamped


@pytest.fixture
def search(database: str, tmp_path: Path) -> Searcher:
    """Give two executions of which one failed, in a plain and a compressed file."""
    return searched(database, tmp_path)


def numbers(search: Searcher, *arguments: str) -> list[int]:
    """Give the numbers of the lines that are printed."""
    return [answer["log"]["seq"] for answer in search.json("tail", *arguments)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (("-n", "3"), [8, 9, 10]),
        (("-n", "5"), [6, 7, 8, 9, 10]),
        (("-n", "0"), []),
        (("--agent", "Critic"), [2, 4, 9]),
        (("--agent", "Critic", "-n", "2"), [4, 9]),
        (("--status", "failed", "-n", "2"), [7, 8]),
        (("--conversation", "c2"), [2, 4, 9]),
        (("--vault", "none"), []),
        (("--execution", "e1", "-n", "2"), [7, 8]),
        (("--execution", "@last-failed", "-n", "1"), [8]),
        (("--level", "warning"), [4]),
        (("--since", "2026-01-01T10:00:00.008Z"), [8, 9, 10]),
        (("--until", "2026-01-01T10:00:00.003Z"), [1, 2]),
        (("--since", "1h"), []),
    ],
)
def test_the_last_lines(search: Searcher, arguments: tuple[str, ...], expected: list[int]) -> None:
    """The last lines of all files come in the order of their times; filters choose first, then they are counted."""
    assert expected == numbers(search, *arguments)


def test_lines_for_people(search: Searcher) -> None:
    """A line has its time, level, agent, execution, stage and message, and steers no terminal."""
    lines = search.run("tail", "-n", "4").stdout.splitlines()
    assert lines[0].endswith("  info      –  e1  parse  parsing \\x1b[31m")
    assert lines[2].endswith("  –  e2  complete  line  1.5 s")


def test_raw_lines(search: Searcher) -> None:
    """Raw lines are those of the file."""
    assert dumps(*LINES[8:]) == search.run("tail", "--raw", "-n", "2").stdout_bytes


def test_one_colour_for_each_execution(search: Searcher) -> None:
    """On a terminal the lines of an execution have its colour, at their mark and at its id."""
    screen = seen(80, "tail", str(search.logs), settings=search.environment)
    lines = screen.splitlines()
    colours = {one: {line.split("┃")[0] for line in lines if f"{one}   " in line} for one in ("e1", "e2")}
    assert 1 == len(colours["e1"]) == len(colours["e2"])
    assert colours["e1"] != colours["e2"]


@pytest.mark.parametrize(("width", "level"), [(80, "W"), (120, "warning")])
def test_levels_without_colours(search: Searcher, width: int, level: str) -> None:
    """A line's level can be read where there are no colours."""
    screen = seen(width, "tail", "--level", "warning", settings={**search.environment, "NO_COLOR": "1"})
    assert level in screen.split()


def test_an_execution_that_is_not_known(search: Searcher, tmp_path: Path) -> None:
    """Its lines may be in the files already; that the database does not know it is said, and is no failure."""
    assert "no execution has an id that begins with 'none'" in search.run("tail", "--execution", "none").stderr
    late = stamped("w2", 1, execution_id="late", event="not ingested")
    (search.logs / "late.jsonl").write_bytes(dumps(late))
    done = search.run("tail", "--execution", "la", "--raw")
    assert (dumps(late), True) == (done.stdout_bytes, "begins with 'la'" in done.stderr)


def test_following_an_execution_that_is_not_known(search: Searcher) -> None:
    """Who waits for it is told so; its lines come as they are written."""
    terminal = Terminal(80, "tail", "-f", "--execution", "la", settings=search.environment)
    terminal.until("going on until there is one")
    (search.logs / "late.jsonl").write_bytes(dumps(stamped("w2", 1, execution_id="late", event="at last")))
    terminal.until("at last")
    terminal.type("\x03")
    assert 130 == terminal.end()[1]


def test_an_execution_that_may_be_several(search: Searcher) -> None:
    """Lines of several executions are not those of one, and a whole id is that of one."""
    assert "several executions have ids that begin with 'e'" in search.run("tail", "--execution", "e", code=2).stderr
    (search.logs / "late.jsonl").write_bytes(dumps(stamped("w2", 1, execution_id="e10", event="not ingested")))
    assert "e10" not in search.run("tail", "--execution", "e1").stdout


def test_without_a_database(tmp_path: Path) -> None:
    """Files alone are enough."""
    (tmp_path / "a.jsonl").write_bytes(dumps(*LINES[:2]))
    search = Searcher(f"sqlite:///{tmp_path}/none.db", tmp_path)
    assert [2] == numbers(search, str(tmp_path), "--agent", "Critic")


def test_what_is_not_there(search: Searcher) -> None:
    """A path that is not there is a mistake."""
    assert "there is no file or directory nowhere" in search.run("tail", "nowhere", code=3).stderr


@pytest.fixture
def following(search: Searcher) -> Iterator["subprocess.Popen[bytes]"]:
    """Follow the logs, as JSON."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "tail", "-f", "-n", "1", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, **search.environment},
    )
    yield process
    process.kill()
    process.communicate()


def test_following(search: Searcher, following: "subprocess.Popen[bytes]") -> None:
    """New lines come as they are written; copies bring none again; Ctrl-C ends without a word."""
    assert following.stdout is not None
    assert 10 == json.loads(following.stdout.readline())["log"]["seq"]
    log = search.logs / "a.jsonl"
    with log.open("ab") as file:
        file.write(dumps(stamped("w", 11, event="eleven")))
    assert 11 == json.loads(following.stdout.readline())["log"]["seq"]
    (search.logs / "a.jsonl.1").write_bytes(log.read_bytes())  # As copytruncate does.
    os.truncate(log, 0)
    with log.open("ab") as file:
        file.write(dumps(stamped("w", 12, event="twelve")))
    assert 12 == json.loads(following.stdout.readline())["log"]["seq"]
    following.send_signal(signal.SIGINT)
    assert b"" == following.stdout.read()
    assert 130 == following.wait(30)


def test_a_copy_of_what_was_not_shown(search: Searcher, following: "subprocess.Popen[bytes]") -> None:
    """Lines that were there before come no more, whether they were shown or not."""
    assert following.stdout is not None
    following.stdout.readline()
    copy = (search.logs / "a.jsonl").read_bytes() + dumps(stamped("w", 11, event="eleven"))
    (search.logs / "a.jsonl.1").write_bytes(copy)
    assert 11 == json.loads(following.stdout.readline())["log"]["seq"]
