"""Test long answers on a terminal."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.commands.terminal import seen
from analytics.stored import Stored, ago

MARK = "sed s/^/paged:/"
"""A pager that shows it was used."""


IDS = [f"e{number:02}" for number in range(30)]
LIST = ("list", "--limit", "30")


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with thirty executions."""
    stored.ingester()
    stored.executions(
        *(
            {"execution_id": f"e{number:02}", "agent_name": "Critic", "created_at": ago(hours=number)}
            for number in range(30)
        )
    )
    return stored.url


def rows(screen: str) -> list[str]:
    """Give the ids that a screen lists, each with what stands before it in its line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    return re.findall(r"^(?:paged:)?e\d\d\b", plain, re.MULTILINE)


def test_what_fits_is_printed(url: str) -> None:
    """An answer for which the terminal has room is printed straight to it."""
    assert IDS == rows(seen(80, *LIST, "--db", url, height=40, settings={"TRACKLOG_PAGER": MARK}))


def test_what_does_not_fit_is_paged(url: str) -> None:
    """A longer one goes through the pager, whole and in order."""
    screen = seen(80, *LIST, "--db", url, height=20, settings={"TRACKLOG_PAGER": MARK})
    assert [f"paged:{one}" for one in IDS] == rows(screen)


def test_wide_lines_take_more_room(url: str) -> None:
    """Lines that a narrow terminal wraps count as those they become."""
    asked = ("--db", url, *LIST, "--format", "jsonl")
    assert not any(line.startswith("paged:") for line in seen(200, *asked, height=300).splitlines())
    lines = seen(20, *asked, height=60, settings={"TRACKLOG_PAGER": MARK}).splitlines()
    assert 30 == sum(line.startswith("paged:") for line in lines)


@pytest.mark.parametrize(
    ("settings", "used"),
    [
        ({"TRACKLOG_PAGER": MARK, "PAGER": "cat"}, True),
        ({"PAGER": MARK}, True),
        ({"TRACKLOG_PAGER": "", "PAGER": MARK}, False),
        ({"TRACKLOG_PAGER": "cat"}, False),
        ({"TRACKLOG_PAGER": "/no/such/pager"}, False),
        ({"TRACKLOG_PAGER": "sed 'without an end"}, False),
        ({"TRACKLOG_PAGER": MARK, "TERM": "dumb"}, False),
    ],
)
def test_which_pager(url: str, settings: dict[str, str], used: bool) -> None:
    """The environment chooses it; without one that can be started nothing is lost."""
    found = rows(seen(80, *LIST, "--db", url, height=10, settings=settings))
    assert [f"{'paged:' if used else ''}{one}" for one in IDS] == found


def test_no_pager(url: str) -> None:
    """It can be left out once."""
    screen = seen(80, *LIST, "--db", url, "--no-pager", height=10, settings={"TRACKLOG_PAGER": MARK})
    assert "paged:" not in screen


def test_less_keeps_colours(url: str, tmp_path: Path) -> None:
    """`less` is told to show colours and to leave what it showed; its user's own options come first."""
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\ncat > /dev/null\necho "LESS=$LESS"\n')
    pager.chmod(0o755)
    assert "LESS=FRX" in seen(80, *LIST, "--db", url, height=10, settings={"PAGER": str(pager)})
    assert "LESS=-S" in seen(80, *LIST, "--db", url, height=10, settings={"PAGER": str(pager), "LESS": "-S"})


def test_a_pager_that_is_left_early(url: str) -> None:
    """Who has read enough leaves; that is no error."""
    screen = seen(80, *LIST, "--db", url, "--json", height=10, settings={"PAGER": "head -n 1"})
    assert "[\n" == screen


def test_an_error_is_told_after_the_pager(url: str) -> None:
    """An error keeps its message and its exit code."""
    screen = seen(80, "show", "none", "--db", url, height=3, exit_code=3, settings={"PAGER": MARK})
    assert screen.startswith("tracklog: no execution has an id that begins with 'none'")


def test_no_pager_into_a_pipe(url: str) -> None:
    """Where no terminal is, nothing is paged."""
    code = "from tracklog.analytics.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *LIST, "--db", url],
        capture_output=True, text=True, check=True, env={"PAGER": MARK, "LINES": "5"},
    )  # fmt: skip
    assert 31 == len(result.stdout.splitlines())
    assert "paged:" not in result.stdout
