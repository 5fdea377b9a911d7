"""Gather the commands, and turn errors into messages and exit codes."""

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import IO, Any, Final

import click

from tracklog.analytics.cli import EXTRA
from tracklog.analytics.commands.asked import Format, Given
from tracklog.analytics.commands.exits import Exit

COMMANDS: Final = {
    "ingest": ("ingest", "Follow log files into the database."),
    "list": ("executions", "List executions, the newest first."),
    "show": ("show", "Show all about one execution."),
    "timeline": ("timeline", "Draw where an execution's time went."),
    "llm": ("llm", "Show what was said to language models, and their answers."),
    "lines": ("raw", "Print the lines of an execution as they stand in the files."),
    "grep": ("grep", "Search log files; say what became of each execution."),
    "tail": ("tail", "Print the last log lines, and follow what comes."),
    "watch": ("watch", "Follow one execution until it ends."),
    "top": ("top", "Watch what runs, rates, failures and tokens."),
    "annotate": ("annotate", "Add to log lines of a pipe what became of their executions."),
    "why": ("why", "Say why an agent did not fire."),
    "failed": ("failed", "List executions that failed, timed out or crashed."),
    "skipped": ("skipped", "List executions whose agent stayed silent, and why."),
    "slow": ("slow", "List slow executions and what took their time."),
    "stats": ("stats", "Measure agents: success, durations, errors, tokens."),
    "chain": ("chain", "Draw who called whom."),
    "conversation": ("conversation", "Show a conversation's executions on one time line."),
    "diff": ("diff", "Show where two executions parted."),
    "sql": ("sql", "Ask the database in SQL, reading only."),
    "export": ("export", "Export executions as lines, a trace, or a page."),
    "doctor": ("doctor", "Say whether everything that was written is in the database."),
    "quarantine": ("quarantine", "Look at log lines that could not be read."),
    "verify": ("verify", "Compare the log files with the database."),
    "rebuild": ("rebuild", "Make the database anew from the log files."),
    "prune": ("prune", "Remove old executions from the database."),
    "db": ("db", "Look after the database's schema."),
    "settings": ("configured", "Show each setting, and where it came from."),
    "completion": ("completion", "Print what makes a shell complete commands and ids."),
    "demo": ("demo", "Run a small room of agents, then show what became of them."),
}
"""Each command's module and its line in the help, which must not wait for the import of them all."""


class Failure(click.ClickException):
    """An error that was meant for people: one line on stderr, and its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it of the instance.

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        if self.message:
            click.echo(f"tracklog: {self.message}", err=True)


class LazyGroup(click.Group):
    """Import a command's module when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names, in the order they are best learned."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"tracklog.analytics.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        if ctx.resilient_parsing:  # A shell asks what may follow.
            from tracklog.analytics.commands.completion import complete

            complete(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; of one that there is not, tell which may have been meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            alike = difflib.get_close_matches(args[0], COMMANDS, n=3)
            meant = f" Did you mean {' or '.join(alike)}?" if alike else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors become messages and exit codes."""
        try:
            answer = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        except click.exceptions.Exit:
            raise
        except click.ClickException as error:
            from tracklog.analytics.commands.text import safe

            error.message = safe(error.message)  # type: ignore[misc]  # It may name what a log says.
            raise
        except BrokenPipeError:
            _forget_output()  # Whoever read has read enough.
            ctx.exit(Exit.DONE)
        except (KeyboardInterrupt, click.Abort):
            raise Failure("", Exit.INTERRUPTED) from None
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "tracklog":
                raise
            raise Failure(
                f"this command needs {error.name}, which is not installed; run: {EXTRA}", Exit.FAILED
            ) from error
        except Exception as error:
            failure = _failure_of(error)
            if failure is None:
                raise
            raise failure from error
        return answer

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; what the system refuses, such as a full disk the answer, becomes a message too."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            _forget_output()
            _refusal_of(error).show()
            sys.exit(Exit.FAILED)


def _forget_output() -> None:
    """Keep what is still buffered from failing again when the process ends."""
    if sys.stdout is not None:  # As it is where the shell has closed it.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refusal_of(error: OSError) -> Failure:
    """Give the message of an error of the system that no command expects."""
    from tracklog.analytics.commands.text import safe

    reason, name = error.strerror or str(error), error.filename
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        message = f"{name or 'the answer'} cannot be written: {reason}; make room, or write elsewhere"
    else:
        message = f"{name or 'what is asked for'} cannot be read or written: {reason}"
    return Failure(safe(message), Exit.FAILED)


def _failure_of(error: Exception) -> Failure | None:
    """Give the message and the exit code of an error that was raised on purpose; None for any other."""
    # Imported here because the help needs none of it; once such an error was raised it is there anyway.
    from tracklog.analytics.commands.text import safe
    from tracklog.analytics.errors import AmbiguousIdError, ExecutionNotFoundError
    from tracklog.ingester.errors import DatabaseError, DatabaseUrlError, SourceNotFoundError
    from tracklog.processors.errors import TracklogError

    if not isinstance(error, TracklogError):
        return None
    codes = (
        (AmbiguousIdError, Exit.USAGE),
        (DatabaseUrlError, Exit.USAGE),
        (ExecutionNotFoundError, Exit.NOT_FOUND),
        (SourceNotFoundError, Exit.NOT_FOUND),
        (DatabaseError, Exit.UNAVAILABLE),
    )
    exit_code = next((code for kind, code in codes if isinstance(error, kind)), Exit.FAILED)
    return Failure(safe(" ".join(str(error).split())), exit_code)


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"tracklog {version('tracklog')}")
    context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--db", "database", metavar="URL", help="The database; also after the command.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON; also after the command.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.pass_context
def tracklog(context: click.Context, database: str | None, as_json: bool) -> None:
    """Follow what agents did: from log files to answers.

    The database is a path, sqlite:///PATH or postgresql://USER@HOST/NAME; without --db it is what TRACKLOG_DATABASE_URL
    says, else sqlite:///tracklog.db. Ids may be shortened to any beginning that is unique.

    Exit codes: 0 done, 1 failure, 2 usage or ambiguous id, 3 not found, 4 a check failed, 5 the database cannot be
    used.
    """
    columns = os.environ.get("COLUMNS", "")
    if not (
        columns.isdecimal() and len(columns) < 6 and int(columns)
    ):  # No width that anybody can have meant; Rich takes it by its word.
        os.environ.pop("COLUMNS", None)
    context.obj = Given(database, Format.JSON if as_json else Format.TABLE)
