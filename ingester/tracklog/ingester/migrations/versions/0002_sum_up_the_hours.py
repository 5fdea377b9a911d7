"""Sum up the hours of the rollup; leave room for the updates of executions."""

import datetime as dt
from itertools import groupby
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from tracklog.ingester.measures import Measures, sums
from tracklog.ingester.schema import Json, Key, Millis, Time

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of the hours, and fill it from the minutes; on PostgreSQL, leave room in pages from now on."""
    op.create_table(
        "agent_performance_hours",
        sa.Column("agent_name", Key, nullable=False),
        sa.Column("window_start", Time, nullable=False),
        sa.Column("total_executions", sa.BigInteger(), nullable=False),
        sa.Column("status_counts", Json, nullable=False, comment="{status: executions}"),
        sa.Column("error_counts", Json, nullable=False, comment="{error_type: executions}"),
        sa.Column("duration_count", sa.BigInteger(), nullable=False),
        sa.Column("duration_sum_ms", Millis, nullable=False),
        sa.Column(
            "duration_histogram", Json, nullable=False, comment="{bucket: executions}, see tracklog.ingester.histogram"
        ),
        sa.Column("llm_calls", sa.BigInteger(), nullable=False),
        sa.Column("llm_tokens", sa.BigInteger(), nullable=False),
        sa.Column("llm_latency_count", sa.BigInteger(), nullable=False),
        sa.Column("llm_latency_sum_ms", Millis, nullable=False),
        sa.PrimaryKeyConstraint("agent_name", "window_start"),
    )
    op.create_index("ix_agent_performance_metrics_window_start", "agent_performance_metrics", ["window_start"])
    minutes, hours = _table("agent_performance_metrics"), _table("agent_performance_hours")
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        # An execution's row is written several times; on its own page that touches no index.
        op.execute("ALTER TABLE agent_executions SET (fillfactor = 70)")
    for agent in connection.scalars(sa.select(minutes.c.agent_name).distinct()).all():
        rows = connection.execute(
            sa.select(minutes.c.window_start, *sums(minutes))
            .where(minutes.c.agent_name == agent)
            .group_by(minutes.c.window_start)
            .order_by(minutes.c.window_start)
        ).mappings()
        for hour, some in groupby(rows, lambda row: row["window_start"].replace(minute=0)):
            total = Measures()
            for row in some:
                total.add(Measures.summed(row))
            connection.execute(hours.insert(), _row(agent, hour, total))


_JSON = ("status_counts", "error_counts", "duration_histogram")
_COLUMNS = (
    "agent_name",
    "window_start",
    "total_executions",
    "status_counts",
    "error_counts",
    "duration_count",
    "duration_sum_ms",
    "duration_histogram",
    "llm_calls",
    "llm_tokens",
    "llm_latency_count",
    "llm_latency_sum_ms",
)


def _table(name: str) -> sa.Table:
    types = {"window_start": Time, **dict.fromkeys(_JSON, Json)}
    return sa.Table(name, sa.MetaData(), *(sa.Column(column, types.get(column)) for column in _COLUMNS))


def _row(agent: str, hour: dt.datetime, total: Measures) -> dict[str, Any]:
    row = dict(zip(_COLUMNS, (agent, hour, *total.values()), strict=True))
    return row | {name: orjson.loads(row[name]) for name in _JSON}
