"""Test answers that are lists: the time that is asked of, the format, and the fields."""

import csv
import io
import json

import pytest
from click.testing import CliRunner, Result

from analytics.stored import NOW, Stored, ago
from tracklog.analytics.answers.executions import FIELDS
from tracklog.analytics.commands.group import tracklog
from tracklog.ingester.schema import tracklog_quarantine


def run(url: str, *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(tracklog, [*arguments, "--db", url])


def text(url: str, *arguments: str) -> str:
    """Give what a command that succeeds prints."""
    result = run(url, *arguments)
    assert (0, "") == (result.exit_code, result.stderr)
    return result.stdout


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with two executions: one an hour old, one two days."""
    stored.ingester()
    stored.executions(
        {
            "execution_id": "new",
            "agent_name": "Wächterin, die Erste",
            "status": "failed",
            "error_type": "ValueError",
            "error_message": 'no "text"\nand \x1b[31mno end',
            "duration_ms": 1234.5,
            "created_at": ago(hours=1),
        },
        {"execution_id": "old", "agent_name": "Critic", "status": "failed", "created_at": ago(hours=48)},
    )
    return stored.url


def test_since_and_until(url: str) -> None:
    """Executions are those that began from the one moment on, and before the other."""
    assert (
        "new\n" == text(url, "failed", "--since", "2h", "--fields", "execution_id", "--format", "csv").split("\n", 1)[1]
    )
    for command in ("list", "failed"):
        ids = [
            json.loads(line)["execution_id"]
            for line in text(url, command, "--until", "1d", "--since", "3d", "--format", "jsonl").splitlines()
        ]
        assert ["old"] == ids


def test_hours_are_counted_back_from_until(url: str) -> None:
    """So many hours before a moment are those before it."""
    for hours, expected in (("36", ["old"]), ("12", [])):
        records = json.loads(text(url, "failed", "--hours", hours, "--until", "1d", "--json"))
        assert expected == [record["execution_id"] for record in records]


@pytest.mark.parametrize("command", ["failed", "skipped", "slow", "stats"])
def test_the_period_is_said(stored: Stored, command: str) -> None:
    """Where there is nothing, the answer says of when."""
    stored.ingester()
    assert " since 2026-11-20 10:00" in text(stored.url, command, "--since", "2026-11-20T10:00")


def test_a_period_is_given_once(url: str) -> None:
    """Two beginnings contradict each other."""
    result = run(url, "failed", "--hours", "2", "--since", "2h")
    assert 2 == result.exit_code
    assert "choose one of --hours and --since" in result.stderr


@pytest.mark.parametrize("command", ["list", "failed", "stats"])
def test_csv(url: str, command: str) -> None:
    """CSV is what readers of CSV take it for, and cannot steer a terminal."""
    printed = text(url, command, "--since", "3d", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert {"Wächterin, die Erste", "Critic"} == {row["agent_name"] for row in rows}
    assert "\x1b" not in printed


def test_csv_cells(url: str) -> None:
    """Cells hold raw numbers, times in UTC, texts as they are, and nothing where there is nothing."""
    (row,) = csv.DictReader(io.StringIO(text(url, "list", "--since", "2h", "--format", "csv")))
    assert "1234.5" == row["duration_ms"]
    assert row["created_at"].endswith("Z")
    assert 'no "text"\nand \\x1b[31mno end' == row["error_message"]
    assert "" == row["relevance_score"]


def test_json_lines(url: str) -> None:
    """Each record is a JSON object on a line of its own."""
    records = [json.loads(line) for line in text(url, "list", "--format", "jsonl").splitlines()]
    assert json.loads(text(url, "list", "--format", "json")) == records


def test_fields(url: str) -> None:
    """Named fields come in their order, also inner ones, in each format."""
    fields = ("stats", "--since", "2h", "--fields", "llm_stats.total_calls,agent_name")
    expected = {"llm_stats.total_calls": 0, "agent_name": "Wächterin, die Erste"}
    assert list(expected.items()) == list(json.loads(text(url, *fields, "--format", "jsonl")).items())
    assert [expected] == json.loads(text(url, *fields, "--json"))
    title, row = text(url, *fields).splitlines()
    assert ["llm_stats.total_calls", "agent_name"] == title.split()
    assert ["0", "Wächterin, die Erste"] == row.split(maxsplit=1)


def test_one_agent_in_fields(url: str) -> None:
    """The measures of one agent are a list of one where fields or lines are asked for."""
    assert "total_executions\n1\n" == text(
        url, "stats", "Critic", "--since", "3d", "--format", "csv", "--fields", "total_executions"
    )


def test_an_unknown_field(url: str) -> None:
    """A field that no record has is a mistake, and the fields there are are named."""
    result = run(url, "list", "--fields", "agent,status")
    assert 2 == result.exit_code
    assert "there is no field 'agent'" in result.stderr
    # What is within a field differs from record to record.
    assert "execution_id,input_data.never\n" in text(
        url, "list", "--format", "csv", "--fields", "execution_id,input_data.never"
    )
    assert "agent_name" in result.stderr


def test_one_format(url: str) -> None:
    """Two formats contradict each other."""
    result = run(url, "list", "--json", "--format", "csv")
    assert 2 == result.exit_code
    assert "choose one of --json and --format" in result.stderr


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "table"])
def test_nothing_in_each_format(stored: Stored, form: str) -> None:
    """Where there is nothing, programs read an empty list, no lines, or a head without rows; people, a sentence."""
    head = f"{','.join(FIELDS)}\n"
    expected = {"json": "[]\n", "jsonl": "", "csv": head, "table": "No executions yet.\n"}
    assert expected[form] == text(stored.url, "list", "--format", form)


@pytest.mark.parametrize(
    ("command", "nothing"),
    [
        ("list", "--agent=Nobody"),
        ("failed", "--agent=Nobody"),
        ("failed --group", "--agent=Nobody"),
        ("skipped", "--agent=Nobody"),
        ("slow", "--agent=Nobody"),
        ("stats", "--vault=none"),
        ("stats --by method", "--vault=none"),
        ("stats --by hour", "--vault=none"),
        ("stats --by model", "--vault=none"),
        ("sql", "SELECT execution_id AS a, agent_name AS a FROM agent_executions WHERE false"),
    ],
)
def test_the_head_of_csv_without_rows(stored: Stored, command: str, nothing: str) -> None:
    """Programs read the same columns from an answer that has no rows as from one that has."""
    stored.executions(
        *(
            {"execution_id": status, "agent_name": "A", "duration_ms": 9000.0, "status": status}
            for status in ("failed", "skipped")
        )
    )
    stored.call("failed", "c1")
    some = [nothing.replace("WHERE false", "")] if command == "sql" else []
    every = text(stored.url, *command.split(), *some, "--format", "csv").splitlines()
    assert 1 < len(every)
    assert every[:1] == text(stored.url, *command.split(), nothing, "--format", "csv").splitlines()


def test_the_head_of_csv_where_every_line_could_be_read(stored: Stored) -> None:
    """Of no line that could not be read a program learns what there would be to know."""
    command = ("quarantine", "list", "--format", "csv")
    before = text(stored.url, *command)
    stored.source()
    line = {"line_offset": 1, "length": 2, "reason": "no JSON", "head": b"{", "quarantined_at": NOW}
    stored.insert(tracklog_quarantine, {"source_id": "source", **line})
    head, row = text(stored.url, *command).splitlines()
    assert (f"{head}\n", "source:1") == (before, row.split(",")[0])
