"""Batches into rows and positions, on both databases."""

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from ingester.lines import event_of, histories, stamped
from tracklog.ingester import bulk, commit, schema
from tracklog.ingester.batch import Piece
from tracklog.ingester.decode import written
from tracklog.ingester.errors import OvertakenError
from tracklog.ingester.fold import LOG_COLUMNS, Rows, executions_of, fold
from tracklog.ingester.identify import Identity
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS, Rules
from tracklog.ingester.read import Chunk
from tracklog.ingester.sources import Checkpoint, Portion, Source
from tracklog.ingester.store import Store, limit_waiting

START = Checkpoint("source", "a.jsonl", Identity(1, 2, 3), 0)
PER_EXECUTION = [
    table for table in schema.metadata.sorted_tables if table.name.startswith("agent_") or "dirty" in table.name
]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = Store(url, "host")
    try:
        await store.prepare()
        yield store
    finally:
        await store.close()


def portion(before: Checkpoint | None, after: Checkpoint) -> Portion:
    source = Source("host", after.path, before, after)
    nothing = Chunk(after.position, b"", after.position, False, None, True)
    return Portion(source, before, after, Piece(after.source_id, 0, b""), nothing, b"", os.stat("."))


async def rows_of(store: Store, name: str) -> list[dict[str, Any]]:
    table = schema.metadata.tables[name]
    async with store.transaction() as connection:
        rows = await connection.execute(select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in rows.mappings()]


async def commit_all(store: Store, batches: list[list[dict[str, Any]]]) -> None:
    """Commit batches one after the other, each as what follows the last position."""
    before = None
    for batch in batches:
        after = replace(before or START, position=(before.position if before else 0) + 1)
        await store.commit([portion(before, after)], fold(map(event_of, batch), "source").rows())
        before = after


async def empty(store: Store) -> None:
    async with store.transaction() as connection:
        for table in [*PER_EXECUTION, schema.tracklog_sources, schema.tracklog_writers]:
            await connection.execute(delete(table))


