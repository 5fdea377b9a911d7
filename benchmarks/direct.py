"""A tracked execution of 14 events, against an agent that writes the same 14 rows itself, a transaction each."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

EXECUTIONS = 500
EVENTS = 14

_OURS = """
import time
import structlog
from tracklog.processors import configure, execution
configure({place!r}, console=False)
log = structlog.get_logger()
def run(count):
    began = time.perf_counter()
    for number in range(count):
        with execution("Bench", input_data={{"query": "boundaries"}}) as one:
            one.relevance(True, confidence=0.8, reasoning="a chapter is named")
            for step in range(8):
                log.info("found boundaries", count=step, source="povs", ratio=0.25, ok=True)
            with one.llm_call(model="gpt-5.1", request={request!r}) as call:
                call.set_response({response!r}, tokens_used=900)
            one.set_output({{"text": "done"}})
    return (time.perf_counter() - began) / count * 1e6
run(50)
print(run({count}))
"""

_REQUEST = {"messages": [{"role": "user", "content": "where does the chapter end? " * 140}]}
_RESPONSE = {"content": "there, where the storm begins. " * 80}
_TABLE = (
    "CREATE TABLE events (execution_id text, seq int, timestamp text, kind text, data text, PRIMARY KEY"
    " (execution_id, seq))"
)


def ours(directory: Path) -> float:
    """Give microseconds an execution, lines on disk."""
    text = _OURS.format(place=str(directory), count=EXECUTIONS, request=_REQUEST, response=_RESPONSE)
    return float(subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True).stdout)


def _rows(number: int) -> list[tuple[str, int, str, str, str]]:
    sizes = [60] * (EVENTS - 2) + [4000, 2400]
    return [(f"e{number}", seq, "2026-11-01T10:00:00Z", "event", "x" * size) for seq, size in enumerate(sizes)]


def to_sqlite(directory: Path) -> float:
    """Give microseconds for 14 transactions into SQLite, with a WAL and `synchronous = NORMAL`."""
    connection = sqlite3.connect(directory / "direct.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(_TABLE)
    began = time.perf_counter()
    for number in range(EXECUTIONS):
        for row in _rows(number):
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", row)
    took = time.perf_counter() - began
    connection.close()
    return took / EXECUTIONS * 1e6


class _Base(DeclarativeBase):
    pass


class _Event(_Base):
    __tablename__ = "session_events"
    execution_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    timestamp: Mapped[str]
    kind: Mapped[str]
    data: Mapped[str]


def by_session(url: str) -> float:
    """Give microseconds for 14 commits of SQLAlchemy's asynchronous sessions, the database as it comes."""

    async def run() -> float:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(_Base.metadata.create_all)
        sessions = async_sessionmaker(engine)
        began = time.perf_counter()
        for number in range(_SESSION_EXECUTIONS):
            for execution_id, seq, timestamp, kind, data in _rows(number):
                async with sessions.begin() as session:
                    session.add(_Event(execution_id=execution_id, seq=seq, timestamp=timestamp, kind=kind, data=data))
        took = time.perf_counter() - began
        await engine.dispose()
        return took / _SESSION_EXECUTIONS * 1e6

    return asyncio.run(run())


_SESSION_EXECUTIONS = 100


def to_postgresql(url: str) -> float:
    """Give microseconds for 14 transactions into PostgreSQL, by asyncpg over one open connection."""

    async def run() -> float:
        connection = await asyncpg.connect(url)
        await connection.execute(_TABLE)
        began = time.perf_counter()
        for number in range(EXECUTIONS):
            for row in _rows(number):
                await connection.execute("INSERT INTO events VALUES ($1, $2, $3, $4, $5)", *row)
        took = time.perf_counter() - began
        await connection.close()
        return took / EXECUTIONS * 1e6

    return asyncio.run(run())
