"""Say how a question was asked on the command line: of which database, and in which form it is to be answered."""

import functools
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import click

from tracklog.analytics.commands import settings
from tracklog.analytics.commands.pager import pages

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_MATCHES = 6
"""So many of the ids that an ambiguous prefix means are named."""


_LAST, _LAST_FAILED = "@last", "@last-failed"
"""What may stand for the id of the newest execution, and of the newest that failed, timed out or crashed."""


class Format(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say, before or after the command."""

    database: str | None = None
    format: Format = Format.TABLE
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question was asked."""

    given: Given

    @property
    def json(self) -> bool:
        """Whether the answer is to be JSON."""
        return self.given.format == Format.JSON

    @property
    def is_for_programs(self) -> bool:
        """Whether records are to be printed as they are, in some format or with chosen fields."""
        return self.given.format != Format.TABLE or bool(self.given.fields)

    def print(self, records: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> None:
        """Print records in the format, and with the fields, that were asked for.

        :param names: The fields there are, for the head of a table that has no records.
        """
        from tracklog.analytics.commands.records import print_records

        print_records(records, self.given.format, self.given.fields, names)

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.given.database or str(settings.value("database"))

    @property
    def shown(self) -> str:
        """The database's URL without its password, which has no place on a screen."""
        from tracklog.ingester.database import database_url, shown

        return shown(database_url(self.url))

    @property
    def is_configured(self) -> bool:
        """Whether somebody said which database: by an option, the environment or a file of settings."""
        return bool(self.given.database) or settings.setting("database").origin != "default"

    def analytics(self) -> "ExecutionAnalytics":
        """Give what answers; to be closed."""
        from tracklog.analytics.faces import ExecutionAnalytics

        return ExecutionAnalytics(self.url)

    def resolve(self, analytics: "ExecutionAnalytics", prefix: str) -> str:
        """Give the one id that begins with `prefix`, or that of `@last` or `@last-failed`.

        :raises ExecutionNotFoundError: None does.
        :raises AmbiguousIdError: Several do.
        """
        from tracklog.analytics.errors import AmbiguousIdError, ExecutionNotFoundError

        if prefix in (_LAST, _LAST_FAILED):
            newest = (
                analytics.get_recent_executions(limit=1)
                if prefix == _LAST
                else analytics.get_failed_executions(hours=None, limit=1)
            )
            if not newest:
                raise ExecutionNotFoundError(f"there is no execution that {prefix} could mean")
            return str(newest[0].execution_id)

        found = analytics.resolve_prefix(prefix, limit=_MATCHES + 1)
        if not found:
            raise ExecutionNotFoundError(
                f"no execution has an id that begins with {prefix!r}; see the newest with: {self.hint('list')}"
            )
        if len(found) > 1:
            more = ", …" if len(found) > _MATCHES else ""
            raise AmbiguousIdError(
                f"several executions have ids that begin with {prefix!r}, give more of it: "
                f"{', '.join(found[:_MATCHES])}{more}"
            )
        return found[0]

    def hint(self, *arguments: str) -> str:
        """Write a command that asks the same database."""
        command = shlex.join(("tracklog", *arguments))
        if self.given.database is None:
            return command
        return f"{command} --db {shlex.quote(self.shown if '***' in self.shown else self.given.database)}"


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --db and --json; it is called with what they, and those before it, say."""

    @click.option("--db", "database", metavar="URL", help="The database: a path, sqlite:///PATH or postgresql://…")
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON: raw numbers, ISO times in UTC.")
    @functools.wraps(command)
    def run(*, database: str | None, as_json: bool, **options: Any) -> None:
        context = click.get_current_context()
        _refuse_empty(context)
        before = context.find_object(Given) or Given()
        form = Format.JSON if as_json else before.format
        command(Asked(Given(database or before.database, form)), **options)

    return run


_NEVER_EMPTY: Final = ("agent", "conversation", "vault", "execution", "paths")
"""What nothing is called by an empty text; a shell gives one for a variable that is not set."""


def _refuse_empty(context: click.Context) -> None:
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in _NEVER_EMPTY and (value == "" or (isinstance(value, tuple) and "" in value)):
            raise click.BadParameter("it is empty; is a variable of the shell not set?", context, parameter)


def lists(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what `formats` and `pages` do: for answers that are lists of records."""
    return formats(pages(command))


def formats(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what `asks` does, and --format and --fields."""

    @asks
    @click.option(
        "--format",
        "form",
        type=click.Choice([form.value for form in Format]),
        help="Answer as a table, or for programs: JSON, a JSON object a line, or CSV.",
    )
    @click.option("--fields", metavar="A,B", help="Only these fields, named as in JSON, inner ones with dots.")
    @functools.wraps(command)
    def run(asked: Asked, *, form: str | None, fields: str | None, **options: Any) -> None:
        if asked.json and form not in (None, Format.JSON):
            raise click.UsageError("choose one of --json and --format")
        chosen = tuple(name for part in (fields or "").split(",") if (name := part.strip()))
        given = asked.given
        if form is None:
            form = given.format if asked.json else settings.value("format")
        command(Asked(Given(given.database, Format(form), chosen)), **options)

    return run


def option_limit(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --limit: how many to give."""
    return click.option(
        "--limit", type=click.IntRange(1, 1_000_000), default=default, show_default=True, help="At most so many."
    )


option_agent = click.option("--agent", metavar="NAME", help="Only this agent's.")
option_vault = click.option("--vault", metavar="ID", help="Only this vault's.")
