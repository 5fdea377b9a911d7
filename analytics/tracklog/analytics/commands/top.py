"""The command `top`: what runs, and how it goes, in place."""

import contextlib
import datetime as dt
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.answers.executions import UNSUCCESSFUL
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks, option_agent, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.duration import Duration
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line, safe
from tracklog.analytics.record import Record
from tracklog.ingester.errors import DatabaseError

_SORTS: Final = ("runs", "failed", "slowest", "tokens")
_RUNNING = (
    Column("AGENT", least=16),
    Column("ID"),
    Column("STATUS", drop=1),
    Column("STAGE", least=10),
    Column("AGE", right=True),
    Column("CALLS", right=True, drop=2),
    Column("TOKENS", right=True, drop=3),
)
_AGENTS = (
    Column("AGENT", least=16),
    Column("RUNS", right=True),
    Column("/MIN", right=True, drop=1),
    Column("FAILED", right=True),
    Column("SLOWEST", right=True),
    Column("CALLS", right=True, drop=2),
    Column("TOKENS", right=True),
)
_FAILED = (
    Column("AGENT", least=16),
    Column("ID"),
    Column("STATUS", drop=1),
    Column("BEGAN", drop=2),
    Column("ERROR", least=20),
)

_MOST: Final = 12
"""Rows of a table; what is more is told."""


@dataclass(slots=True)
class _View:
    """What is looked at, and how."""

    sort: str
    agent: str | None
    typed: str | None = None
    """What is being typed as an agent's name."""

    def press(self, key: str) -> bool:
        """Do what a key says; False if it is time to leave."""
        if self.typed is not None:
            if key in "\r\n":
                self.agent, self.typed = self.typed or None, None
            elif key == "\x1b":
                self.typed = None
            elif key in "\x7f\b":
                self.typed = self.typed[:-1]
            elif key.isprintable():
                self.typed += key
            return True
        if key == "s":
            self.sort = _SORTS[(_SORTS.index(self.sort) + 1) % len(_SORTS)]
        elif key == "/":
            self.typed = ""
        return key not in ("q", "Q")


@click.command("top")
@click.option(
    "--window", type=Duration(), default="15min", show_default=True, metavar="TIME", help="Measure so long back."
)
@click.option("--interval", type=Duration(), default="1s", show_default=True, metavar="TIME", help="Look so often.")
@click.option("--sort", type=click.Choice(_SORTS), default="runs", show_default=True, help="Which agents come first.")
@click.option("--once", is_flag=True, help="Look once, and end; as it is in a pipe.")
@option_agent
@option_vault
@asks
def command(
    asked: Asked, window: float, interval: float, sort: str, once: bool, agent: str | None, vault: str | None
) -> None:
    """Watch what runs, and of the last 15 minutes the rates, failures, slowest executions and tokens of each agent.

    On a terminal it is refreshed in place. Keys: s sorts by the next column, / takes the name of an agent, q quits.
    """
    out = Screen()
    view = _View(sort, agent)
    minutes = max(window, 1.0) / 60_000
    with asked.analytics() as analytics:

        def look() -> Record:
            return analytics.get_activity(minutes, view.agent, vault)

        activity = look()  # A database that is not there is told of now.
        if asked.json:
            screen.print_json(activity)
        elif once or not out.is_terminal or not sys.stdin.isatty() or Console().is_dumb_terminal:
            out.print(*_page(out, activity, view, analytics.shortest_prefixes(_ids(activity))))
        else:
            with _keys() as key, Live(console=Console(), screen=True, auto_refresh=False) as live:
                trouble = None
                while True:
                    shortest = {} if trouble else analytics.shortest_prefixes(_ids(activity))
                    live.update(Group(*_page(out, activity, view, shortest, trouble), *_keys_of(view)), refresh=True)
                    until = time.monotonic() + max(0.1, interval / 1000)
                    while (pressed := key(until - time.monotonic())) is not None:
                        if not all(map(view.press, pressed)):
                            return
                        live.update(
                            Group(*_page(out, activity, view, shortest, trouble), *_keys_of(view)), refresh=True
                        )
                    try:
                        activity, trouble = look(), None
                    except DatabaseError as error:
                        trouble = str(error)


def _ids(activity: Record) -> list[str]:
    return [row["execution_id"] for row in (*activity.running[:_MOST], *activity.failed[:_MOST])]


