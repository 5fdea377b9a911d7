"""Test what people see: on terminals of several widths, and when they interrupt."""

import datetime as dt
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from analytics.commands.terminal import seen
from analytics.stored import Stored, ago
from tracklog.analytics import ExecutionAnalytics
from tracklog.analytics.commands.group import tracklog


@pytest.fixture
def room(tmp_path: Path) -> Stored:
    """Give a database with executions whose ids differ late and whose notes are long."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.ingester()
    stored.executions(
        *(
            {
                "execution_id": f"01934567-{number:04x}-7abc-8def-000000000000",
                "agent_name": "AgentWithARatherLongName",
                "method": "analyze_character",
                "status": "failed",
                "error_type": "ValueError",
                "error_message": "日本語 and much more to be said of it " * 9,
                "duration_ms": 6000.0,
                "created_at": ago(minutes=number),
                "input_data": {"query": "why? " * 99},
            }
            for number in range(9)
        )
    )
    stored.links(
        ("01934567-0000-7abc-8def-000000000000", "01934567-0001-7abc-8def-000000000000"), call_reason="x" * 300
    )
    return stored


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize(
    "command",
    [
        "list",
        "failed",
        "slow",
        "stats",
        "stats --by hour",
        "failed --group",
        "show 01934567-0000",
        "chain 01934567-0000",
        "timeline 01934567-0000",
        "why AgentWithARatherLongName",
    ],
)
def test_lines_fit_the_terminal(room: Stored, width: int, command: str) -> None:
    """Nothing is wider than the terminal, and ids are as short as they are unique."""
    output = seen(width, *command.split(), "--db", room.url)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    lines = [line for line in plain.split("\n") if not line.startswith("→ ")]
    assert [line for line in lines if cell_len(line.rstrip()) > width] == []
    assert "\x1b[" in output
    if command in ("list", "failed", "slow"):
        assert "01934567-0003  " in plain


_STEERING = "\x1b]0;PWNED\x07"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with a database of executions all of whose texts steer a terminal, and with their log."""
    directory = tmp_path_factory.mktemp("hostile")
    lines = []
    for number, status in enumerate(("failed", "skipped", "success"), start=1):
        said = {
            "timestamp": ago(minutes=9 - number).isoformat(),
            "execution_id": f"{status}{_STEERING}",
            "agent_name": f"Agent{_STEERING}",
            "conversation_id": f"room{_STEERING}",
            "method": f"do{_STEERING}",
        }
        for kind, more in (
            (
                "execution.started",
                {"event": "began"} | ({"parent_execution_id": f"failed{_STEERING}"} if number > 1 else {}),
            ),
            ("llm.request", {"event": "asked", "call_id": "c", "model": f"m{_STEERING}", "request": _STEERING}),
            (
                "execution.finished",
                {"status": status, "duration_ms": 9000, "error_type": _STEERING, "error_message": _STEERING},
            ),
        ):
            lines.append(said | {"kind": kind} | more)
    (directory / "app.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    url = str(directory / "x.db")
    assert 0 == CliRunner().invoke(tracklog, ["ingest", "--once", "--db", url, str(directory / "app.jsonl")]).exit_code
    return directory


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (["list"], 0),
        (["failed"], 0),
        (["failed", "--group"], 0),
        (["skipped"], 0),
        (["slow", "--hours", "24"], 0),
        (["stats"], 0),
        (["why", f"Agent{_STEERING}"], 0),
        (["show", "failed"], 0),
        (["timeline", "failed"], 0),
        (["llm", "failed"], 0),
        (["llm", "failed", "--call", "7"], 2),
        (["chain", "failed"], 0),
        (["diff", "failed", "skipped"], 0),
        (["conversation", f"room{_STEERING}"], 0),
        (["lines", "failed"], 0),
        (["watch", "failed"], 1),
        (["grep", "asked", "app.jsonl"], 0),
        (["grep", "-l", "asked", "app.jsonl"], 0),
    ],
)
def test_nothing_that_was_logged_steers_the_terminal(
    hostile: Path, command: list[str], exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not by the commands that are suggested, and by errors."""
    monkeypatch.chdir(hostile)
    output = seen(120, *command, "--db", str(hostile / "x.db"), exit_code=exit_code)
    assert "PWNED" in output
    assert [] == re.findall(r"\x1b(?!\[[0-9;?]*[A-Za-z])|\x07", output)


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_escapes(room: Stored, settings: dict[str, str]) -> None:
    """Who wants no colours, or has none, gets nothing but text, to the width of the terminal."""
    shown = seen(150, "list", "--db", room.url, settings=settings)
    assert "\x1b" not in shown
    assert 140 < max(map(cell_len, shown.split("\n→")[0].splitlines())) <= 150


@pytest.mark.parametrize("columns", ["0", "none"])
def test_no_columns(room: Stored, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS that names no width asks for none: answers have the terminal's, and in a pipe are whole."""
    shown = seen(90, "list", "--db", room.url, settings={"COLUMNS": columns})
    assert 80 < max(map(cell_len, re.sub(r"\x1b\[[0-9;]*m", "", shown).split("\n→")[0].splitlines())) <= 90
    monkeypatch.setenv("COLUMNS", columns)
    assert 120 < max(map(cell_len, CliRunner().invoke(tracklog, ["list", "--db", room.url]).stdout.splitlines()))


def test_columns_in_a_pipe(room: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for a width in a pipe, as `watch` does, gets it; else lines are whole."""
    command = ["list", "--db", room.url]
    assert 120 < max(map(cell_len, CliRunner().invoke(tracklog, command).stdout.splitlines()))
    monkeypatch.setenv("COLUMNS", "90")
    assert 80 < max(map(cell_len, CliRunner().invoke(tracklog, command).stdout.splitlines())) <= 90


def test_the_next_command_is_suggested(room: Stored) -> None:
    """People are told what to ask next, of the same database."""
    assert f"→ tracklog show 01934567-0000 --db {room.url}" in seen(120, "list", "--db", room.url)


@pytest.mark.parametrize("stopped", [None, ago(hours=1)], ids=["silent", "stopped"])
def test_one_clock(tmp_path: Path, stopped: dt.datetime | None) -> None:
    """All times of an answer are on the reader's clock."""
    stored = Stored(f"sqlite:///{tmp_path / 'x.db'}")
    stored.ingester(looked_at=ago(hours=1), stopped_at=stopped)
    shown = seen(200, "why", "Agent", "--db", stored.url, settings={"TZ": "XYZ-5:30"})
    looked = f"{ago(hours=1).astimezone(dt.timezone(dt.timedelta(hours=5.5))):%Y-%m-%d %H:%M:%S}"
    assert 3 == shown.count(looked)
    assert {looked} == set(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown))


def test_an_interruption(room: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with 130, and without a word."""

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ExecutionAnalytics, "get_recent_executions", interrupted)
    result = CliRunner().invoke(tracklog, ["list", "--db", room.url])
    assert (result.exit_code, result.stdout, result.stderr.strip()) == (130, "", "")