def comparable(rules: Rules, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take the columns that lines state, JSON and times as text."""
    table = schema.metadata.tables[rules.table]
    return [
        {
            name: orjson.dumps(value).decode()
            if table.c[name].type is schema.Json
            else written(value)
            if isinstance(value, dt.datetime)
            else value
            for name in rules.columns
            if (value := row.get(name)) is not None
        }
        for row in rows
    ]


def stated(rules: Rules, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in rules.columns if row.get(name) is not None} for row in rows]


async def commit_overlapping(store: Store, batches: list[list[dict[str, Any]]]) -> None:
    """Commit batches one after the other, each of which has begun while the one before it was not yet committed."""
    last, before, rows = AsyncExitStack(), None, Rows()
    for batch in batches:
        apart, rows = executions_of(rows), fold(map(event_of, batch), "source").rows()
        own = AsyncExitStack()
        connection = await own.enter_async_context(store.transaction())
        await limit_waiting(connection)
        transaction = bulk.Transaction(connection)
        begun = await commit.begin(transaction, rows, apart)
        assert not begun & apart
        await last.aclose()
        after = replace(before or START, position=(before.position if before else 0) + 1)
        await commit.commit(transaction, store.positions([portion(before, after)]), rows, begun=begun)
        last, before = own, after
    await last.aclose()


_GROUPS = st.lists(st.integers(0, 2), min_size=14, max_size=14)
_merging = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@_merging
@given(lines=histories(), groups=_GROUPS)
def test_upserts_merge_as_the_fold_does(database: str, lines: list[dict[str, Any]], groups: list[int]) -> None:
    """Batches committed one after the other, some of them twice, give the rows of all their lines folded at once."""
    merges_as_the_fold_does(database, lines, groups)


@_merging
@given(lines=histories(), groups=_GROUPS)
def test_what_is_new_is_copied(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, Any]], groups: list[int]
) -> None:
    """So are the rows of many executions; what is there already is merged."""
    monkeypatch.setattr(commit, "_WORTH_COPYING", 0)
    merges_as_the_fold_does(postgres_database, lines, groups)


@_merging
@given(lines=histories(), groups=_GROUPS)
def test_what_came_since_the_look_is_merged(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, Any]], groups: list[int]
) -> None:
    """Another ingester may bring an execution just before it is copied: the copy is taken back."""

    async def seen_nothing(*_: object) -> set[str]:
        return set()

    monkeypatch.setattr(commit, "_WORTH_COPYING", 0)
    monkeypatch.setattr(commit, "_known", seen_nothing)
    merges_as_the_fold_does(postgres_database, lines, groups)


@_merging
@given(lines=histories(), groups=_GROUPS)
def test_what_begins_before_its_turn(
    postgres_database: str, monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, Any]], groups: list[int]
) -> None:
    """What a batch says of new executions is put in while the batch before is not yet committed."""
    monkeypatch.setattr(commit, "_WORTH_COPYING", 0)
    merges_as_the_fold_does(postgres_database, lines, groups, commit_overlapping)


def merges_as_the_fold_does(
    database: str,
    lines: list[dict[str, Any]],
    groups: list[int],
    commit_them: Callable[[Store, list[list[dict[str, Any]]]], Awaitable[None]] = commit_all,
) -> None:
    async def run() -> None:
        async with opened(database) as store:
            await empty(store)
            batches = [
                [line for line, its in zip(lines, groups, strict=False) if its == group] for group in (2, 0, 1, 0)
            ]
            await commit_them(store, batches)
            together = fold(map(event_of, lines), "source")
            for rules, expected in (
                (EXECUTIONS, [together.executions[key] for key in sorted(together.executions)]),
                (LLM_CALLS, [together.llm_calls[key] for key in sorted(together.llm_calls)]),
            ):
                assert stated(rules, expected) == comparable(rules, await rows_of(store, rules.table))
            logs = await rows_of(store, "agent_execution_logs")
            assert sorted(together.logs) == [(row["execution_id"], row["writer"], row["seq"]) for row in logs]
            calls = together.llm_calls.values()
            for row in await rows_of(store, "agent_executions"):
                own = [call for call in calls if call["execution_id"] == row["execution_id"]]
                assert (len(own) or None) == row["llm_calls"]
                tokens = [call["tokens_used"] for call in own if call.get("tokens_used") is not None]
                assert (sum(tokens) if tokens else None) == row["llm_tokens_used"]
                latencies = [call["latency_ms"] for call in own if call.get("latency_ms") is not None]
                assert (len(latencies) if own else None) == row["llm_timed_calls"]
                assert (pytest.approx(sum(latencies)) if latencies else None) == row["llm_latency_ms"]
                named = [call for call in own if call.get("model") is not None]
                last = max(
                    named, key=lambda call: (call.get("request_key") or call["end_key"], call["call_id"]), default={}
                )
                assert last.get("model") == row["llm_model"]

    asyncio.run(run())


def test_a_batch_is_committed_once(database: str) -> None:
    """A batch that another ingester has committed meanwhile changes nothing and says so."""

    async def run() -> None:
        async with opened(database) as store:
            changes = fold([event_of(stamped("w", 1, execution_id="x"))], "source").rows()
            first = replace(START, position=10)
            await store.commit([portion(None, first)], changes)
            with pytest.raises(OvertakenError):
                await store.commit([portion(None, first)], changes)
            second = replace(first, position=20)
            await store.commit(
                [portion(first, second)], fold([event_of(stamped("w", 2, execution_id="y"))], "source").rows()
            )
            with pytest.raises(OvertakenError):
                await store.commit(
                    [portion(first, second)], fold([event_of(stamped("w", 3, execution_id="z"))], "source").rows()
                )
            assert ["x", "y"] == [row["execution_id"] for row in await rows_of(store, "agent_executions")]
            assert {(2, 3): second} == await store.checkpoints([1, 2])
            assert {} == await store.checkpoints([1])

    asyncio.run(run())


def test_a_value_comes_back_as_it_was_logged(database: str) -> None:
    """JSON payloads, times and numbers are the same on both databases."""
    payload = {"text": "ü\ufffd😀", "list": [1, 2.5, None, True], "big": 1 << 62}
    line = stamped("w", 1, at=0.25, execution_id="x", kind="execution.started", input_data=payload, agent_name="A")

    async def run() -> None:
        async with opened(database) as store:
            await commit_all(store, [[line | {"own": payload}]])
            (row,) = await rows_of(store, "agent_executions")
            assert payload == row["input_data"]
            assert dt.datetime(2026, 1, 1, 10, 0, 0, 250000, tzinfo=dt.UTC) == row["started_at"] == row["created_at"]
            (log,) = await rows_of(store, "agent_execution_logs")
            assert {"own": payload} == log["data"]
            assert ("source", 0) == (log["source_id"], log["line_offset"])

    asyncio.run(run())


def test_a_chain_is_known_whichever_line_comes_first(database: str) -> None:
    """A child that is read before its parent is linked to it all the same."""
    child = stamped(
        "w", 2, execution_id="c", kind="execution.started", agent_name="C", parent_execution_id="p", depth=1
    )
    parent = stamped("w", 1, execution_id="p", kind="execution.started", agent_name="P", depth=0)

    async def run() -> None:
        async with opened(database) as store:
            await commit_all(store, [[child], [parent]])
            (link,) = await rows_of(store, "agent_call_chains")
            assert ("c", "p", "C", 1) == tuple(
                link[name] for name in ("child_execution_id", "parent_execution_id", "child_agent", "depth")
            )

    asyncio.run(run())


def test_the_minutes_that_a_batch_touched_are_noted(database: str) -> None:
    """Also the minute that an execution leaves when an earlier line of it arrives."""
    late = stamped("w", 2, at=130, execution_id="x", agent_name="A")
    early = stamped("w", 1, at=10, execution_id="x", agent_name="A")

    async def run() -> None:
        async with opened(database) as store:
            await commit_all(store, [[late]])
            async with store.transaction() as connection:
                await connection.execute(delete(schema.tracklog_dirty_windows))
            await store.commit([], fold([event_of(early)], "source").rows())
            windows = await rows_of(store, "tracklog_dirty_windows")
            minutes = [(row["agent_name"], row["window_start"].strftime("%H:%M")) for row in windows]
            assert [("A", "10:00"), ("A", "10:02")] == minutes

    asyncio.run(run())


def test_what_was_seen_of_a_writer_is_one_set(database: str) -> None:
    """The seq numbers of batches in any order are joined, and what lies between is missing."""
    header: dict[str, Any] = {
        "kind": "writer.opened",
        "segment": 1,
        "pid": 7,
        "host": "h",
        "boot_id": "b",
        "locked": True,
    }

    async def run() -> None:
        async with opened(database) as store:
            await commit_all(
                store, [[stamped("w", 3), stamped("w", 6)], [stamped("w", 1, **header)], [stamped("w", 5)]]
            )
            (row,) = await rows_of(store, "tracklog_writers")
            assert [[1, 1], [3, 3], [5, 6]] == row["seen"]
            assert (6, 7, True, 1) == (row["last_seq"], row["pid"], row["locked"], row["opened_seq"])

    asyncio.run(run())


def test_copied_lines_are_there_once(database: str) -> None:
    """Lines that come a second time, among new ones, are passed over, whichever way rows are brought in."""
    lines = [stamped("w", seq, execution_id="x", event=str(seq)) for seq in range(1, 6)]

    async def run() -> None:
        async with opened(database) as store:
            await commit_all(store, [lines[:3], lines[1:4], lines])
            rows = await rows_of(store, "agent_execution_logs")
            assert ["1", "2", "3", "4", "5"] == [row["message"] for row in rows]

    asyncio.run(run())


def test_columns_of_a_log_row_are_those_of_its_table() -> None:
    """The fold's rows have the table's columns in their order."""
    assert list(LOG_COLUMNS) == [column.name for column in schema.agent_execution_logs.columns]


@pytest.mark.parametrize("rules", [EXECUTIONS, LLM_CALLS])
def test_every_stated_column_is_in_one_rule(rules: Rules) -> None:
    """No column is merged twice, and each exists."""
    assert len(rules.columns) == len(set(rules.columns))
    assert set(rules.columns) <= {column.name for column in schema.metadata.tables[rules.table].columns}
