"""Test showing what was said to language models."""

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from analytics.commands.terminal import seen
from analytics.stored import Stored
from tracklog.analytics.commands.group import tracklog

QUESTION = {"role": "user", "content": "who\x1b[2J knew?"}
ANSWER = {"role": "assistant", "content": "Mara"}
LONG = {"role": "user", "content": "日本語 and more. " * 400}


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with an execution of three calls, the last of which failed."""
    stored.executions({"execution_id": "talker-123", "agent_name": "Talker"}, {"execution_id": "silent-123"})
    stored.call("talker-123", "c1", request={"model": "m", "messages": [QUESTION]}, response=ANSWER)
    stored.call("talker-123", "c2", request={"model": "m", "messages": [QUESTION, ANSWER, LONG]}, response=ANSWER)
    stored.call("talker-123", "c3", request="again", error_type="RateLimitError", error_message="slow down")
    return stored.url


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(tracklog, ["llm", *arguments, "--db", url])


def test_messages(url: str) -> None:
    """Each call has its messages with their roles; what the call before it sent is counted, long ones are cut."""
    output = run(url, "talker").stdout
    assert 'LLM call 1  gpt-5.1  success\n  Request\n    {"model":"m"}\n    user\n      who\\x1b[2J knew?\n' in output
    assert "    … 2 messages as in call 1\n" in output
    assert "more characters, see --full" in output
    assert "LLM call 3  gpt-5.1  failed\n  Request\n    again\n  RateLimitError: slow down" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("request_", [[], {"messages": []}], ids=["a list", "a field"])
def test_no_messages(stored: Stored, request_: Any) -> None:
    """A call that was sent no messages was not sent those of the call before again."""
    stored.executions({"execution_id": "talker-123"})
    for call in ("c1", "c2"):
        stored.call("talker-123", call, request=request_)
    output = run(stored.url, "talker").stdout
    assert 2 == output.count('  Request\n    {"messages":[]}\n')
    assert "as in call" not in output


def test_full_and_one_call(url: str) -> None:
    """With --full nothing is cut or counted; --call chooses one."""
    output = run(url, "talker", "--call", "2", "--full").stdout
    assert str(LONG["content"]).strip() in output
    assert "as in call" not in output
    assert re.findall(r"LLM call \d", output) == ["LLM call 2"]


def test_two_calls_compared(url: str) -> None:
    """--diff gives what one has and the other has not, and says of the rest that it is the same."""
    output = run(url, "talker", "--diff", "1", "2").stdout
    assert "--- call 1\n+++ call 2\n" in output
    assert "+[assistant]\n+Mara\n" in output
    assert "\n\nResponse  the same\n" in output
    answer = json.loads(run(url, "talker", "--diff", "1", "2", "--json").stdout)
    assert ([1, 2], []) == (answer["calls"], answer["response"])
    assert "+Mara" in answer["request"]


def test_a_failed_call_compared(url: str) -> None:
    """--diff says below the title of a failed call what failed; in JSON, as lines that only one has."""
    output = run(url, "talker", "--diff", "1", "3").stdout
    assert "\nLLM call 3  gpt-5.1  failed\n  RateLimitError: slow down\n\nRequest\n" in output
    answer = json.loads(run(url, "talker", "--diff", "1", "3", "--json").stdout)
    assert "+RateLimitError: slow down" == answer["error"][-1]
    assert [] == json.loads(run(url, "talker", "--diff", "1", "2", "--json").stdout)["error"]


def test_json(url: str) -> None:
    """All calls, or one, as they were logged."""
    answer: Any = json.loads(run(url, "talker", "--json").stdout)
    assert ["c1", "c2", "c3"] == [call["call_id"] for call in answer["calls"]]
    assert ANSWER == json.loads(run(url, "talker", "--json", "--call", "1").stdout)["response"]


def test_calls_that_are_not_there(url: str) -> None:
    """A number that no call has is a mistake of usage that says which there are; no calls are an answer."""
    result = run(url, "talker", "--call", "4")
    assert (2, True) == (result.exit_code, "calls 1 to 3" in result.stderr)
    assert 2 == run(url, "talker", "--diff", "1", "9").exit_code
    assert 2 == run(url, "talker", "--diff", "1", "2", "--call", "1").exit_code
    assert (0, "No LLM calls were logged.\n") == (run(url, "silent").exit_code, run(url, "silent").stdout)


@pytest.mark.parametrize("width", [80, 200])
def test_on_a_terminal(url: str, width: int) -> None:
    """Lines fit, and the failed call is what to look at next."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen(width, "llm", "talker", "--db", url))
    lines = [line for line in plain.split("\n") if not line.startswith("→ tracklog")]
    assert [] == [line for line in lines if cell_len(line) > width]
    assert "→ tracklog llm talker-1 --call 3 --full --db" in plain
