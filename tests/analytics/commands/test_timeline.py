"""Test drawing where time went."""

import datetime as dt
import json
import re

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from analytics.commands.terminal import seen
from analytics.stored import NOW, Stored
from tracklog.analytics.commands import timeline
from tracklog.analytics.commands.group import tracklog


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with an execution that called another, which waited for a model."""

    def at(milliseconds: float) -> dt.datetime:
        return NOW + dt.timedelta(milliseconds=milliseconds)

    def run(name: str, start: float, end: float) -> dict[str, object]:
        times = {"created_at": at(start), "started_at": at(start), "completed_at": at(end), "duration_ms": end - start}
        return {"execution_id": f"{name}-1234567", "agent_name": f"{name}\x1b[31m", **times}

    stored.executions(run("root", 0, 1000), run("child", 100, 900), run("aside", 100, 200))
    stored.links(("root-1234567", "child-1234567"), ("root-1234567", "aside-1234567"))
    stored.call("child-1234567", "c1", started_at=at(200), completed_at=at(800), latency_ms=600.0)
    return stored.url


def test_in_a_pipe(url: str) -> None:
    """Bars are in proportion, the critical path has its own sign, and the text is plain."""
    result = CliRunner().invoke(tracklog, ["timeline", "root", "--db", url])
    assert (0, "") == (result.exit_code, result.stderr)
    lines = result.stdout.splitlines()
    assert [("█", 60), ("█", 48), ("█", 36), ("░", 6)] == [
        (line[-1], len(re.findall("[█░]", line))) for line in lines[2:6]
    ]
    assert lines[4].startswith("    llm gpt-5.1")
    assert "+200 ms  600 ms" in lines[4]
    assert "600 ms (60.0 %) went to gpt-5.1 for child\\x1b[31m" in result.stdout
    assert "\x1b" not in result.stdout


def test_each_name_is_told_once(stored: Stored) -> None:
    """What took of the critical path under one name is told together."""
    times = {"started_at": NOW, "completed_at": NOW + dt.timedelta(seconds=1), "duration_ms": 1000.0}
    stored.executions({"execution_id": "root-1234567", "agent_name": "Root", **times})
    for call, end in (("c1", 300), ("c2", 700), ("c3", 1000)):
        began, ended = (NOW + dt.timedelta(milliseconds=time) for time in (end - 250, end))
        stored.call("root-1234567", call, started_at=began, completed_at=ended, latency_ms=250.0)
    told = CliRunner().invoke(tracklog, ["timeline", "root", "--db", stored.url]).stdout.splitlines()[-1]
    assert (
        "Of the critical path 750 ms (75.0 %) went to gpt-5.1 for Root (3 times), "
        "250 ms (25.0 %) went to Root itself." == told
    )


def test_depth(url: str) -> None:
    """What is deeper than wanted is counted."""
    output = CliRunner().invoke(tracklog, ["timeline", "root", "--depth", "1", "--db", url]).stdout
    assert "1 deeper span not drawn." in output
    assert "llm gpt-5.1" not in output


def test_very_many(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among very many, what took the most of the critical path is drawn, in its order; --full draws all."""
    monkeypatch.setattr(timeline, "_SPANS", 2)
    output = CliRunner().invoke(tracklog, ["timeline", "root", "--db", url]).stdout
    assert "2 shorter spans not drawn, see --full." in output
    assert "llm gpt-5.1" in output
    assert "aside" not in output
    assert "aside" in CliRunner().invoke(tracklog, ["timeline", "root", "--full", "--db", url]).stdout


def test_json(url: str) -> None:
    """All spans are in the JSON, with raw numbers."""
    answer = json.loads(CliRunner().invoke(tracklog, ["timeline", "root", "--json", "--db", url]).stdout)
    assert [0, 1, 2, 1] == [span["depth"] for span in answer["spans"]]
    assert 600.0 == answer["spans"][2]["duration_ms"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_on_a_terminal(url: str, width: int) -> None:
    """The drawing takes the terminal's width and no more, and the slowest step is the next to look at."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen(width, "timeline", "root", "--db", url))
    lines = [line for line in plain.split("\n") if not line.startswith("→ ")]
    assert [] == [line for line in lines if cell_len(line) > width]
    assert width == cell_len(lines[2])
    assert "→ tracklog llm child-12 --db" in plain


def test_not_there(url: str) -> None:
    """An unknown id is exit code 3."""
    assert 3 == CliRunner().invoke(tracklog, ["timeline", "nothing", "--db", url]).exit_code
