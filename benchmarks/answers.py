"""A database of very many executions, made by SQL, to ask: `python -m benchmarks answers --executions 1000000`."""

import asyncio
import datetime as dt
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tracklog.ingester.measures import Window
from tracklog.ingester.migrate import upgrade

AGENTS: Final = ("PsychologistAgent", "PlannerAgent", "WriterAgent", "CriticAgent", "SearchAgent", "EditorAgent")

_DAYS: Final = 30
_MINUTES: Final = _DAYS * 24 * 60
_EXECUTIONS: Final = (
    "INSERT INTO agent_executions (execution_id, agent_name, method, vault_id, conversation_id, field_ranks, start_key,"
    " started_at, status_key, line_status, completed_at, duration_ms, error_type, llm_model, llm_calls,"
    " llm_tokens_used, llm_latency_ms, llm_timed_calls, created_at, last_key)"
    " VALUES (?, ?, 'run', ?, ?, '2222222', ?, ?, ?, ?, ?, ?, ?, 'a-model', 2, ?, ?, 2, ?, ?)"
)
_LOGS: Final = (
    "INSERT INTO agent_execution_logs (execution_id, writer, seq, timestamp, level, message, stage, data, source_id,"
    " line_offset) VALUES (?, 'w', ?, ?, 'info', 'a step was taken', ?, '{\"count\":3}', 's', ?)"
)
_CALLS: Final = (
    "INSERT INTO agent_llm_calls (execution_id, call_id, model, field_ranks, request_key, end_key, started_at,"
    " tokens_used, latency_ms, completed_at) VALUES (?, ?, 'a-model', '09', ?, ?, ?, ?, ?, ?)"
)
_MINUTES_OF: Final = "INSERT INTO agent_performance_metrics VALUES (?, ?, 60, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_HOURS_OF: Final = "INSERT INTO agent_performance_hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def make(directory: Path, executions: int, *, logs: int = 14) -> None:
    """Make the database `t.db`: executions of the last 30 days, up to five minutes ago, with their rollups.

    :param logs: Log rows of each execution; 14 million rows take about 3 GB.
    """
    path = directory / "t.db"
    asyncio.run(upgrade(str(path)))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")  # What is lost with the machine is made anew.
    chance = random.Random(1)
    begin = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0) - dt.timedelta(days=_DAYS, minutes=5)
    made = 0
    hours: defaultdict[tuple[str, str], Window] = defaultdict(Window)
    for minute in range(_MINUTES):
        start = begin + dt.timedelta(minutes=minute)
        count = executions * (minute + 1) // _MINUTES - made
        by_agent: dict[str, list[dict[str, Any]]] = {}
        rows = list(_executions(chance, start, made, count, by_agent))
        made += count
        connection.executemany(_EXECUTIONS, rows)
        connection.executemany(
            _LOGS, ((row[0], seq + 1, row[5], f"stage-{seq % 4}", seq) for row in rows for seq in range(logs))
        )
        connection.executemany(
            _CALLS,
            (
                (row[0], call, row[4], row[4], row[5], row[11] // 2, row[12] / 2, row[8])
                for row in rows
                for call in ("1", "2")
            ),
        )
        for agent, some in sorted(by_agent.items()):
            counted = Window()
            for one in (counted, hours[agent, _text(start.replace(minute=0))]):
                for execution in some:
                    one.total.count(execution)
                    one.by_method["run"].count(execution)
                    for _ in range(2):
                        one.by_model["a-model"].count(_call_of(execution))
            connection.execute(_MINUTES_OF, (agent, _text(start), *counted.values()))
        if minute % 1000 == 0:
            connection.commit()
    connection.executemany(_HOURS_OF, ((*window, *total.values()) for window, total in hours.items()))
    connection.commit()
    connection.close()


def _executions(
    chance: random.Random, start: dt.datetime, first: int, count: int, by_agent: dict[str, list[dict[str, Any]]]
) -> Iterator[tuple[Any, ...]]:
    for number in range(first, first + count):
        created = start + dt.timedelta(seconds=60 * (number - first) / count)
        duration = chance.lognormvariate(7.5, 1.0)
        lot = chance.random()
        status = "failed" if lot < 0.05 else "skipped" if lot < 0.15 else "success"
        error = chance.choice(("ValueError", "TimeoutError", "ConnectionError")) if status == "failed" else None
        agent = chance.choice(AGENTS)
        tokens, latency = chance.randint(500, 5000), duration * 0.8
        by_agent.setdefault(agent, []).append(
            {
                "status": status,
                "error_type": error,
                "duration_ms": duration,
                "llm_calls": 2,
                "llm_tokens_used": tokens,
                "llm_latency_ms": latency,
                "llm_timed_calls": 2,
            }
        )
        key, time = f"{created:%Y-%m-%dT%H:%M:%S.%fZ} w {number:020}", _text(created)
        yield (
            f"{int(created.timestamp() * 1000):012x}-{number:012x}",
            agent,
            f"vault-{number % 50}",
            f"talk-{number // 10}",
            key,
            time,
            f"1{key}",
            status,
            _text(created + dt.timedelta(milliseconds=duration)),
            duration,
            error,
            tokens,
            latency,
            time,
            key,
        )


def _call_of(execution: dict[str, Any]) -> dict[str, Any]:
    """Give what is counted of one of the two calls of an execution."""
    return {
        "status": "success",
        "error_type": None,
        "duration_ms": execution["llm_latency_ms"] / 2,
        "llm_calls": None,
        "llm_tokens_used": execution["llm_tokens_used"] // 2,
        "llm_latency_ms": None,
        "llm_timed_calls": None,
    }


def _text(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S.%f}"
