"""Ask what happened: show each command, and then what it answers."""

import os
import shlex
import shutil
import sys

import click

from tracklog.analytics.commands.group import tracklog
from tracklog.analytics.demo.directory import Directory
from tracklog.analytics.demo.play import STORM
from tracklog.analytics.demo.records import Snapshot
from tracklog.analytics.faces import ExecutionAnalytics
from tracklog.processors.states import ExecutionStatus


def show(directory: Directory, analytics: ExecutionAnalytics, snapshot: Snapshot) -> None:
    """Ask about the executions of a snapshot, each question with the command that answers it."""
    editor = next(one.execution_id for one in snapshot.of("Editor") if one.conversation_id == STORM)
    killed = snapshot.of("Proofreader", ExecutionStatus.CRASHED)[0].execution_id
    failed = snapshot.of("StyleCritic", ExecutionStatus.FAILED)[0].execution_id
    short = analytics.shortest_prefixes([editor, killed, failed])
    database = ("--db", str(directory.database))
    storm = ("--conversation", STORM)
    questions: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("What ran?", ("list",)),
        ("Why did the psychologist not fire on the storm?", ("why", "Psychologist", *storm)),
        ("And the proofreader?", ("why", "Proofreader")),
        ("And the historian?", ("why", "Historian", *storm)),
        ("What went wrong?", ("failed",)),
        ("What did the proofreader do until it was killed?", ("show", short[killed])),
        ("Who called whom?", ("chain", short[editor])),
        ("How do the agents do?", ("stats",)),
    )
    for question, command in questions:
        arguments = [*command, *database]
        click.echo(f"\n{click.style(question, fg='cyan')}\n{click.style(f'$ {_shown(arguments)}', bold=True)}")
        tracklog.main(arguments, prog_name="tracklog", standalone_mode=False)
    click.echo(f"\nLogs and database are left in {directory.path}. Go on with:")
    program = _program()
    further: tuple[tuple[str, ...], ...] = (("show", short[failed]), ("why", "Lawyer"), ("slow", "--over", "1s"))
    for command in further:
        click.echo(f"  {_shown([*command, *database], program)}")


def _shown(arguments: list[str], program: str = "tracklog") -> str:
    return shlex.join([program, *arguments])


def _program() -> str:
    """Give what to type: the command's name, or where it is if the shell would not find it."""
    own = sys.argv[0]
    if shutil.which("tracklog") or os.path.basename(own) != "tracklog":
        return "tracklog"
    return os.path.relpath(own)
