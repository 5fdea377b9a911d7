"""Say which log lines are wanted: by their time, and by the execution they belong to."""

import datetime as dt
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tracklog.analytics.commands.moment import Moment
from tracklog.processors.states import ExecutionStatus

if TYPE_CHECKING:
    from tracklog.analytics.record import Record
    from tracklog.analytics.search.entry import Entry


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are wanted; what is None does not matter."""

    agent: str | None = None
    status: str | None = None
    conversation: str | None = None
    vault: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    @property
    def is_of_executions(self) -> bool:
        """Tell whether it asks for more than times."""
        return any((self.agent, self.status, self.conversation, self.vault))

    @property
    def is_empty(self) -> bool:
        """Tell whether it wants every line."""
        return not self.is_of_executions and self.since is None and self.until is None

    def wants(self, entry: "Entry", record: "Record | None") -> bool:
        """Tell whether a line is wanted.

        :param record: What the database has of its execution; where it has nothing, the line speaks for itself.
        """
        time = entry.row["timestamp"]
        if self.since is not None and (time is None or time < self.since):
            return False
        if self.until is not None and (time is None or time >= self.until):
            return False
        for name, wanted in (
            ("agent_name", self.agent),
            ("conversation_id", self.conversation),
            ("vault_id", self.vault),
        ):
            if wanted is not None and ((record and record[name]) or entry.stated(name)) != wanted:
                return False
        return self.status is None or (record is not None and record["status"] == self.status)


def option_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that filter lines; it is called with a `Filter` as `wanted`."""

    @click.option("--agent", metavar="NAME", help="Only lines of this agent's executions.")
    @click.option(
        "--status",
        type=click.Choice([status.value for status in ExecutionStatus]),
        metavar="STATUS",
        help="Only of executions of this status: success, skipped, failed, timeout, crashed, running …",
    )
    @click.option("--conversation", metavar="ID", help="Only of this conversation.")
    @click.option("--vault", metavar="ID", help="Only of this vault.")
    @click.option("--since", type=Moment(), metavar="TIME", help="Only lines from then on: 2h, yesterday, 10:00.")
    @click.option("--until", type=Moment(), metavar="TIME", help="Only lines before then.")
    @functools.wraps(command)
    def run(
        *args: Any,
        agent: str | None,
        status: str | None,
        conversation: str | None,
        vault: str | None,
        since: dt.datetime | None,
        until: dt.datetime | None,
        **options: Any,
    ) -> Any:
        return command(*args, wanted=Filter(agent, status, conversation, vault, since, until), **options)

    return run
