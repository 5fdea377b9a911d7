"""The command `stats`: how agents do."""

from typing import TYPE_CHECKING

import click
from rich.text import Text

from tracklog.analytics.answers.breakdown import BREAKDOWN_FIELDS
from tracklog.analytics.answers.performance import FIELDS
from tracklog.analytics.commands import breakdown, screen, units
from tracklog.analytics.commands.asked import Asked, lists, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.freshness import freshness
from tracklog.analytics.commands.period import Period, option_period
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_COLUMNS = (
    Column("AGENT", least=16),
    Column("RUNS", right=True),
    Column("SUCCESS", right=True),
    Column("AVG", right=True, drop=2),
    Column("P50", right=True, drop=4),
    Column("P95", right=True),
    Column("P99", right=True, drop=3),
    Column("CALLS", right=True, drop=5),
    Column("TOKENS", right=True, drop=1),
    Column("MOST COMMON ERROR", least=16, drop=6),
)


@click.command("stats")
@click.argument("agent", required=False)
@click.option(
    "--by",
    type=click.Choice(["agent", "method", "model", "hour"]),
    help="Measure each agent, each of its methods, each model's calls, or each hour.",
)
@option_vault
@option_period(24.0)
@lists
def command(asked: Asked, agent: str | None, by: str | None, vault: str | None, period: Period) -> None:
    """Measure AGENT, or every agent: success, durations, errors, LLM calls and tokens.

    Success is of the executions that ended and were not skipped. Percentiles are within 1 %.
    """
    with asked.analytics() as analytics:
        if by in ("method", "model", "hour"):
            _answer_by(asked, analytics, by, agent, vault, period)
            return
        if agent is not None:
            report = analytics.analyze_agent_performance(agent, vault, **period.asked)
            if asked.json and not asked.given.fields:
                screen.print_json(report)
            elif asked.is_for_programs:
                asked.print([report])
            else:
                _print_one(asked, report, period, analytics.get_ingestion())
            return
        reports = analytics.performance_by_agent(vault_id=vault, **period.asked)
        if asked.is_for_programs:
            asked.print(reports, FIELDS)
            return
        ingestion = analytics.get_ingestion()
    out = Screen()
    if not reports:
        out.print(Text(f"No executions {period}."), Text(), freshness(ingestion))
        return
    out.print(out.table(_COLUMNS, map(_row, reports)), Text(), freshness(ingestion))
    worst = max(reports, key=lambda report: sum(report.common_errors.values()))
    if worst.agent_name is not None:
        out.hint(asked.hint("stats", worst.agent_name))


def _answer_by(
    asked: Asked, analytics: "ExecutionAnalytics", by: str, agent: str | None, vault: str | None, period: Period
) -> None:
    """Answer by methods, models or hours."""
    if by == "model":
        reports = analytics.performance_by_model(vault_id=vault, agent_name=agent, **period.asked)
    else:
        reports = analytics.performance_by(
            "hour" if by == "hour" else "method", vault_id=vault, agent_name=agent, **period.asked
        )
    if asked.is_for_programs:
        asked.print(reports, BREAKDOWN_FIELDS[by])
        return
    out = Screen()
    if not reports:
        what = "LLM calls" if by == "model" else "executions"
        out.print(Text(f"No {what} {period}."))
    elif by == "model":
        breakdown.print_models(out, reports)
    elif by == "hour":
        breakdown.print_sparklines(out, reports)
        out.print(
            out.table((Column("HOUR"), *_COLUMNS[1:]), ([breakdown.hour(one), *_row(one)[1:]] for one in reports))
        )
    else:
        out.print(out.table(_COLUMNS, ([breakdown.method(one), *_row(one)[1:]] for one in reports)))
    out.print(Text(), freshness(analytics.get_ingestion()))
    if any(report.common_errors for report in reports):
        out.hint(asked.hint("failed", "--group", *(["--agent", agent] if agent is not None else [])))


def _row(report: Record) -> list[str | Text]:
    error, executions = next(iter(report.common_errors.items()), (None, 0))
    return [
        screen.name(report.agent_name),
        units.count(report.total_executions),
        _success(report),
        units.duration(report.avg_duration_ms if report.p50_duration_ms is not None else None),
        units.duration(report.p50_duration_ms),
        units.duration(report.p95_duration_ms),
        units.duration(report.p99_duration_ms),
        units.count(report.llm_stats.total_calls),
        units.count(report.llm_stats.total_tokens),
        f"{one_line(error)} ({executions:,})" if error is not None else "",
    ]


def _success(report: Record) -> str:
    counts = report.status_counts
    ended = sum(counts.get(status, 0) for status in ("success", "failed", "timeout", "crashed"))
    return units.share(report.success_rate) if ended else units.NOTHING


def _print_one(asked: Asked, report: Record, period: Period, ingestion: Record) -> None:
    out = Screen()
    runs = units.plural(report.total_executions, "execution")
    out.print(Text(one_line(report.agent_name), "bold").append(f"  {runs} {period}", "not bold"))
    if not report.total_executions:
        out.print(Text(), freshness(ingestion))
        out.hint(asked.hint("why", report.agent_name))
        return
    timed = report.p50_duration_ms is not None
    llm = report.llm_stats
    facts = [
        ("Success", _success(report)),
        ("Statuses", ", ".join(f"{one_line(name)} {number:,}" for name, number in report.status_counts.items())),
        (
            "Duration",
            f"average {units.duration(report.avg_duration_ms)}, p50 {units.duration(report.p50_duration_ms)}, "
            f"p95 {units.duration(report.p95_duration_ms)}, p99 {units.duration(report.p99_duration_ms)}"
            if timed
            else units.NOTHING,
        ),
        (
            "LLM",
            f"{units.plural(llm.total_calls, 'call')}, {llm.total_tokens:,} tokens "
            f"({llm.avg_tokens_per_call:,.0f} a call), average latency {units.duration(llm.avg_latency_ms)}"
            if llm.total_calls
            else "no calls",
        ),
    ]
    out.print(screen.facts(facts))
    if report.common_errors:
        columns = (Column("ERROR", least=20), Column("EXECUTIONS", right=True))
        rows = [(one_line(error), units.count(number)) for error, number in report.common_errors.items()]
        out.print(Text(), out.table(columns, rows))
    out.print(Text(), freshness(ingestion))
    if report.common_errors:
        out.hint(asked.hint("failed", "--agent", report.agent_name))
