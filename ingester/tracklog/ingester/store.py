"""What is kept: a batch of lines becomes rows and positions, in one transaction, exactly once."""

import contextlib
import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, commit, migrate, postgresql, schema, sqlite
from tracklog.ingester.commit import POSITION_COLUMNS, Database, Move, Positions
from tracklog.ingester.database import asyncpg_arguments, open_engine, transaction
from tracklog.ingester.decode import written
from tracklog.ingester.errors import DatabaseUnreachableError
from tracklog.ingester.fold import Changes, Rows
from tracklog.ingester.identify import Compression, Identity, inode_of
from tracklog.ingester.sources import Checkpoint, Portion
from tracklog.processors.errors import TracklogError

_TIMEOUTS: Final = (
    "SET LOCAL lock_timeout = '30s'",  # Longer than any batch; then the other side is stuck and the batch is repeated.
    "SET LOCAL idle_in_transaction_session_timeout = '60s'",  # An ingester that was stopped lets go of its locks.
)


_PER_STEP: Final = 500
"""Sources that are asked for at a time."""


class _TakenBackError(TracklogError):
    """Rolls a transaction back that was only an attempt."""


class Store:
    """A database, as the ingester uses it."""

    def __init__(self, url: str, host: str, *, patient: bool = True) -> None:
        self.host = host
        self.engine = open_engine(url, patient=patient)
        is_sqlite = self.engine.dialect.name == "sqlite"
        self.file = os.path.realpath(self.engine.url.database or "") if is_sqlite else None
        """The file that an SQLite database is, wherever links lead and this process goes; None of PostgreSQL."""
        self._inode: tuple[int, int] | None = None
        """That of the file, when it was prepared."""
        self._patient = patient
        self._repeating = False
        """Whether the last batch brought lines that were there already: then COPY straight in is not tried."""

    def beside(self) -> Database | None:
        """Give the database as a process beside writes to it; None where a URL says more than SQLite's driver knows."""
        url = self.engine.url
        if self.file is None:
            return postgresql.Database(asyncpg_arguments(url, patient=self._patient), _TIMEOUTS, bulk.KINDS)
        return None if url.query else sqlite.Database(self.file, sqlite.BUSY_SECONDS)

    async def prepare(self) -> None:
        """Make the schema in an empty database.

        :raises SchemaError: The schema is one that this version does not work on.
        :raises DatabaseUnreachableError: The database is away.
        """
        await migrate.prepare(self.engine)
        if self.file is not None:
            self._inode = inode_of(self.file)

    def require_file(self) -> None:
        """Check that an SQLite database is still the file that was prepared: in any other nobody sees what is written.

        :raises DatabaseUnreachableError: It was removed, or another was put in its place.
        """
        if self._inode is not None and self.file is not None and inode_of(self.file) != self._inode:
            raise DatabaseUnreachableError(
                f"the database {self.file} was removed or replaced while it was open; put it back, or start the"
                " ingester anew to go on with what is there"
            )

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Run a transaction; see `database.transaction`."""
        return transaction(self.engine)

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Run a transaction that only reads; see `database.transaction`."""
        return transaction(self.engine, reads=True)

    async def close(self) -> None:
        """Let go of the connections."""
        await self.engine.dispose()

    async def checkpoints(self, inodes: Iterable[int]) -> dict[tuple[int, int], Checkpoint]:
        """Give the latest generation of every source on this host that has one of some inodes, by its locator.

        Not of all: over months there are many more files than there ever were at a time.
        """
        table = schema.tracklog_sources
        query = select(table).where(table.c.host == self.host).order_by(table.c.generation)
        every = sorted(set(inodes))
        checkpoints: list[Checkpoint] = []
        async with self.reading() as connection:
            for start in range(0, len(every), _PER_STEP):
                some = table.c.inode.in_(every[start : start + _PER_STEP])
                checkpoints += map(_checkpoint, (await connection.execute(query.where(some))).mappings())
        return {checkpoint.identity.locator: checkpoint for checkpoint in checkpoints}

    async def commit(self, portions: Sequence[Portion], rows: Rows) -> None:
        """Commit what the portions were folded into, with their positions.

        :raises OvertakenError: Another ingester was first; nothing was committed.
        :raises RowsRefusedError: The database refuses what some line says; nothing was committed.
        :raises DatabaseUnreachableError: The database went away; whether it was committed, only the positions tell.
        """
        positions = self.positions(portions)
        async with self.transaction() as connection:
            await limit_waiting(connection)
            transaction = bulk.Transaction(connection)
            self._repeating = await commit.commit(transaction, positions, rows, repeating=self._repeating)

    async def holds(self, positions: Positions) -> bool:
        """Tell whether the database has these positions, as after a commit of which nobody knows whether it was."""
        place = POSITION_COLUMNS.index("position")
        async with self.reading() as connection:
            await limit_waiting(connection)
            rows = await bulk.fetch(
                connection,
                "SELECT source_id, position FROM tracklog_sources WHERE source_id IN ({keys})",
                [move.source_id for move in positions.moves],
            )
        return {tuple(row) for row in rows} == {(move.source_id, move.after[place]) for move in positions.moves}

    async def attempt(self, rows: Rows) -> None:
        """Find out whether the database takes rows, and take them back.

        :raises RowsRefusedError: It does not.
        """
        with contextlib.suppress(_TakenBackError):
            async with self.transaction() as connection:
                await limit_waiting(connection)
                await self.add(connection, rows, dt.datetime.now(dt.UTC))
                raise _TakenBackError

    async def add(self, connection: AsyncConnection, rows: Rows, now: dt.datetime) -> None:
        """Merge rows into what is there, but for executions that were pruned."""
        transaction = bulk.Transaction(connection)
        if not transaction.is_sqlite:
            await transaction.fetch(commit.TAKE_PART, ())
        self._repeating = await commit.add(transaction, rows, self.host, now, repeating=self._repeating)

    def positions(self, portions: Iterable[Portion]) -> Positions:
        """Give what is committed with the rows of some portions."""
        now = dt.datetime.now(dt.UTC)
        time = written(now) if self.file is not None else now
        portions = sorted(portions, key=lambda portion: portion.after.source_id)
        rejected = [
            (portion.after.source_id, line.offset, line.length, line.reason, line.head, time)
            for portion in portions
            for line in portion.rejected
        ]
        return Positions([_move(portion, self.host, time) for portion in portions], sorted(rejected), self.host, now)


