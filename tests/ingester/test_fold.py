"""From events to rows."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingester.lines import event_of, histories, stamped
from tracklog.ingester.fold import LOG_COLUMNS, Changes, fold
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS, merge_into
from tracklog.processors.line import Kind


def rows_of(*lines: dict[str, Any]) -> Changes:
    return fold(map(event_of, lines), "source")


def execution_of(*lines: dict[str, Any]) -> dict[str, Any]:
    return rows_of(*lines).executions["x"]


def log_of(line: dict[str, Any]) -> dict[str, Any]:
    (row,) = rows_of(line).logs.values()
    log: dict[str, Any] = dict(zip(LOG_COLUMNS, row, strict=True))
    log["data"] = orjson.loads(log["data"]) if log["data"] is not None else None
    return log


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_and_repetition_gives_the_same_rows(lines: list[dict[str, Any]], shuffle: random.Random) -> None:
    """The rows do not depend on the order in which lines are read, nor on how often."""
    shuffled = lines + shuffle.choices(lines, k=5)
    shuffle.shuffle(shuffled)
    expected, actual = rows_of(*lines), rows_of(*shuffled)
    assert expected.executions == actual.executions
    assert expected.llm_calls == actual.llm_calls
    assert expected.logs == actual.logs
    assert expected.writers == actual.writers


@given(histories(), st.lists(st.integers(0, 3), min_size=14, max_size=14))
def test_any_grouping_gives_the_same_rows(lines: list[dict[str, Any]], groups: list[int]) -> None:
    """Batches folded alone and merged are what all their lines folded at once are."""
    together = rows_of(*lines)
    batches = [[line for line, its in zip(lines, groups, strict=False) if its == group] for group in range(4)]
    for rules, name in ((EXECUTIONS, "executions"), (LLM_CALLS, "llm_calls")):
        merged: dict[Any, dict[str, Any]] = {}
        for batch in batches:
            for key, row in getattr(rows_of(*batch), name).items():
                merge_into(rules, merged.setdefault(key, {name: row[name] for name in rules.primary_key}), row)
        assert getattr(together, name) == merged


@pytest.mark.parametrize("kind", [None, "execution.started", "execution.pending", "output"])
def test_none_is_its_own_parent(kind: str | None) -> None:
    """As a line may have it that tells what a child gave."""
    line = stamped("w", 1, execution_id="x", kind=kind, parent_execution_id="x", agent_name="A")
    row = execution_of(line)
    assert (None, "A") == (row.get("parent_execution_id"), row["agent_name"])
    numbers = stamped("w", 1, execution_id=7, kind=kind, parent_execution_id=7)
    assert rows_of(numbers).executions["7"].get("parent_execution_id") is None
    later = stamped("w", 2, execution_id="x", parent_execution_id="p")
    assert "p" == execution_of(line, later)["parent_execution_id"]


def test_a_start_decides_over_a_selection_and_both_over_what_a_line_carries() -> None:
    """`method="GET"` on an ordinary line is not the execution's method."""
    pending = stamped("w", 1, execution_id="x", kind="execution.pending", agent_name="P", call_reason="asked")
    started = stamped("w", 2, execution_id="x", kind="execution.started", agent_name="S", method="run")
    ordinary = stamped("w", 3, execution_id="x", agent_name="A", method="GET", user_id="u")
    row = execution_of(ordinary, pending, started)
    assert ("S", "run", "u", "asked") == tuple(row[name] for name in ("agent_name", "method", "user_id", "call_reason"))
    assert "P" == execution_of(ordinary, pending)["agent_name"]
    assert "A" == execution_of(ordinary)["agent_name"]


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (["success"], "success"),
        (["skipped", "success"], "skipped"),
        (["failed", "skipped"], "failed"),
        (["timeout", "success"], "timeout"),
        ([], "llm_request"),
        (["nonsense"], "llm_request"),
    ],
)
def test_an_end_decides_over_what_goes_on_and_the_worse_one_over_the_better(ends: list[str], status: str) -> None:
    """An execution that ended does not go on, whatever else its lines say later."""
    lines = [
        stamped("w", seq, execution_id="x", kind="execution.finished", status=end) for seq, end in enumerate(ends, 2)
    ]
    later = stamped("w", 9, execution_id="x", kind="llm.request")
    assert (
        status
        == execution_of(stamped("w", 1, execution_id="x", kind="execution.started"), *lines, later)["line_status"]
    )


