"""Put rows into a database, for the tests of what is read from it."""

import asyncio
import datetime as dt
from typing import Any

from sqlalchemy import Table, insert

from tracklog.ingester import schema
from tracklog.ingester.database import open_engine
from tracklog.ingester.migrate import upgrade

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
"""The time at which the tests began, the same for all of them."""


def ago(**span: float) -> dt.datetime:
    """Give the time before now by so many `minutes`, `hours` and the like."""
    return NOW - dt.timedelta(**span)


def lately(**span: float) -> dt.datetime:
    """Give the time so long ago where the answer depends on the present, which in a long run is no longer `NOW`."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(**span)


class Stored:
    """A database with the tables of tracklog, and ways to fill them."""

    def __init__(self, url: str) -> None:
        self.url = url
        asyncio.run(upgrade(url))
        self._seq = 0

    def insert(self, table: Table, *rows: dict[str, Any]) -> None:
        """Insert rows as they are."""

        async def run() -> None:
            engine = open_engine(self.url)
            try:
                async with engine.begin() as connection:
                    await connection.execute(insert(table), list(rows))
            finally:
                await engine.dispose()

        asyncio.run(run())

    def executions(self, *rows: dict[str, Any], mark: bool = True) -> None:
        """Insert executions, each with at least its `execution_id`; `status` is what its lines say.

        :param mark: Note that their minutes are not rolled up, as an ingester does.
        """
        names = {"line_status", *(name for row in rows for name in row if name != "status")}
        filled = []
        for row in rows:
            created = row.get("created_at", NOW)
            given = {name: row.get(name) for name in names if name != "line_status"}
            filled.append(
                {
                    **given,
                    "agent_name": row.get("agent_name", "Agent"),
                    "line_status": row.get("status", "success"),
                    "status_key": f"3 {created}",
                    "last_key": f"{created}",
                    "field_ranks": "0000000",
                    "created_at": created,
                }
            )
        self.insert(schema.agent_executions, *filled)
        windows = {(row["agent_name"] or "", row["created_at"]) for row in filled if row["created_at"] is not None}
        minutes = {(agent, created.replace(second=0, microsecond=0)) for agent, created in windows}
        if mark and minutes:
            self.mark(*minutes)

    def mark(self, *windows: tuple[str, dt.datetime]) -> None:
        """Note that minutes of agents are not rolled up, each time anew."""
        self._seq += 1
        rows = [
            {"agent_name": agent, "window_start": start, "marked_by": f"host {self._seq}", "marked_at": NOW}
            for agent, start in windows
        ]
        self.insert(schema.tracklog_dirty_windows, *rows)

    def crashed(self, execution_id: str, **columns: Any) -> None:
        """Insert an execution that was found dead."""
        row = {"verdict": "crashed", "verdict_key": "9999", "verdict_at": NOW, "status": "running", **columns}
        self.executions({"execution_id": execution_id, **row})

    def logs(self, execution_id: str, *rows: dict[str, Any], source_id: str = "source") -> None:
        """Insert log rows of one execution, in the order given and a millisecond apart."""
        filled = []
        for row in rows:
            self._seq += 1
            filled.append(
                {
                    "execution_id": execution_id,
                    "writer": "w",
                    "seq": self._seq,
                    "timestamp": NOW + dt.timedelta(milliseconds=self._seq),
                    "level": "info",
                    "message": None,
                    "kind": None,
                    "stage": None,
                    "stage_status": None,
                    "duration_ms": None,
                    "data": None,
                    "source_id": source_id,
                    "line_offset": 100 * self._seq,
                    **row,
                }
            )
        self.insert(schema.agent_execution_logs, *filled)

    def call(self, execution_id: str, call_id: str, *, answered: bool = True, **columns: Any) -> None:
        """Insert an LLM call."""
        self.calls({"execution_id": execution_id, "call_id": call_id, "answered": answered, **columns})

    def calls(self, *rows: dict[str, Any]) -> None:
        """Insert LLM calls."""
        self.insert(schema.agent_llm_calls, *map(self._call, rows))

    def _call(self, columns: dict[str, Any]) -> dict[str, Any]:
        self._seq += 1
        columns = dict(columns)
        answered = columns.pop("answered")
        return {
            "model": "gpt-5.1",
            "field_ranks": "00",
            "request_key": f"{self._seq:09d}",
            "end_key": f"{self._seq:09d} end" if answered else None,
            "started_at": NOW,
            "completed_at": NOW if answered else None,
            **columns,
        }

    def links(self, *pairs: tuple[str, str], **columns: Any) -> None:
        """Insert links of call chains, each a parent and a child, in the order they came."""
        rows = [
            {
                "parent_execution_id": parent,
                "child_execution_id": child,
                "created_at": NOW + dt.timedelta(milliseconds=place),
                **columns,
            }
            for place, (parent, child) in enumerate(pairs)
        ]
        self.insert(schema.agent_call_chains, *rows)

    def ingester(self, host: str = "here", **columns: Any) -> None:
        """Insert the presence of an ingester that has just looked and is behind by nothing."""
        row = {
            "host": host,
            "version": "0.1.0",
            "pid": 1,
            "paths": ["logs"],
            "files": 1,
            "bytes_seen": 100,
            "bytes_behind": 0,
            "started_at": NOW,
            "looked_at": dt.datetime.now(dt.UTC),
            "stopped_at": None,
        }
        self.insert(schema.tracklog_ingesters, {**row, **columns})

    def source(self, source_id: str = "source", path: str = "/logs/a.jsonl", **columns: Any) -> None:
        """Insert a log file that was read."""
        row = {
            "source_id": source_id,
            "host": "here",
            "path": path,
            "device": 1,
            "inode": 1,
            "birth_ns": 0,
            "generation": 0,
            "head_length": 0,
            "head_hash": "",
            "tail_length": 0,
            "tail_hash": "",
            "position": 0,
            "size": 0,
            "skipping": False,
            "ended": False,
            "lines": 0,
            "lines_passed": 0,
            "lines_quarantined": 0,
            "first_seen_at": NOW,
            "read_at": NOW,
        }
        self.insert(schema.tracklog_sources, {**row, **columns})