def folded(portions: Iterable[Portion]) -> Rows:
    """Fold the lines of some portions once more, as after some were taken out."""
    changes = Changes()
    for portion in portions:
        for event in portion.events():
            changes.add(event, portion.after.source_id)
    return changes.rows()


async def limit_waiting(connection: AsyncConnection) -> None:
    """Keep a transaction on PostgreSQL from waiting for ever; it also begins it, for asyncpg's own calls."""
    if not bulk.is_sqlite(connection):
        for statement in _TIMEOUTS:
            await connection.exec_driver_sql(statement)


async def clock(connection: AsyncConnection) -> dt.datetime:
    """Give the time by the one clock that all hosts of a database share: its server's, on SQLite this machine's."""
    if bulk.is_sqlite(connection):
        return dt.datetime.now(dt.UTC)
    moment: dt.datetime = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
    return moment


async def be_alone(connection: AsyncConnection) -> None:
    """Wait for the batches that are being committed, and let none begin while this transaction lasts.

    On PostgreSQL; on SQLite any transaction that writes is alone.
    """
    if not bulk.is_sqlite(connection):
        # Every batch begins with these rows, or with a look at none of them.
        await connection.exec_driver_sql("LOCK TABLE tracklog_sources IN EXCLUSIVE MODE")


async def mark_windows(connection: AsyncConnection, touched: Iterable[str], host: str, now: dt.datetime) -> None:
    """Note the minutes of these executions as dirty; see `commit.mark_windows`."""
    await commit.mark_windows(bulk.Transaction(connection), touched, host, now)


def storable(path: str) -> str:
    """Give a path as databases take it: what is no UTF-8 in it is replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _move(portion: Portion, host: str, time: dt.datetime | str) -> Move:
    before, one = portion.before, portion.after
    after = (
        storable(one.path),
        one.compression.value if one.compression is not None else None,
        one.identity.device,
        one.head_length,
        one.head_hash,
        one.tail_length,
        one.tail_hash,
        one.position,
        one.size,
        one.skipping,
        one.ended,
        one.writer,
        one.segment,
        one.lines,
        one.lines_passed,
        one.lines_quarantined,
        time,
    )
    return Move(
        one.source_id,
        (before.position, before.skipping) if before is not None else None,
        after,
        (host, one.identity.inode, one.identity.birth_ns, one.generation, time),
    )


def _checkpoint(row: Mapping[Any, Any]) -> Checkpoint:
    return Checkpoint(
        source_id=row["source_id"],
        path=row["path"],
        identity=Identity(row["device"], row["inode"], row["birth_ns"]),
        generation=row["generation"],
        compression=Compression(row["compression"]) if row["compression"] is not None else None,
        head_length=row["head_length"],
        head_hash=row["head_hash"],
        tail_length=row["tail_length"],
        tail_hash=row["tail_hash"],
        position=row["position"],
        size=row["size"],
        skipping=row["skipping"],
        ended=row["ended"],
        writer=row["writer"],
        segment=row["segment"],
        lines=row["lines"],
        lines_passed=row["lines_passed"],
        lines_quarantined=row["lines_quarantined"],
    )
