"""Count executions: from the rollups by hours and minutes where they hold, and from the rows where they do not yet.

Both are counted alike, by counts and sums that can be added, and by histograms that can be merged; so what is made from
both equals what is made from the rows alone.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, or_, select, true, tuple_

from tracklog.analytics.query import Period, Query, chunks, key, unindexed
from tracklog.ingester.measures import (
    COUNTED,
    HOUR,
    MINUTE,
    Measures,
    add_up,
    joined,
    of_calls,
    of_executions,
    sums,
)
from tracklog.ingester.schema import (
    agent_executions,
    agent_llm_calls,
    agent_performance_hours,
    agent_performance_metrics,
    tracklog_dirty_windows,
)

_executions, _calls = agent_executions.c, agent_llm_calls.c
_minutes, _hours = agent_performance_metrics, agent_performance_hours
_dirty = tracklog_dirty_windows.c

_MAX_SPANS: Final = 2000
"""Beyond so many spans that wait for the rollup, as after a large backlog, one pass over all rows is quicker."""

_SPANS: Final = 50
"""Spans in one statement: each is two comparisons of times and one of a name, and a planner keeps up with these."""

ROLLUP, ROWS = "rollup", "rows"


@dataclass(slots=True)
class Measured:
    """What was counted of some executions, and where."""

    measures: Measures = field(default_factory=Measures)
    sources: set[str] = field(default_factory=set)

    def add(self, measures: Measures, *sources: str) -> None:
        """Add what was counted elsewhere."""
        self.measures.add(measures)
        self.sources.update(sources)


By = Literal["agent", "method", "model", "hour"]
_Found = dict[Any, Measured]


def measure(agent_name: str | None, vault_id: str | UUID | None, when: Period, by: By) -> Query[_Found]:
    """Count the executions of a period, or their LLM calls.

    :param by: For each agent by its name, for each method by its agent's name and its own, for each hour by its
        beginning; or the calls for each model by its name. What no line named, or gave a time, is under None.
    """
    found: _Found = {}
    named = [_executions.agent_name == key(agent_name)] if agent_name is not None else []
    whole = _whole(when, MINUTE)
    if vault_id is not None or whole is None:  # The rollup is by agent and time only.
        chosen = [_executions.vault_id == key(vault_id)] if vault_id is not None else []
        yield from _count_rows([and_(true(), *chosen, *named, *when.has(_executions.created_at))], by, found)
        return found
    dirty = [_dirty.agent_name == key(agent_name)] if agent_name is not None else []
    waiting = yield (
        select(_dirty.agent_name, _dirty.window_start)
        .distinct()  # Each ingester marks for itself.
        .where(*dirty, *whole.has(_dirty.window_start))
        .order_by(_dirty.agent_name, _dirty.window_start)
        .limit(_MAX_SPANS + 1)
    )
    minutes = [(row["agent_name"], row["window_start"]) for row in waiting]
    if (by == "method" or by == "model") and len(minutes) <= _MAX_SPANS:
        minutes = sorted({*minutes, *(yield from _not_broken_down(agent_name, whole, by))})
    if len(minutes) > _MAX_SPANS:
        yield from _count_rows([and_(true(), *named, *when.has(_executions.created_at))], by, found)
        return found
    yield from _add_up_rollups(agent_name, whole, minutes, by, found)
    spans = [
        and_(
            # The rollup has no null in its key: executions whose agent no line named are under the empty name.
            _executions.agent_name == name if name else _executions.agent_name.is_(None),
            *span.has(_executions.created_at),
        )
        for name, span in _spans(minutes, MINUTE)
    ]
    spans += [and_(*edge.has(_executions.created_at), *named) for edge in _edges(when, whole)]
    if when == Period():  # Executions without a time are in no minute.
        spans.append(and_(_executions.created_at.is_(None), *named))
    yield from _count_rows(spans, by, found)
    return found


def _whole(when: Period, window: dt.timedelta) -> Period | None:
    """Give the part of a period that is made of whole minutes, or hours; None when there is none."""
    begin = _start(when.begin, window)
    if begin is not None and begin != when.begin:
        if begin > _LATEST - window:
            return None
        begin += window
    end = _start(when.end, window)
    return None if begin is not None and end is not None and begin >= end else Period(begin, end)


_LATEST: Final = dt.datetime.max.replace(tzinfo=dt.UTC)


def _start(time: dt.datetime | None, window: dt.timedelta) -> dt.datetime | None:
    """Give the beginning of the minute, or hour, that a time lies in, in UTC."""
    if time is None:
        return None
    start = time.astimezone(dt.UTC).replace(second=0, microsecond=0)
    return start if window == MINUTE else start.replace(minute=0)


def _edges(when: Period, whole: Period) -> list[Period]:
    """Give what lies of a period before its whole windows, and after them."""
    edges = (Period(when.begin, whole.begin), Period(whole.end, when.end))
    return [edge for edge in edges if edge.begin != edge.end]


_Key = tuple[str, dt.datetime]
"""The name under which the rollup has an agent, and when the minute or hour begins."""


def _spans(windows: Iterable[_Key], length: dt.timedelta) -> list[tuple[str, Period]]:
    """Join windows of one agent that follow each other, given in order."""
    spans: list[tuple[str, Period]] = []
    for name, begin in windows:
        if spans and spans[-1][0] == name and spans[-1][1].end == begin:
            spans[-1] = (name, Period(spans[-1][1].begin, begin + length))
        else:
            spans.append((name, Period(begin, begin + length)))
    return spans


def _not_broken_down(agent_name: str | None, whole: Period, by: Literal["method", "model"]) -> Query[list[_Key]]:
    """Give the minutes of a period in hours of which the rollup does not tell by method, or model, or not of all."""
    named = [_hours.c.agent_name == key(agent_name)] if agent_name is not None else []
    around = Period(_start(whole.begin, HOUR), whole.end)
    rows = yield (
        select(_hours.c.agent_name, _hours.c.window_start)
        .where(_hours.c[f"by_{by}"].is_(None), *named, *around.has(_hours.c.window_start))
        .limit(_MAX_SPANS + 1)
    )
    minutes = ((row["agent_name"], row["window_start"] + MINUTE * place) for row in rows for place in range(60))
    return [one for one in minutes if _is_in(one[1], whole)]


def _add_up_rollups(
    agent_name: str | None, whole: Period, waiting: Sequence[_Key], by: By, found: _Found
) -> Query[None]:
    """Add up hours, and minutes where an hour is not whole or has some that wait to be made anew.

    :param waiting: These minutes, in order; what the rollup has of them is left out.
    """
    hours = _whole(whole, HOUR)
    if hours is None:
        every = and_(true(), *whole.has(_minutes.c.window_start))
        yield from _add_up(_minutes, agent_name, [every], waiting, by, found)
        return
    stale = sorted({(name, start.replace(minute=0)) for name, start in waiting})
    every = and_(true(), *hours.has(_hours.c.window_start))
    yield from _add_up(_hours, agent_name, [every], stale, by, found)
    spans = [and_(*edge.has(_minutes.c.window_start)) for edge in _edges(whole, hours)]
    spans += [
        and_(_minutes.c.agent_name == name, *span.has(_minutes.c.window_start))
        for name, span in _spans((one for one in stale if _is_in(one[1], hours)), HOUR)
    ]
    for some in chunks(spans, _SPANS):
        yield from _add_up(_minutes, agent_name, some, waiting, by, found)


def _is_in(start: dt.datetime, when: Period) -> bool:
    return (when.begin is None or when.begin <= start) and (when.end is None or start < when.end)


def _add_up(
    rollup: Table,
    agent_name: str | None,
    spans: Sequence[ColumnElement[bool]],
    but: Sequence[_Key],
    by: By,
    found: _Found,
) -> Query[None]:
    """Add up the windows of a rollup that meet any of some conditions, but for some."""
    conditions = [rollup.c.agent_name == key(agent_name)] if agent_name is not None else []
    if but:
        conditions.append(tuple_(rollup.c.agent_name, rollup.c.window_start).not_in(but))
    if by == "method" or by == "model":
        yield from _add_up_broken_down(rollup, by, [or_(*spans), *conditions], found)
        return
    of: ColumnElement[Any] = rollup.c.window_start
    if by == "agent":
        of = rollup.c.agent_name if agent_name is not None else unindexed(rollup.c.agent_name)
    rows = yield select(of.label("of"), *sums(rollup)).where(or_(*spans), *conditions).group_by(of)
    for row in rows:
        one = row["of"] or None if by == "agent" else _start(row["of"], HOUR)
        found.setdefault(one, Measured()).add(Measures.summed(row), ROLLUP)


def _add_up_broken_down(
    rollup: Table, by: Literal["method", "model"], conditions: Sequence[ColumnElement[bool]], found: _Found
) -> Query[None]:
    """Add up what windows have by method, for each agent, or by model."""
    agent = unindexed(rollup.c.agent_name)
    rows = yield (select(agent.label("agent"), *joined(rollup.c[f"by_{by}"])).where(*conditions).group_by(agent))
    for row in rows:
        measures: defaultdict[str, Measures] = defaultdict(Measures)
        add_up(row[f"by_{by}"], measures)
        for name, one in measures.items():
            of = (row["agent"] or None, name or None) if by == "method" else name or None
            found.setdefault(of, Measured()).add(one, ROLLUP)


def _count_rows(spans: Sequence[ColumnElement[bool]], by: By, found: _Found) -> Query[None]:
    """Add the executions that meet any of the conditions, no two of which may meet on one."""
    named: dict[str, ColumnElement[Any]] = {"agent": unindexed(_executions.agent_name)}
    if by == "method":
        named["method"] = _executions.method
    for some in chunks(spans, _SPANS):
        if by == "hour":  # A row of each, as hours are not named alike by both databases.
            for row in (yield select(*(_executions[name] for name in ("created_at", *COUNTED))).where(or_(*some))):
                measured = found.setdefault(_start(row["created_at"], HOUR), Measured())
                measured.sources.add(ROWS)
                measured.measures.count(row)
            continue
        query = of_calls(model=_calls.model) if by == "model" else of_executions(**named)
        for row in (yield query.where(or_(*some))):
            of = (row["agent"], row["method"]) if by == "method" else row[by]
            found.setdefault(of, Measured()).add(Measures.counted(row), ROWS)
