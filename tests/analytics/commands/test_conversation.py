"""Test showing a conversation."""

import json
import re

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from analytics.commands.terminal import seen
from analytics.stored import Stored, ago
from tracklog.analytics.commands.group import tracklog


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with two conversations."""
    stored.ingester()
    stored.executions(
        {"execution_id": "room-1234", "agent_name": "Room", "conversation_id": "talk-1", "duration_ms": 120_000.0,
         "created_at": ago(minutes=5)},
        {"execution_id": "critic-1234", "agent_name": "Critic\x1b[31m", "conversation_id": "talk-1",
         "status": "skipped", "relevance_reasoning": "about \x1b[2Jplot " * 20, "parent_execution_id": "room-1234",
         "created_at": ago(minutes=4), "duration_ms": 60_000.0},
        {"execution_id": "other-1234", "conversation_id": "talk-2"},
    )  # fmt: skip
    return stored.url


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(tracklog, ["conversation", *arguments, "--db", url])


def test_in_a_pipe(url: str) -> None:
    """Each execution is at its time, below its caller, with what there is to say of it."""
    output = run(url, "talk-1").stdout
    lines = output.splitlines()
    assert "talk-1  2 executions" == lines[0]
    assert "Lasted    2 min" in output
    room, critic = (line for line in lines if "-1234" in line)
    assert room.startswith("+0.0 ms  Room ")
    assert critic.startswith(" +1 min    Critic\\x1b[31m")
    assert ("█" * 24, " " * 12 + "█" * 12) == tuple(re.findall(r"  (\s{12}█+|█+)  ", room + critic))
    assert "about \\x1b[2Jplot" in critic
    assert "\x1b" not in output


def test_json(url: str) -> None:
    """The records have their depths."""
    assert [0, 1] == [record["depth"] for record in json.loads(run(url, "talk-1", "--json").stdout)]


def test_which_conversation(url: str) -> None:
    """An unknown id is exit code 3; one that several begin with is 2, and they are named."""
    assert 3 == run(url, "nothing").exit_code
    result = run(url, "talk")
    assert (2, True) == (result.exit_code, "talk-1, talk-2" in result.stderr)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_on_a_terminal(url: str, width: int) -> None:
    """Lines fit, and why an agent stayed silent is what to ask next."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen(width, "conversation", "talk-1", "--db", url))
    lines = [line for line in plain.split("\n") if not line.startswith("→ tracklog")]
    assert [] == [line for line in lines if cell_len(line) > width]
    assert "--conversation talk-1 --db" in plain


def test_what_ended_badly_is_worth_a_look(stored: Stored) -> None:
    """What failed is suggested before what has not ended, though that came first."""
    stored.executions(
        {"execution_id": "waits-1234", "conversation_id": "c", "status": "pending", "created_at": ago(minutes=5)},
        {"execution_id": "failed-1234", "conversation_id": "c", "status": "failed", "created_at": ago(minutes=4)},
    )
    assert "→ tracklog show failed-1 --db" in re.sub(
        r"\x1b\[[0-9;]*m", "", seen(100, "conversation", "c", "--db", stored.url)
    )
