"""Look up what became of executions, in batches, where there is a database; without one, nothing is known."""

import os
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import click

from tracklog.analytics.commands.asked import Asked
from tracklog.analytics.commands.text import safe
from tracklog.analytics.record import Record

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_DEFAULT_FILE: Final = "tracklog.db"
"""Where the database is when nobody says so: looked for before what reads it is imported."""

_KEPT: Final = 20_000
"""Records that are remembered: some tens of MB."""


class Known:
    """The executions of a database that may not be there.

    :param needed: Without a database there is no answer, and that is an error.
    """

    def __init__(self, asked: Asked, *, needed: bool = False) -> None:
        self._asked = asked
        self._needed = needed or asked.given.database is not None
        self._analytics: ExecutionAnalytics | None = None
        self._is_missing = False
        self._records: dict[str, Record | None] = {}
        self._shortest: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._analytics is not None:
            self._analytics.close()

    @property
    def analytics(self) -> "ExecutionAnalytics | None":
        """Give what answers; None where there is no database.

        :raises DatabaseError: There is none, and it was named or is needed.
        """
        if self._analytics is None and not self._is_missing:
            if not self._needed and not self._asked.is_configured and not os.path.exists(_DEFAULT_FILE):
                self._is_missing = True
                return None
            # Imported here, as all that is of the database: who finds nothing need not wait for it.
            from tracklog.ingester.errors import DatabaseError

            analytics = self._asked.analytics()
            try:
                analytics.get_ingestion()
            except DatabaseError as error:
                analytics.close()
                if self._needed:
                    raise
                self._is_missing = True
                if self._asked.is_configured:
                    click.echo(f"tracklog: going on without the database: {safe(str(error))}", err=True)
            else:
                self._analytics = analytics
        return self._analytics

    def of(self, execution_ids: Iterable[str | None], *, fresh: bool = False) -> dict[str, Record]:
        """Give the records of executions that the database has.

        :param fresh: Ask again for those that had not ended.
        """
        wanted = {one for one in execution_ids if one is not None}
        if not wanted or self.analytics is None:
            return {}
        from tracklog.analytics.answers.calls import is_going_on

        if len(self._records) > _KEPT:
            self._records.clear()
        known = self._records
        unknown = [
            one
            for one in wanted
            if one not in known or (fresh and ((record := known[one]) is None or is_going_on(record["status"])))
        ]
        if unknown:
            found = self.analytics.get_executions(unknown)
            known.update({one: found.get(one) for one in unknown})
        return {one: record for one in wanted if (record := known[one]) is not None}

    def shortest(self, execution_ids: Iterable[str]) -> dict[str, str]:
        """Give the shortest beginnings of ids that the database has."""
        unknown = {one for one in execution_ids if one not in self._shortest}
        if unknown and self.analytics is not None:
            self._shortest.update(self.analytics.shortest_prefixes(unknown))
        return self._shortest
