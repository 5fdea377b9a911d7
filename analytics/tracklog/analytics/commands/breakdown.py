"""Print measures by method, model or hour."""

import datetime as dt
from collections.abc import Callable
from typing import Final

from rich.text import Text

from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.bars import sparkline
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record

_HOUR: Final = dt.timedelta(hours=1)
_MOST_HOURS: Final = 168
"""Hours of a sparkline: a week, the newest; on a narrow terminal fewer."""

_BAD: Final = ("failed", "timeout", "crashed")

_MODELS: Final = (
    Column("MODEL", least=12),
    Column("CALLS", right=True),
    Column("SUCCESS", right=True),
    Column("AVG", right=True, drop=2),
    Column("P50", right=True, drop=4),
    Column("P95", right=True),
    Column("P99", right=True, drop=3),
    Column("TOKENS", right=True, drop=1),
    Column("MOST COMMON ERROR", least=16, drop=5),
)


def print_models(out: Screen, reports: list[Record]) -> None:
    """Print a table of LLM calls by model."""
    rows = []
    for report in reports:
        ended = sum(report.status_counts.get(status, 0) for status in ("success", "failed"))
        error, number = next(iter(report.common_errors.items()), (None, 0))
        rows.append(
            [
                one_line(report.model) or units.NOTHING,
                units.count(report.total_calls),
                units.share(report.success_rate) if ended else units.NOTHING,
                units.duration(report.avg_latency_ms if report.p50_latency_ms is not None else None),
                units.duration(report.p50_latency_ms),
                units.duration(report.p95_latency_ms),
                units.duration(report.p99_latency_ms),
                units.count(report.total_tokens),
                f"{one_line(error)} ({number:,})" if error is not None else "",
            ]
        )
    out.print(out.table(_MODELS, rows))


def hour(report: Record) -> str:
    """Name a report's hour, in the reader's zone."""
    return units.NOTHING if report.hour is None else f"{report.hour.astimezone():%Y-%m-%d %H:%M}"


def method(report: Record) -> Text:
    """Name a report's agent and method."""
    return screen.name(report.agent_name, report.method)


def print_sparklines(out: Screen, reports: list[Record]) -> None:
    """Draw the hours from the first to the last, those without executions too, each as one column."""
    timed = {report.hour: report for report in reports if report.hour is not None}
    if not timed:
        return
    last = max(timed)
    most = max(1, min(_MOST_HOURS, out.width - 24))
    count = min(most, (last - min(timed)) // _HOUR + 1)
    hours = [timed.get(last - _HOUR * back) for back in reversed(range(count))]

    def line(number: Callable[[Record], float]) -> str:
        numbers = [number(report) if report is not None else 0.0 for report in hours]
        return f"{sparkline(numbers)}|"

    failures = line(lambda report: sum(report.status_counts.get(status, 0) for status in _BAD))
    out.print(
        screen.facts(
            [
                ("Executions", line(lambda report: report.total_executions)),
                ("Ended badly", Text(failures, style="red")),
                ("P95", line(lambda report: report.p95_duration_ms or 0.0)),
                ("Tokens", line(lambda report: report.llm_stats.total_tokens)),
            ]
        ),
        Text(),
    )
