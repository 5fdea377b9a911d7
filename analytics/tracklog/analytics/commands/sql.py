"""The command `sql`: a statement, several from a file, or a prompt."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from tracklog.analytics.commands.asked import Asked, Format, formats
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.pager import paged
from tracklog.analytics.commands.records import print_records
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import safe
from tracklog.ingester.schema import metadata
from tracklog.processors.errors import TracklogError

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_MOST: Final = 1000
"""Rows that a table shows; programs get them all."""

_REMEMBERED: Final = 1000
"""Lines of the prompt's history that are kept."""

_HELP: Final = """\
SELECT …;        ask; a statement ends with a semicolon, and may take several lines
.tables          name the tables
.columns TABLE   name a table's columns
.quit            leave; so does Ctrl-D"""


@click.command("sql")
@click.argument("statement", required=False)
@formats
@click.option("--no-pager", is_flag=True, help="Print long answers straight to the terminal.")
def command(asked: Asked, statement: str | None, no_pager: bool) -> None:
    """Run STATEMENT in SQL, in a transaction that cannot write; without it, ask for statements, or read them of a pipe.

    A table shows the first 1,000 rows, other formats all. .tables and .columns TABLE name what there is.
    """
    with asked.analytics() as analytics:
        if statement is None and sys.stdin.isatty():
            _prompt(asked, analytics, no_pager=no_pager)
            return
        asked_for, rest = statements(sys.stdin.read() if statement is None else statement)
        asked_for += [rest] if rest else []
        if not asked_for:
            raise click.UsageError("there is no statement; write for example: tracklog sql 'SELECT …'")
        with paged(no_pager=no_pager):
            for one in asked_for:
                _answer(asked, analytics, one)


def statements(text: str) -> tuple[list[str], str]:
    """Cut a text into its statements, each without the semicolon that ends it, and what follows the last one.

    >>> statements("SELECT ';'; -- why;\\n SELECT $$a;b$$; ")
    (["SELECT ';'", '-- why;\\n SELECT $$a;b$$'], '')
    >>> statements("SELECT 1; SELECT 'a;")
    (['SELECT 1'], "SELECT 'a;")
    """
    cut, begun, says_something = [], "", False
    for token in _TOKENS.finditer(text):
        if token[0] != ";":
            begun += token[0]
            says_something = says_something or not (token["comment"] or token[0].isspace())
            continue
        if says_something:
            cut.append(begun.strip())
        begun, says_something = "", False
    return cut, begun.strip() if says_something else ""


_TOKENS: Final = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)  # As PostgreSQL has texts with escapes.
    | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | `[^`]*(?:`|\Z)
    | (?<!\w)\$(?P<tag>[^\W\d]\w*|)\$.*?(?:\$(?P=tag)\$|\Z)
    | ; | \s+ | \w+ | .
    """,
    re.VERBOSE | re.DOTALL,
)
"""What a semicolon in it ends nothing, on either database."""


def _answer(asked: Asked, analytics: "ExecutionAnalytics", statement: str) -> None:
    if statement.startswith("."):
        _tell(statement)
        return
    if asked.given.format != Format.TABLE:
        every = analytics.run_sql(statement)
        asked.print(every, every.names)
        return
    rows = analytics.run_sql(statement, _MOST + 1)
    if not rows:
        Screen().print(Text("No rows."))
        return
    print_records(rows[:_MOST], asked.given.format, asked.given.fields or list(rows[0]))
    if len(rows) > _MOST:
        note = f"These are the first {_MOST:,} rows; --format csv, json or jsonl gives all."
        Screen().print(Text(f"\n{note}", "dim"))


def _tell(statement: str) -> None:
    """Name the tables, or a table's columns."""
    name, *rest = statement.split()
    out = Screen()
    match name, rest:
        case ".tables", []:
            out.print(*(Text(table) for table in sorted(metadata.tables)))
        case ".columns", [table] if table in metadata.tables:
            columns = metadata.tables[table].columns
            kinds = ([column.name, str(column.type).lower()] for column in columns)
            out.print(out.table([Column("COLUMN"), Column("TYPE")], kinds))
        case ".columns", [table]:
            raise click.UsageError(f"there is no table {table!r}; .tables names those there are")
        case ".help", []:
            out.print(Text(_HELP))
        case _:
            raise click.UsageError(f"there is no {statement!r}; there are .tables, .columns TABLE, .help and .quit")


def _prompt(asked: Asked, analytics: "ExecutionAnalytics", *, no_pager: bool) -> None:
    analytics.run_sql("SELECT 1")  # A database that is not there is told of now.
    click.echo(f"{asked.shown}, read only; .help helps, .quit leaves.", err=True)
    with _typed():
        begun = ""
        while True:
            try:
                line = input("     ...> " if begun else "tracklog> ")
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                click.echo()
                begun = ""
                continue
            begun = f"{begun}\n{line}" if begun else line.strip()
            if begun in (".quit", ".exit", "quit", "exit"):
                return
            if begun.startswith("."):
                begun += ";"
            asked_for, begun = statements(begun)
            for one in asked_for:
                _try(asked, analytics, one, no_pager=no_pager)


def _try(asked: Asked, analytics: "ExecutionAnalytics", statement: str, *, no_pager: bool) -> None:
    """Answer a statement; what is wrong with it is told, and the next may be better."""
    try:
        with suppress(BrokenPipeError), paged(no_pager=no_pager):
            _answer(asked, analytics, statement)
    except TracklogError as error:
        click.echo(f"tracklog: {safe(str(error))}", err=True)
    except click.ClickException as error:
        click.echo(f"tracklog: {safe(error.message)}", err=True)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)


@contextmanager
def _typed() -> Iterator[None]:
    """Let what is typed be edited, completed, and found again the next time, where the system has what it takes."""
    try:
        import readline
    except ImportError:
        yield
        return
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    history = state / "tracklog" / "sql_history"
    words = sorted({*metadata.tables, *(column.name for table in metadata.tables.values() for column in table.columns)})

    def complete(begun: str, place: int) -> str | None:
        alike = [word for word in words if word.startswith(begun)]
        return alike[place] if place < len(alike) else None

    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    with suppress(OSError):
        readline.read_history_file(history)
    try:
        yield
    finally:
        readline.set_history_length(_REMEMBERED)
        with suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            readline.write_history_file(history)
