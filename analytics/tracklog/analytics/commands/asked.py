"""Say how a question was asked on the command line: of which database, and in which form it is to be answered."""

import functools
import math
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_MATCHES = 6
"""So many of the ids that an ambiguous prefix means are named."""


_LAST, _LAST_FAILED = "@last", "@last-failed"
"""What may stand for the id of the newest execution, and of the newest that failed, timed out or crashed."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say, before or after the command."""

    database: str | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question was asked."""

    given: Given

    @property
    def json(self) -> bool:
        """Whether the answer is to be JSON."""
        return self.given.json

    @property
    def url(self) -> str:
        """The database's URL."""
        from tracklog.analytics.faces import default_url

        return self.given.database or default_url()

    @property
    def is_configured(self) -> bool:
        """Whether somebody said which database: by an option or by the environment."""
        return bool(self.given.database or os.environ.get("TRACKLOG_DATABASE_URL"))

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
        from tracklog.ingester.database import database_url, shown

        # A password has no place on a screen.
        safe = shown(database_url(self.given.database))
        return f"{command} --db {shlex.quote(safe if '***' in safe else self.given.database)}"


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --db and --json; it is called with what they, and those before it, say."""

    @click.option("--db", "database", metavar="URL", help="The database: a path, sqlite:///PATH or postgresql://…")
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON: raw numbers, ISO times in UTC.")
    @functools.wraps(command)
    def run(*, database: str | None, as_json: bool, **options: Any) -> None:
        before = click.get_current_context().find_object(Given) or Given()
        command(Asked(Given(database or before.database, as_json or before.json)), **options)

    return run


class _Hours(click.FloatRange):
    """A number of hours; what is no number is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number of hours.", param, ctx)
        return number


def option_hours(default: float | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --hours: how far back to look."""
    return click.option(
        "--hours",
        type=_Hours(min=0),
        default=default,
        show_default=default is not None,
        metavar="N",
        help="Look only so many hours back.",
    )


def option_limit(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --limit: how many to give."""
    return click.option(
        "--limit", type=click.IntRange(1, 1_000_000), default=default, show_default=True, help="At most so many."
    )


option_agent = click.option("--agent", metavar="NAME", help="Only this agent's.")
option_vault = click.option("--vault", metavar="ID", help="Only this vault's.")