def test_the_duration_is_that_of_the_end_alone() -> None:
    """A duration that a stage or an ordinary line carries is not the execution's."""
    stage = stamped("w", 1, execution_id="x", kind="stage.completed", stage="s", duration_ms=5)
    assert execution_of(stage)["duration_ms"] is None
    finished = stamped("w", 2, execution_id="x", kind="execution.finished", status="success", duration_ms=7.5)
    assert 7.5 == execution_of(stage, finished)["duration_ms"]


def test_a_failed_execution_stays_at_the_stage_it_reached() -> None:
    """The stage of a failure is where it failed; that of a success is complete."""
    reached = stamped("w", 1, execution_id="x", event="parsing", stage="llm_parse")
    failed = stamped("w", 2, execution_id="x", kind="execution.finished", status="failed")
    assert "llm_parse" == execution_of(reached, failed)["current_stage"]
    assert "complete" == execution_of(reached, failed | {"status": "success"})["current_stage"]


def test_what_is_the_callers_own_comes_back_as_data() -> None:
    """A log row's data are the line's keys that are not ours, with their types."""
    own: dict[str, Any] = {"count": 3, "nested": {"a": [1, None]}, "kind": "click", "url": "/x"}
    log = log_of(stamped("w", 1, execution_id="x", event="found", logger="app", agent_name="A", duration_ms=2, **own))
    assert own == log["data"]
    assert ("found", "app", "info", 2.0, "source", 0) == tuple(
        log[name] for name in ("message", "logger", "level", "duration_ms", "source_id", "line_offset")
    )


def test_large_payloads_are_stored_once() -> None:
    """The request and the response are with the call, not with the log row as well."""
    line = stamped("w", 1, execution_id="x", kind="llm.request", call_id="c", model="m", request={"messages": []})
    assert {"call_id": "c", "model": "m"} == log_of(line)["data"]
    assert '{"messages":[]}' == rows_of(line).llm_calls["x", "c"]["request"]


def test_a_value_of_another_type_under_a_name_of_ours_is_the_callers() -> None:
    """`stage=5` or `duration_ms="long"` on an ordinary line is data, not an error."""
    line = stamped("w", 1, execution_id="x", stage=5, duration_ms="long", method={"name": "GET"})
    assert {"stage": 5, "duration_ms": "long", "method": {"name": "GET"}} == log_of(line)["data"]
    assert "method" not in execution_of(line)


def test_the_data_of_a_stage_are_its_rows_data() -> None:
    """What was passed as a stage's data comes back as such."""
    line = stamped("w", 1, execution_id="x", kind="stage.started", stage="s", data={"prompt": 1}, more=2)
    assert {"prompt": 1, "more": 2} == log_of(line)["data"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.EXECUTION_STARTED, ("init", "started")),
        (Kind.RELEVANCE, ("should_respond", "completed")),
        (Kind.LLM_REQUEST, ("llm_call", "started")),
        (Kind.LLM_RESPONSE, ("llm_call", "completed")),
        (Kind.LLM_ERROR, ("llm_call", "failed")),
        (Kind.OUTPUT, (None, None)),
    ],
)
def test_a_kind_implies_its_stage(kind: Kind, expected: tuple[str | None, str | None]) -> None:
    """The stages of the lifecycle are those of its lines, without being written on them."""
    log = log_of(stamped("w", 1, execution_id="x", kind=kind.value))
    assert expected == (log["stage"], log["stage_status"])


