"""Test the commands: what each prints, as a table and as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analytics.stored import Stored, ago
from ingester.lines import dumps, stamped
from tracklog.analytics.answers.executions import SORTS
from tracklog.analytics.commands.group import COMMANDS, tracklog


class Asker:
    """Runs commands on one database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def run(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(tracklog, ["--db", self._url, *arguments])

    def text(self, *arguments: str) -> str:
        """Give what a command that succeeds prints."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """Give what a command that succeeds answers in JSON."""
        return json.loads(self.text(*arguments, "--json"))


@pytest.fixture
def ask(stored: Stored) -> Asker:
    """Run commands on the test's database."""
    return Asker(stored.url)


@pytest.fixture
def room(stored: Stored) -> Stored:
    """Give a database with a conversation of four agents."""
    stored.ingester()
    stored.executions(
        {
            "execution_id": "orchestrator-1",
            "agent_name": "Orchestrator",
            "method": "run",
            "conversation_id": "c1",
            "vault_id": "v1",
            "duration_ms": 8123.4,
            "input_data": {"query": "who knew?"},
            "output_data": "Mara",
            "created_at": ago(minutes=9),
            "llm_calls": 1,
            "llm_tokens_used": 1234,
            "llm_latency_ms": 3000.0,
        },
        {
            "execution_id": "critic-1",
            "agent_name": "Critic",
            "conversation_id": "c1",
            "status": "skipped",
            "should_respond": False,
            "relevance_score": 0.3,
            "relevance_reasoning": "about plot",
            "parent_execution_id": "orchestrator-1",
            "created_at": ago(minutes=8),
        },
        {
            "execution_id": "editor-1",
            "agent_name": "Editor",
            "conversation_id": "c1",
            "status": "failed",
            "error_type": "ValueError",
            "error_message": "no \x1b[31mtext",
            "error_traceback": "Traceback (most recent call last):\nValueError: no text",
            "current_stage": "llm_parse",
            "duration_ms": 20.0,
            "created_at": ago(minutes=7),
        },
    )
    stored.crashed("editor-2", agent_name="Editor", current_stage="llm_call", created_at=ago(minutes=6))
    stored.call("editor-2", "c1", answered=False, model="gpt-5.1")
    stored.call("orchestrator-1", "c1", request={"q": "who"}, response={"a": "Mara"}, tokens_used=1234)
    stored.links(("orchestrator-1", "critic-1"), ("critic-1", "editor-1"), call_reason="style question")
    return stored


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help(command: str) -> None:
    """Each command can be loaded, and its help says what it is for."""
    result = CliRunner().invoke(tracklog, [command, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: tracklog {command}")


@pytest.mark.parametrize("command", ["list", "failed", "skipped", "slow"])
def test_an_agent_that_is_not_there(room: Stored, ask: Asker, command: str) -> None:
    """A list that is empty since no agent has the name tells which may have been meant."""
    assert "\nDid you mean Critic?\n" in ask.text(command, "--agent", "Critic.run_it_all")
    assert "Did you mean" not in ask.text(command, "--agent", "Critic", "--vault", "none")


def test_examples_in_help_stand_on_lines_of_their_own() -> None:
    """What can be copied from the help is not filled up to paragraphs."""
    lines = CliRunner().invoke(tracklog, ["annotate", "--help"]).stdout.splitlines()
    assert "kubectl logs my-pod | tracklog annotate" in map(str.strip, lines)


def test_list(room: Stored, ask: Asker) -> None:
    """`list` has the newest first, with how long each took and what there is to say of it."""
    lines = ask.text("list").splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "editor-2", "editor-1", "critic-1", "orchestrator-1"]
    assert "8.1 s" in lines[4]
    assert "about plot" in lines[3]
    assert [record["execution_id"] for record in ask.json("list", "--agent", "Editor", "--limit", "1")] == ["editor-2"]
    assert [record["execution_id"] for record in ask.json("list", "--status", "skipped")] == ["critic-1"]
    assert [record["execution_id"] for record in ask.json("list", "--vault", "v1")] == ["orchestrator-1"]
    assert ask.json("list", "--hours", "0") == []
    assert ask.json("list", "--sort", "oldest") == ask.json("list")[::-1]


def test_list_has_every_order(ask: Asker, room: Stored) -> None:
    """The orders are named twice, since to import those of the answers takes longer than help may."""
    for sort in SORTS:
        assert len(ask.json("list")) == len(ask.json("list", "--sort", sort))
    result = CliRunner().invoke(tracklog, ["list", "--sort", "none"])
    assert f"is not one of {', '.join(map(repr, SORTS))}." in " ".join(result.stderr.split())


def test_an_empty_answer_is_an_answer(stored: Stored, ask: Asker) -> None:
    """Nothing found is said in words, in JSON as nothing, and is no failure."""
    assert ask.text("list") == "No executions yet.\n"
    assert ask.text("list", "--agent", "Nobody") == "No executions match.\n"
    never = "\nNothing was ever ingested into this database.\n"
    assert ask.text("failed") == "Nothing failed in the last 24 hours.\n" + never
    assert ask.text("slow", "--over", "2min") == "Nothing took longer than 2 min in the last 24 hours.\n"
    assert ask.text("stats") == "No executions in the last 24 hours.\n" + never
    assert [ask.json(command) for command in ("list", "failed", "slow", "stats")] == [[], [], [], []]


def test_control_characters_are_written_out(room: Stored, ask: Asker) -> None:
    """What a log line holds cannot steer a terminal."""
    for command in (("list",), ("failed",), ("show", "editor-1"), ("why", "Editor")):
        output = ask.text(*command)
        assert "no \\x1b[31mtext" in output
        assert "\x1b" not in output


def test_failed(room: Stored, ask: Asker) -> None:
    """`failed` names the stage and the error, also of what crashed."""
    lines = ask.text("failed").splitlines()
    assert lines[-2] == ""
    assert lines[-1].startswith("Ingested as of ")
    assert [line.split()[:4] for line in lines[1:-2]] == [
        ["editor-2", "Editor", "crashed", lines[1].split()[3]],
        ["editor-1", "Editor", "failed", lines[2].split()[3]],
    ]
    assert "its process died in stage llm_call, waiting for gpt-5.1 to answer" in lines[1]
    assert ask.json("failed", "--agent", "Critic") == []


def test_slow(room: Stored, ask: Asker) -> None:
    """`slow` tells the time spent waiting for models from the rest."""
    (_, line) = ask.text("slow").splitlines()
    assert "8.1 s  3.0 s  5.1 s" in line
    assert [record["execution_id"] for record in ask.json("slow", "--over", "10ms")] == ["orchestrator-1", "editor-1"]


def test_stats(room: Stored, ask: Asker) -> None:
    """`stats` measures every agent, or one in detail."""
    assert [report["agent_name"] for report in ask.json("stats")] == ["Editor", "Critic", "Orchestrator"]
    report = ask.json("stats", "Editor")
    assert (report["total_executions"], report["common_errors"]) == (2, {"Crashed": 1, "ValueError": 1})
    text = ask.text("stats", "Editor")
    assert text.startswith("Editor  2 executions in the last 24 hours\n")
    assert "Success   0 %" in text
    assert ask.text("stats", "Nobody").startswith("Nobody  0 executions")


def test_chain(room: Stored, ask: Asker) -> None:
    """`chain` draws the calls from the root, with their reasons."""
    lines = ask.text("chain", "critic").splitlines()
    assert lines[0].startswith("Orchestrator  success")
    assert lines[1].startswith("└── Critic  skipped")
    assert lines[2].startswith("    └── Editor  failed")
    assert lines[2].endswith("editor-1  style question")
    assert [link["depth"] for link in ask.json("chain", "critic-1")] == [1, 2]
    assert ask.text("chain", "editor-2").splitlines() == ["Editor  crashed  –  editor-2"]


def test_chain_for_other_programs(room: Stored, ask: Asker) -> None:
    """Mermaid and Graphviz get boxes and arrows; what a log says cannot end a label."""
    room.links(("critic-1", "editor-2"), call_reason='"]; x --> y["')
    assert ask.text("chain", "critic", "--format", "mermaid").splitlines()[:7] == [
        "flowchart TD",
        '    n0["Orchestrator<br>success, 8.1 s"]',
        '    n1["Critic<br>skipped"]',
        '    n2["Editor<br>crashed"]',
        '    n3["Editor<br>failed, 20 ms"]',
        '    n0 -->|"style question"| n1',
        '    n1 -->|"#quot;#93;#59; x --#62; y#91;#quot;"| n2',
    ]
    dot = ask.text("chain", "critic", "--format", "dot")
    assert '  n0 -> n1 [label="style question"];\n' in dot
    assert '  n1 -> n2 [label="\\"]; x --> y[\\""];\n' in dot
    assert json.loads(ask.text("chain", "critic", "--format", "json")) == ask.json("chain", "critic")


def test_why(room: Stored, ask: Asker) -> None:
    """`why` says what became of the agent, with the evidence and who else was there."""
    text = ask.text("why", "Critic", "--conversation", "c1")
    assert text.startswith("skipped  Critic was invoked but skipped due to relevance check\n")
    assert "0.30  about plot" in text
    assert "Orchestrator  success 1" in text
    assert ask.json("why", "Critic", "--conversation", "c1")["status"] == "skipped"
    assert "Did you mean Critic?" in ask.text("why", "Critik")
    assert "It last ran at" in ask.text("why", "Critic", "--conversation", "other")


def test_show(room: Stored, ask: Asker, tmp_path: Path) -> None:
    """`show` has the record, the lines and where they stand, the LLM calls, the error and the children."""
    log = tmp_path / "agents.jsonl"
    lines = [dumps(stamped("a", number)) for number in range(5)]
    log.write_bytes(b"".join(lines))
    room.source(path=str(log))
    room.logs(
        "orchestrator-1",
        {"message": "execution started", "stage": "init", "stage_status": "started"}
        | {"writer": "a", "seq": 2, "line_offset": len(b"".join(lines[:2]))},
        {"message": "found", "data": {"count": 3}, "writer": "a", "seq": 4, "line_offset": len(b"".join(lines[:4]))},
    )
    text = ask.text("show", "orch")
    assert text.startswith("Orchestrator.run  success\n")
    assert f"{log}:3 to line 5 (2 lines)" in text
    assert "found  count=3" in text
    assert 'Request   {"q":"who"}' in text
    assert "critic-1" in text
    answer = ask.json("show", "orch")
    assert [(row["message"], row["file"], row["line"]) for row in answer["logs"]] == [
        ("execution started", str(log), 3),
        ("found", str(log), 5),
    ]
    assert [row["stage"] for row in answer["timeline"]] == ["init"]
    assert answer["llm_calls"][0]["response"] == {"a": "Mara"}
    failed = ask.text("show", "editor-1")
    assert "ValueError: no \\x1b[31mtext\n  Traceback (most recent call last):" in failed


def test_show_of_a_file_that_is_gone(room: Stored, ask: Asker) -> None:
    """Lines of a file that is not here are named by their bytes."""
    room.source(path="/gone/agents.jsonl")
    room.logs("editor-1", {"message": "hello", "line_offset": 1234})
    assert "/gone/agents.jsonl at byte 1,234 (1 line)" in ask.text("show", "editor-1")
    assert ask.json("show", "editor-1")["logs"][0]["line"] is None


def test_show_of_many_lines(room: Stored, ask: Asker) -> None:
    """Of a thousand lines the first and last are shown, unless all are asked for."""
    room.source()
    room.logs("editor-1", *({"message": f"line {n}"} for n in range(1000)))
    short, full = ask.text("show", "editor-1"), ask.text("show", "editor-1", "--full")
    assert "… 900 more lines, see --full" in short
    assert ("line 500\n" in short, "line 500\n" in full) == (False, True)
    assert ("line 0\n" in short, "line 999\n" in short) == (True, True)


def test_unknown_ids(room: Stored, ask: Asker) -> None:
    """An id that no execution's begins with is not found."""
    for command in ("show", "chain"):
        result = ask.run(command, "nothing")
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith("tracklog: no execution has an id that begins with 'nothing'; see the newest")


def test_ambiguous_ids(room: Stored, ask: Asker) -> None:
    """An id that several executions' begin with is a usage error that names them."""
    result = ask.run("show", "editor")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("give more of it: editor-1, editor-2\n")


def test_schema_versions(database: str) -> None:
    """`db upgrade` makes the schema, and `db current` tells it."""
    ask = Asker(database)
    if database.startswith("postgresql"):
        assert ask.json("db", "current")["version"] is None
    else:
        assert ask.run("db", "current").exit_code == 5
    made = ask.json("db", "upgrade")
    assert made["before"] is None
    assert ask.json("db", "current") == {
        "database": made["database"],
        "version": made["version"],
        "newest": made["version"],
    }
    assert "nothing was to be done" in ask.text("db", "upgrade")
    assert ask.json("list") == []
