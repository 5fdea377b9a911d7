"""Two executions, their lines in files and in a database, and commands that are run on them."""

import gzip
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from ingester import kept
from ingester.lines import dumps, stamped
from tracklog.analytics.commands.group import tracklog
from tracklog.processors.line import Kind


class Searcher:
    """Runs commands on log files and their database, as this host."""

    def __init__(self, database: str, logs: Path) -> None:
        self.environment = {"TRACKLOG_DATABASE_URL": database, "TRACKLOG_HOST": kept.HOST}
        self.logs = logs

    def run(self, *arguments: str, code: int = 0, stdin: bytes | None = None) -> Result:
        """Run a command."""
        done = CliRunner(env=self.environment).invoke(tracklog, list(arguments), input=stdin)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    def lines(self, *arguments: str) -> list[str]:
        """Give the lines that a command prints, without the place in front."""
        return [line.partition(": ")[2] for line in self.run(*arguments).stdout.splitlines()]

    def json(self, *arguments: str) -> list[Any]:
        """Give the objects that a command prints, one a line."""
        return [json.loads(line) for line in self.run(*arguments, "--json").stdout.splitlines()]


LINES = [
    stamped("w", 1, execution_id="e1", agent_name="Editor", kind=Kind.EXECUTION_STARTED, input_data="the manuscript"),
    stamped("w", 2, execution_id="e2", agent_name="Critic", kind=Kind.EXECUTION_STARTED, conversation_id="c2"),
    stamped("w", 3, execution_id="e1", event="reading chapter", chapter=1, stage="prepare"),
    stamped("w", 4, execution_id="e2", event="reading chapter", chapter=2, level="warning"),
    stamped("w", 5, execution_id="e1", kind=Kind.LLM_REQUEST, call_id="c", model="m", request={"ask": "who is Mara?"}),
    stamped("w", 6, execution_id="e1", kind=Kind.LLM_RESPONSE, call_id="c", response={"text": "the sister"}),
    stamped("w", 7, execution_id="e1", event="parsing \x1b[31m", stage="parse"),
    stamped("w", 8, execution_id="e1", kind=Kind.EXECUTION_FINISHED, status="failed", error_message="no JSON"),
    stamped("w", 9, execution_id="e2", kind=Kind.EXECUTION_FINISHED, status="success", duration_ms=1500.0),
    stamped("w", 10, event="of no execution, reading"),
]


def searched(database: str, tmp_path: Path) -> Searcher:
    """Give two executions of which one failed, in a plain and a compressed file."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.jsonl").write_bytes(dumps(*LINES[:7]))
    (logs / "b.jsonl.gz").write_bytes(gzip.compress(dumps(*LINES[7:])))
    kept.ingest(database, logs)
    return Searcher(database, logs)
