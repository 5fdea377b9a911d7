"""Let the room work while an ingester follows; kill one of its processes, and wait until all is in the database."""

import shlex
import time
from collections.abc import Callable
from typing import Final

import click

from tracklog.analytics.demo.children import Child, Children
from tracklog.analytics.demo.directory import DemoError, Directory
from tracklog.analytics.demo.records import Snapshot, look
from tracklog.analytics.faces import ExecutionAnalytics
from tracklog.processors.states import ExecutionStatus

STORM: Final = "storm-night"
"""The conversation about the storm, in which all sorts of things go wrong."""

_QUESTIONS: Final = {
    STORM: "Is the storm night told well, and do people in it agree about the time?",
    "why-ines": "Why does Ines leave, and in which year?",
}

_PATIENCE_SECONDS: Final = 45
"""Some ten times what each wait takes on two slow processors."""

_EXPECTED: Final = frozenset(
    (
        ExecutionStatus.SUCCESS,
        ExecutionStatus.SKIPPED,
        ExecutionStatus.FAILED,
        ExecutionStatus.TIMEOUT,
        ExecutionStatus.CRASHED,
        ExecutionStatus.PENDING,
    )
)


def play(directory: Directory, analytics: ExecutionAnalytics) -> Snapshot:
    """Run the processes, and give what the database holds in the end.

    :raises DemoError: The room did not do what it should.
    """
    logs, database = str(directory.logs), str(directory.database)
    with Children() as children:
        ingest = ("ingest", logs, "--db", database)
        ingester = children.start("ingester", "-c", "from tracklog.analytics.cli import main; main()", *ingest)
        click.echo(f"An ingester follows: {click.style(shlex.join(('tracklog', *ingest)), bold=True)}")
        editors = [
            children.start("editor", "-m", "tracklog.analytics.demo.room", "editor", logs, question, conversation)
            for conversation, question in _QUESTIONS.items()
        ]
        proofs = ("-m", "tracklog.analytics.demo.room", "proofreader", logs)
        proofreader = children.start("proofreader", *proofs, stdin=editors[0].stdout)
        click.echo("\n  ".join(("Editors are asked about a manuscript:", *_QUESTIONS.values())))

        def seen(condition: Callable[[Snapshot], bool], what: str) -> Snapshot:
            return _wait(lambda: look(analytics), condition, what, (ingester, *editors))

        seen(lambda now: bool(now.of("Proofreader", ExecutionStatus.LLM_REQUEST)), "the proofreader asked its model")
        proofreader.process.kill()
        if proofreader.process.wait() >= 0:
            raise DemoError("the proofreader ended before it could be killed")
        click.echo("The proofreader is killed while its model works (SIGKILL).")
        for editor in editors:
            editor.wait(_PATIENCE_SECONDS)
        end = seen(lambda now: now.is_whole(directory.logs), "all that was logged is in the database")
        ingester.process.terminate()
        ingester.wait(_PATIENCE_SECONDS)
        click.echo(f"The ingester ends: {ingester.stdout.read().strip()}")
    if missing := _EXPECTED - end.statuses:
        raise DemoError(f"no execution ended as {', '.join(sorted(missing))}")
    if end.gaps:
        raise DemoError(f"lines of {end.gaps} processes are missing in the database")
    click.echo(f"The database has {len(end.executions)} executions and every line of the log files, all {end.lines}.")
    return end


def _wait(
    look_: Callable[[], Snapshot], condition: Callable[[Snapshot], bool], what: str, needed: tuple[Child, ...]
) -> Snapshot:
    """Look until a condition holds; the processes that are needed may end well, but not fail."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not condition(now := look_()):
        for child in needed:
            if child.process.poll():
                raise child.failure()
        if time.monotonic() > until:
            raise DemoError(f"after {_PATIENCE_SECONDS} s it is still not so that {what}")
        time.sleep(0.05)
    return now
