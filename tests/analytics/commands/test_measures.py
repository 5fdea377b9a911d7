"""Test what is counted on the command line: failures by error, agents by method, model and hour, and the silent."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from analytics.commands.terminal import seen
from analytics.stored import NOW, Stored
from tracklog.analytics.commands.group import tracklog

HOUR = NOW.replace(minute=0, second=0)


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with failures alike in two hours, and one who stayed silent."""
    stored.ingester()
    stored.executions(
        *(
            {
                "execution_id": f"e{number}-123456",
                "agent_name": "Editor\x1b[31m",
                "method": "edit",
                "status": "failed",
                "error_type": "ValueError",
                "error_message": f"no \x1b[2Jchapter {number}",
                "duration_ms": 10.0,
                "created_at": HOUR - dt.timedelta(hours=3 if number else 0),
            }
            for number in range(3)
        ),
        {
            "execution_id": "silent-1234",
            "agent_name": "Critic",
            "status": "skipped",
            "relevance_score": 0.125,
            "relevance_reasoning": "about plot\x1b[2J",
        },
    )
    stored.call("e0-123456", "c1", model="gpt\x1b[31m", latency_ms=5.0, tokens_used=1234)
    return stored.url


def text(url: str, *arguments: str) -> str:
    result = CliRunner().invoke(tracklog, [*arguments, "--db", url])
    assert (0, "") == (result.exit_code, result.stderr)
    assert "\x1b" not in result.stdout
    return result.stdout


def answer(url: str, *arguments: str) -> Any:
    return json.loads(text(url, *arguments, "--json"))


def test_failures_by_error(url: str) -> None:
    """Three failures of one kind are one line, with how many, whose, and one to look at."""
    line = text(url, "failed", "--group").splitlines()[1]
    assert re.match(r" +3  ValueError: no \\x1b\[#Jchapter #  Editor\\x1b\[31m  .*e0-123456$", line)
    assert [3] == [group["executions"] for group in answer(url, "failed", "--group")]
    assert text(url, "failed", "--group", "--agent", "Nobody").startswith("Nothing failed in the last 24 hours.\n")


def test_the_silent(url: str) -> None:
    """Score and reasoning say why."""
    line = text(url, "skipped").splitlines()[1]
    assert ("silent-1234", "Critic", "0.12") == tuple(line.split()[:3])
    assert line.endswith("about plot\\x1b[2J")
    assert ["silent-1234"] == [record["execution_id"] for record in answer(url, "skipped")]
    assert text(url, "skipped", "--agent", "Editor").startswith("No agent stayed silent in the last 24 hours.\n")


def test_stats_by_hour(url: str) -> None:
    """Each hour has a line, and a column of the drawing, also where nothing ran."""
    output = text(url, "stats", "Editor\x1b[31m", "--by", "hour")
    assert "Executions   █  ▄|\n" in output
    assert 2 == len(re.findall(r"^\d{4}-\d\d-\d\d \d\d:00  ", output, re.MULTILINE))
    assert [2, 1] == [report["total_executions"] for report in answer(url, "stats", "--by", "hour", "Editor\x1b[31m")]


def test_stats_by_method_and_model(url: str) -> None:
    """Methods stand below their agents' names; models have the latency of their calls."""
    assert "\nEditor\\x1b[31m.edit     3      0 %  10 ms" in text(url, "stats", "--by", "method")
    assert "\ngpt\\x1b[31m      1    100 %  5.0 ms" in text(url, "stats", "--by", "model")
    assert [1234] == [report["total_tokens"] for report in answer(url, "stats", "--by", "model")]
    assert answer(url, "stats") == answer(url, "stats", "--by", "agent")


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("command", ["failed --group", "skipped", "stats --by hour", "stats --by model"])
def test_on_a_terminal(url: str, width: int, command: str) -> None:
    """Lines fit the terminal."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen(width, *command.split(), "--db", url))
    lines = [line for line in plain.split("\n") if not line.startswith("→ tracklog")]
    assert [] == [line for line in lines if cell_len(line) > width]
    assert "\n→ tracklog " in plain or command == "stats --by model"


@pytest.mark.parametrize("by", ["method", "model", "hour"])
def test_nothing(stored: Stored, by: str) -> None:
    """Nothing to measure is said."""
    assert text(stored.url, "stats", "--by", by).startswith("No ")
    assert [] == answer(stored.url, "stats", "--by", by)
