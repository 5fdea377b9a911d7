"""A database that grows: what the newest line costs beside an early one, and how fast it answers then."""

import datetime as dt
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.backlog import ingest
from benchmarks.lines import write_lines
from tracklog.analytics import ExecutionAnalytics

EXECUTIONS_PER_STEP = 8000
"""About 100,000 lines."""

_TRIES = 40
_TRACKLOG = [sys.executable, "-c", "from tracklog.analytics.cli import main; main()"]


def fill(directory: Path, steps: int) -> list[float]:
    """Fill the database `t.db`, file after file, spread over the last day; give lines a second of each."""
    rates = []
    start = dt.datetime.now(dt.UTC) - dt.timedelta(hours=23)
    every = dt.timedelta(hours=22) / steps
    path = directory / "bench.jsonl"
    for step in range(steps):
        pause = every.total_seconds() * 1000 / EXECUTIONS_PER_STEP / 14 * 2
        lines = write_lines(path, EXECUTIONS_PER_STEP, seed=step + 1, start=start + step * every, pause=pause)
        rates.append(ingest(path, lines, str(directory / "t.db")))
        path.unlink()
    return rates


def _sample(directory: Path) -> list[tuple[str, str, str]]:
    connection = sqlite3.connect(directory / "t.db")
    (last,) = connection.execute("SELECT max(rowid) FROM agent_executions").fetchone()
    chosen = random.Random(1).sample(range(1, last + 1), _TRIES)
    one = "SELECT execution_id, agent_name, conversation_id FROM agent_executions WHERE rowid = ?"
    rows = [connection.execute(one, (rowid,)).fetchone() for rowid in chosen]
    connection.close()
    return rows


def answers(directory: Path) -> dict[str, float]:
    """Give for each method how long it takes inside the process, the 95th percentile in milliseconds."""
    took = {}
    sample = _sample(directory)
    with ExecutionAnalytics(str(directory / "t.db")) as ask:
        questions: dict[str, Callable[[str, str, str], Any]] = {
            "get_execution": lambda one, _agent, _talk: ask.get_execution(one),
            "get_execution_with_logs": lambda one, _agent, _talk: ask.get_execution_with_logs(one),
            "get_stage_timeline": lambda one, _agent, _talk: ask.get_stage_timeline(one),
            "get_llm_interactions": lambda one, _agent, _talk: ask.get_llm_interactions(one),
            "get_execution_call_chain": lambda one, _agent, _talk: ask.get_execution_call_chain(one),
            "debug_why_agent_didnt_fire": lambda _one, agent, talk: ask.debug_why_agent_didnt_fire(agent, talk),
            "get_recent_executions": lambda _one, agent, _talk: ask.get_recent_executions(agent_name=agent),
            "get_failed_executions": lambda _one, _agent, _talk: ask.get_failed_executions(hours=1),
            "get_skipped_executions": lambda _one, _agent, _talk: ask.get_skipped_executions(hours=24),
            "find_slow_executions": lambda _one, _agent, _talk: ask.find_slow_executions(8000, hours=1),
            "analyze_agent_performance": lambda _one, agent, _talk: ask.analyze_agent_performance(agent, hours=720),
            "performance_by_agent": lambda _one, _agent, _talk: ask.performance_by_agent(hours=24),
            "performance_by method": lambda _one, _agent, _talk: ask.performance_by("method", hours=24),
            "performance_by hour": lambda _one, _agent, _talk: ask.performance_by("hour", hours=24),
            "performance_by_model": lambda _one, _agent, _talk: ask.performance_by_model(hours=24),
            "get_failure_groups": lambda _one, _agent, _talk: ask.get_failure_groups(hours=24),
            "get_waterfall": lambda one, _agent, _talk: ask.get_waterfall(one),
            "get_executions": lambda one, _agent, _talk: ask.get_executions([one]),
            "get_log_lines": lambda one, _agent, _talk: ask.get_log_lines([one]),
            "search_log_lines": lambda _one, _agent, talk: ask.search_log_lines("step", conversation_id=talk),
            "get_conversation": lambda _one, _agent, talk: ask.get_conversation(talk),
            "find_conversations": lambda _one, _agent, talk: ask.find_conversations(talk[:-1]),
            "compare_executions": lambda one, _agent, _talk: ask.compare_executions(one, sample[0][0]),
            "get_activity": lambda _one, _agent, _talk: ask.get_activity(),
            "get_ingestion": lambda _one, _agent, _talk: ask.get_ingestion(),
            "get_losses": lambda _one, _agent, _talk: ask.get_losses(),
            "resolve_prefix": lambda one, _agent, _talk: ask.resolve_prefix(one[:-1]),
            "shortest_prefixes": lambda _one, _agent, _talk: ask.shortest_prefixes(row[0] for row in sample),
        }
        for name, question in questions.items():
            times = []
            for row in sample:
                began = time.perf_counter()
                question(*row)
                times.append((time.perf_counter() - began) * 1000)
            took[name] = statistics.quantiles(times, n=20)[-1]
    return took


def full_aggregate(directory: Path) -> tuple[float, float]:
    """Give milliseconds for an agent's performance over 30 days, from rollups and by a full aggregate."""
    agent = _sample(directory)[0][1]
    rolled, counted = [], []
    connection = sqlite3.connect(directory / "t.db")
    with ExecutionAnalytics(str(directory / "t.db")) as ask:
        for _ in range(5):
            began = time.perf_counter()
            ask.analyze_agent_performance(agent, hours=720)
            rolled.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            connection.execute(
                "SELECT status, count(*), avg(duration_ms), sum(llm_calls), sum(llm_tokens_used) FROM agent_executions"
                " WHERE agent_name = ? AND created_at > datetime('now', '-30 days') GROUP BY status",
                (agent,),
            ).fetchall()
            connection.execute(
                "SELECT duration_ms FROM agent_executions WHERE agent_name = ? AND created_at > datetime('now',"
                " '-30 days') ORDER BY duration_ms",
                (agent,),
            ).fetchall()
            counted.append((time.perf_counter() - began) * 1000)
    connection.close()
    return statistics.median(rolled), statistics.median(counted)


def command_line(directory: Path) -> dict[str, float]:
    """Give how long commands take in all, the interpreter's start included, medians in milliseconds.

    With bytecode that is there already, as pip leaves it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(directory / "bytecode")
    one = _sample(directory)[0][0]
    commands = {"tracklog show": ["show", one, "--db", str(directory / "t.db")], "tracklog --help": ["--help"]}
    took = {}
    for name, arguments in commands.items():
        times = []
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([*_TRACKLOG, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
            times.append((time.perf_counter() - began) * 1000)
        took[name] = statistics.median(times)
    return took