def _page(
    out: Screen, activity: Record, view: _View, shortest: dict[str, str], trouble: str | None = None
) -> Iterator[RenderableType]:
    agents = sorted(activity.agents, key=lambda agent: -_measure(agent, view.sort))
    runs = sum(agent["executions"] for agent in agents)
    head = Text(f"{activity.at.astimezone():%H:%M:%S}", "bold").append("  ", "not bold")
    head.append(f"{units.count(activity.running_count)} running", "not bold")
    if activity.pending_count:
        head.append(f", {units.count(activity.pending_count)} pending", "not bold")
    head.append(f"   in {units.duration(activity.minutes * 60_000)}: ", "dim not bold")
    head.append(f"{units.plural(runs, 'execution')}, {runs / activity.minutes:.1f}/min, ", "not bold")
    head.append(f"{units.count(activity.failed_count)} failed", "red not bold" if activity.failed_count else "not bold")
    head.append(f", {units.count(sum(agent['tokens'] for agent in agents))} tokens", "not bold")
    yield head
    if trouble is not None:
        yield Text(f"{one_line(trouble)}; going on when it is back", "red")
    if view.typed is not None:
        yield Text(f"agent: {safe(view.typed)}▁")
    elif view.agent is not None:
        yield Text(f"agent: {safe(view.agent)}", "cyan")
    yield Text()
    yield from _table(
        out,
        "Nothing runs.",
        _RUNNING,
        activity.running,
        activity.running_count,
        lambda row: _running(out, row, shortest),
    )
    if agents:
        yield Text()
        yield from _table(out, "", _AGENTS, agents, len(agents), _agent)
    if activity.failed:
        yield Text()
        yield from _table(
            out, "", _FAILED, activity.failed, activity.failed_count, lambda row: _failed(out, row, shortest)
        )


def _keys_of(view: _View) -> Iterator[RenderableType]:
    """Say which keys there are."""
    yield Text()
    yield Text(f"s sort ({view.sort})   / agent   q quit", "dim")


def _table(
    out: Screen, empty: str, columns: Sequence[Column], rows: Sequence[Record], number: int, cells: Any
) -> Iterator[RenderableType]:
    if not rows:
        yield Text(empty, "dim")
        return
    yield out.table(columns, [cells(row) for row in rows[:_MOST]])
    if number > _MOST:
        yield Text(f"… {units.count(number - _MOST)} more", "dim")


def _running(out: Screen, row: Record, shortest: dict[str, str]) -> list[str | Text]:
    age = None
    if row["created_at"] is not None:
        age = max(0.0, (dt.datetime.now(dt.UTC) - row["created_at"]).total_seconds() * 1000)
    return [
        screen.name(row["agent_name"], row["method"]),
        screen.ids(out, shortest, row["execution_id"]),
        screen.status(row["status"]),
        one_line(row["current_stage"]) or units.NOTHING,
        units.duration(age),
        units.count(row["llm_calls"]),
        units.count(row["llm_tokens_used"]),
    ]


def _agent(agent: Record) -> list[str | Text]:
    bad = _failures(agent)
    return [
        screen.name(agent["agent_name"]),
        units.count(agent["executions"]),
        f"{agent['per_minute']:.1f}",
        Text(units.count(bad), "red" if bad else ""),
        units.duration(agent["slowest_ms"]),
        units.count(agent["llm_calls"]),
        units.count(agent["tokens"]),
    ]


def _failed(out: Screen, row: Record, shortest: dict[str, str]) -> list[str | Text]:
    return [
        screen.name(row["agent_name"], row["method"]),
        screen.ids(out, shortest, row["execution_id"]),
        screen.status(row["status"]),
        units.moment(row["created_at"]),
        one_line(error_of(row)) or units.NOTHING,
    ]


def _failures(agent: Record) -> int:
    counts: dict[str, int] = agent["status_counts"]
    return sum(counts.get(status, 0) for status in UNSUCCESSFUL)


def _measure(agent: Record, sort: str) -> float:
    measures = {
        "runs": agent["executions"],
        "failed": _failures(agent),
        "slowest": agent["slowest_ms"] or 0.0,
        "tokens": agent["tokens"],
    }
    return float(measures[sort])


@contextlib.contextmanager
def _keys() -> Iterator[Any]:
    """Read keys as they are pressed, and leave the terminal as it was; gives what waits so many seconds for some."""
    import termios
    import tty

    def terminated(_signal: int, _frame: object) -> None:
        raise SystemExit(Exit.TERMINATED)

    def key(seconds: float) -> str | None:
        ready, _, _ = select.select([terminal], [], [], max(0.0, seconds))
        return os.read(terminal, 64).decode(errors="replace") or "q" if ready else None

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    handler = signal.signal(signal.SIGTERM, terminated)
    try:
        tty.setcbreak(terminal, termios.TCSADRAIN)
        yield key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, handler)