def test_several_calls_of_one_execution_are_all_kept() -> None:
    """Each call is a row, and the model that was asked for decides over the one that answered."""
    changes = rows_of(
        stamped("w", 1, execution_id="x", kind="llm.request", call_id="c1", model="m", request=1),
        stamped("w", 2, execution_id="x", kind="llm.request", call_id="c2", model="m", request=2),
        stamped(
            "w", 3, execution_id="x", kind="llm.response", call_id="c1", model="m-2026", response=3, input_tokens=4
        ),
    )
    one, other = changes.llm_calls["x", "c1"], changes.llm_calls["x", "c2"]
    assert ("m", "1", "3", 4) == tuple(one[name] for name in ("model", "request", "response", "tokens_used"))
    assert "end_key" not in other


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"input_tokens": 127, "output_tokens": 3, "cache_read_tokens": 100, "cache_write_tokens": 20}, (130, 127)),
        ({"input_tokens": 7, "output_tokens": 3, "cache_read_tokens": 100, "cache_write_tokens": 20}, (130, 127)),
        ({"gen_ai.usage.input_tokens": 7, "gen_ai.usage.cache_read.input_tokens": 100}, (107, 107)),
        ({"gen_ai.usage.input_tokens": 107, "gen_ai.usage.cache_read.input_tokens": 100}, (107, 107)),
        ({"input_tokens": 7, "cache_read_tokens": 100, "tokens_used": 10}, (10, 7)),
        ({"input_tokens": 10**15 - 1, "output_tokens": 1}, (None, 10**15 - 1)),
        ({"cache_read_tokens": 5}, (None, None)),
        ({"tokens_used": "12", "input_tokens": 3.0}, (12, 3)),
        ({"input_tokens": "3", "output_tokens": 2.5}, (3, 3)),
        ({"tokens_used": "-1", "input_tokens": "many"}, (None, None)),
        ({"tokens_used": [12], "input_tokens": "9" * 40, "output_tokens": True}, (None, None)),
    ],
    ids=str,
)
def test_the_tokens_of_a_call_are_all_that_went_in_and_out(counts: dict[str, Any], expected: Any) -> None:
    """What was cached is part of the input; where it is more, it was counted beside, unless the line states a total."""
    line = stamped("w", 1, execution_id="x", kind="llm.response", call_id="c", **counts)
    call = rows_of(line).llm_calls["x", "c"]
    assert expected == (call["tokens_used"], call["input_tokens"])


def test_calls_without_an_id_are_calls_of_their_own() -> None:
    """Foreign lines that do not say which call they belong to are not mixed."""
    lines = [stamped("w", seq, execution_id="x", kind="llm.response", response=seq) for seq in (1, 2)]
    assert 2 == len(rows_of(*lines).llm_calls)


@pytest.mark.parametrize(
    ("exception", "text"),
    [
        ("Traceback …\nValueError: no", "Traceback …\nValueError: no"),
        (
            [
                {
                    "exc_type": "ValueError",
                    "exc_value": "no",
                    "frames": [{"filename": "a.py", "lineno": 3, "name": "f"}],
                }
            ],
            'Traceback (most recent call last):\n  File "a.py", line 3, in f\nValueError: no',
        ),
        (None, None),
    ],
)
def test_a_traceback_is_text_in_whichever_shape_it_came(exception: Any, text: str | None) -> None:
    """structlog gives an exception as text or as a list of dicts."""
    line = stamped("w", 1, execution_id="x", kind="execution.finished", status="failed", exception=exception)
    assert text == execution_of(line)["error_traceback"]


def test_lines_without_an_execution_are_seen_and_passed_over() -> None:
    """They make no rows, but their writer's seq shows that they were there."""
    changes = rows_of(stamped("w", 1), stamped("w", 2, execution_id="x"))
    assert [[1, 2]] == changes.writers["w"].seen
    assert ["x"] == list(changes.executions)


def test_amounts_whose_sum_would_overflow_are_data() -> None:
    """A count of tokens, or a duration, that no column sums is the caller's own value, not the database's trouble."""
    changes = rows_of(
        stamped("w", 1, execution_id="x", kind="llm.response", call_id="c", tokens_used=1 << 62, latency_ms=1e300)
    )
    call = changes.llm_calls["x", "c"]
    assert (None, None) == (call["tokens_used"], call["latency_ms"])
