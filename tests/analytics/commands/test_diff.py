"""Test comparing two executions on the command line."""

import json
import re

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from analytics.commands.terminal import seen
from analytics.stored import Stored
from tracklog.analytics.commands.group import tracklog


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with an execution that went well, one that did not, and one like the first."""
    stored.executions(
        {"execution_id": "good-1234", "duration_ms": 1000.0, "output_data": "Mara " * 90},
        {"execution_id": "like-1234", "duration_ms": 1001.0, "output_data": "Mara " * 90},
        {
            "execution_id": "evil-1234",
            "duration_ms": 9000.0,
            "status": "failed",
            "error_type": "ValueError",
            "error_message": "no \x1b[2Jtext",
        },
    )
    for name, answer in (("good", "Mara"), ("like", "Mara"), ("evil", "I do not \x1b[31mknow")):
        stored.call(f"{name}-1234", "c", request={"messages": [{"role": "user", "content": "who?"}]}, response=answer)
    return stored.url


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(tracklog, ["diff", *arguments, "--db", url])


def test_the_first_divergence_comes_first(url: str) -> None:
    """What they parted at is shown whole, what differs after it in a table, and whose time."""
    output = run(url, "good", "evil").stdout
    assert (
        "First divergence: LLM call 1, response\n--- a\n+++ b\n@@ -1 +1 @@\n-Mara\n+I do not \\x1b[31mknow\n" in output
    )
    after = output.partition("ALSO DIFFERENT")[2]
    places = [after.index(text) for text in ("output", "ValueError", "no \\x1b[2Jtext", "status", "TIME OF", "+8.0 s")]
    assert sorted(places) == places
    assert "\x1b" not in output


def test_nothing_differs(url: str) -> None:
    """That nothing differs is said, and also that both are the same one."""
    assert "Nothing differs but ids and times.\n" in run(url, "good", "like").stdout
    assert "That is one and the same execution.\n" in run(url, "good", "good").stdout


def test_json(url: str) -> None:
    """The differences are in the JSON, in their order."""
    answer = json.loads(run(url, "good", "evil", "--json").stdout)
    assert ("LLM call 1", "response") == (answer["differences"][0]["what"], answer["differences"][0]["field"])
    assert [] == json.loads(run(url, "good", "like", "--json").stdout)["differences"]


def test_not_there(url: str) -> None:
    """An unknown id is exit code 3."""
    assert 3 == run(url, "good", "nothing").exit_code


@pytest.mark.parametrize("width", [80, 200])
def test_on_a_terminal(url: str, width: int) -> None:
    """Lines fit, and the call at which they parted is what to look at next."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen(width, "diff", "good", "evil", "--db", url))
    lines = [line for line in plain.split("\n") if not line.startswith("→ tracklog")]
    assert [] == [line for line in lines if cell_len(line) > width]
    assert "→ tracklog llm evil-123 --call 1 --db" in plain
