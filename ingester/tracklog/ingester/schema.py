"""The tables, one definition for SQLite and PostgreSQL.

Every primary key of a per-execution table starts with the execution's id; there is no other unique key, no sequence and
no foreign key, so that the tables can be distributed by that id. Times are aware and UTC.
"""

import datetime as dt
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine


class UtcTimeStamp(TypeDecorator[dt.datetime]):
    """Hold times to aware and UTC.

    SQLite keeps them as ``YYYY-MM-DD HH:MM:SS.ffffff``, the form its own date functions give and compare with.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value!r}")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class JsonText(TypeDecorator[Any]):
    """JSON that plain SQL can read: ``json`` on PostgreSQL (kept as it was written), text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(JSON(none_as_null=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return orjson.dumps(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return orjson.loads(value) if isinstance(value, str) and dialect.name == "sqlite" else value


Key = String().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared byte by byte on both databases: ids, names and sort keys."""

Time = UtcTimeStamp()
Json = JsonText()
Millis: Double[float] = Double()
"""Durations are milliseconds."""

metadata = MetaData()


def _measures() -> list[Column[Any]]:
    """Give the columns of `measures.Window`, in the order of its values."""
    return [
        Column("total_executions", BigInteger, nullable=False),
        Column("status_counts", Json, nullable=False, comment="{status: executions}"),
        Column("error_counts", Json, nullable=False, comment="{error_type: executions}"),
        Column("duration_count", BigInteger, nullable=False),
        Column("duration_sum_ms", Millis, nullable=False),
        Column(
            "duration_histogram", Json, nullable=False, comment="{bucket: executions}, see tracklog.ingester.histogram"
        ),
        Column("llm_calls", BigInteger, nullable=False),
        Column("llm_tokens", BigInteger, nullable=False),
        Column("llm_latency_count", BigInteger, nullable=False),
        Column("llm_latency_sum_ms", Millis, nullable=False),
        Column("by_method", Json, comment="{method: the same of its executions}; null where there are very many"),
        Column("by_model", Json, comment="{model: the same of its LLM calls}; null where there are very many"),
    ]


agent_executions = Table(
    "agent_executions",
    metadata,
    Column("execution_id", Key, primary_key=True),
    # Which execution it is: for each the smallest value of the most trusted kind of line that had one.
    Column("agent_name", Key),
    Column("method", Key),
    Column("vault_id", Key),
    Column("conversation_id", Key),
    Column("user_id", Key),
    Column("parent_execution_id", Key),
    Column("call_reason", Key),
    Column(
        "field_ranks", Key, nullable=False, comment="one digit for each column above: the kind of line it came from"
    ),
    # From `execution.started`, the earliest one.
    Column("start_key", Key),
    Column("writer", Key, comment="the writer of execution.started, which alone owns the execution"),
    Column("root_execution_id", Key),
    Column("depth", Integer),
    Column("started_at", Time),
    # What the lines say of its status, by the greatest key.
    Column("status_key", Key, nullable=False),
    Column("line_status", Key, nullable=False),
    Column("completed_at", Time),
    Column("duration_ms", Millis),
    Column("error_type", Key),
    # The verdict of an ingester that found its writer gone; it counts while no line is newer.
    Column("verdict", Key),
    Column("verdict_key", Key),
    Column("verdict_at", Time),
    Column(
        "status",
        Key,
        Computed(
            "CASE WHEN line_status NOT IN ('success', 'skipped', 'failed', 'timeout')"
            " AND verdict IS NOT NULL AND verdict_key >= last_key THEN verdict ELSE line_status END",
            persisted=True,
        ),
    ),
    Column("stage_key", Key),
    Column("current_stage", Key),
    Column("relevance_key", Key),
    Column("should_respond", Boolean),
    Column("relevance_score", Double),
    Column("output_key", Key),
    # Derived from the rows of agent_llm_calls, in the same transaction.
    Column("llm_model", Key),
    Column("llm_calls", Integer),
    Column("llm_tokens_used", BigInteger),
    Column("llm_latency_ms", Millis),
    Column("llm_timed_calls", Integer, comment="of the calls, those whose latency is known"),
    Column("created_at", Time, comment="the time of the earliest line"),
    Column("last_key", Key, nullable=False),
    # Set by an upsert that moved the row to another minute or agent, so that both are rolled up anew.
    Column("moved_agent", Key),
    Column("moved_at", Time),
    # What may be long, last: SQLite reads through it to come to what stands behind it.
    Column("input_data", Json),
    Column("metadata", Json),
    Column("error_message", Text),
    Column("error_traceback", Text),
    Column("relevance_reasoning", Text),
    Column("output_data", Json),
    Index("ix_agent_executions_created_at", "created_at"),
    Index("ix_agent_executions_agent_name", "agent_name", "created_at"),
    Index("ix_agent_executions_conversation_id", "conversation_id"),
    Index("ix_agent_executions_vault_id", "vault_id", "created_at"),
    Index("ix_agent_executions_status", "status", "created_at"),
    # Of the unfinished ones only, which the migration says: to say it here imports both dialects, a tenth of a second.
    Index("ix_agent_executions_unfinished", "writer"),
)

agent_execution_logs = Table(
    "agent_execution_logs",
    metadata,
    Column("execution_id", Key, nullable=False),
    Column("writer", Key, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("timestamp", Time),
    Column("kind", Key),
    Column("level", Key),
    Column("logger", Key),
    Column("message", Text),
    Column("stage", Key),
    Column("stage_status", Key),
    Column("duration_ms", Millis),
    Column("data", Json),
    Column("source_id", Key, nullable=False),
    Column("line_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("execution_id", "writer", "seq"),
)

agent_llm_calls = Table(
    "agent_llm_calls",
    metadata,
    Column("execution_id", Key, nullable=False),
    Column("call_id", Key, nullable=False),
    Column("model", Key),
    Column("provider", Key),
    Column("field_ranks", Key, nullable=False),
    # From `llm.request`, the earliest one.
    Column("request_key", Key),
    Column("started_at", Time),
    # From `llm.response` or `llm.error`, the last one.
    Column("end_key", Key),
    Column("tokens_used", BigInteger),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("finish_reason", Key),
    Column("latency_ms", Millis),
    Column("time_to_first_token_ms", Millis),
    Column("error_type", Key),
    Column("completed_at", Time),
    # What may be long, last, as above.
    Column("error_message", Text),
    Column("request", Json),
    Column("response", Json),
    PrimaryKeyConstraint("execution_id", "call_id"),
)

agent_call_chains = Table(
    "agent_call_chains",
    metadata,
    Column("child_execution_id", Key, primary_key=True),
    Column("parent_execution_id", Key, nullable=False),
    Column("root_execution_id", Key, comment="as the child's line states it; null where it did not know"),
    Column("depth", Integer, comment="of the child, the root's being 0; null where it did not know"),
    Column("child_agent", Key),
    Column("call_reason", Key),
    Column("created_at", Time),
    Index("ix_agent_call_chains_parent", "parent_execution_id"),
)

agent_performance_metrics = Table(
    "agent_performance_metrics",
    metadata,
    Column("agent_name", Key, nullable=False),
    Column("window_start", Time, nullable=False),
    Column("window_seconds", Integer, nullable=False),
    *_measures(),
    PrimaryKeyConstraint("agent_name", "window_start"),
    Index("ix_agent_performance_metrics_window_start", "window_start"),
)

# The sums of the minutes of `agent_performance_metrics`, made in the transaction that makes these.
agent_performance_hours = Table(
    "agent_performance_hours",
    metadata,
    Column("agent_name", Key, nullable=False),
    Column("window_start", Time, nullable=False),
    *_measures(),
    PrimaryKeyConstraint("agent_name", "window_start"),
)

tracklog_dirty_windows = Table(
    "tracklog_dirty_windows",
    metadata,
    Column("agent_name", Key, nullable=False),
    Column("window_start", Time, nullable=False),
    Column("marked_by", Key, nullable=False, comment="the host: so that ingesters do not wait for each other here"),
    Column("marked_at", Time, nullable=False),
    PrimaryKeyConstraint("agent_name", "window_start", "marked_by"),
)

tracklog_sources = Table(
    "tracklog_sources",
    metadata,
    Column("source_id", Key, primary_key=True),
    Column("host", Key, nullable=False),
    Column("path", Text, nullable=False),
    Column("compression", Key),
    Column("device", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("birth_ns", BigInteger, nullable=False, comment="0 where the file system does not tell"),
    Column("generation", Integer, nullable=False, comment="counts the contents that this inode has had"),
    Column("head_length", Integer, nullable=False),
    Column("head_hash", Key, nullable=False),
    Column("tail_length", Integer, nullable=False, comment="bytes just before the position that tail_hash covers"),
    Column("tail_hash", Key, nullable=False),
    Column("position", BigInteger, nullable=False, comment="decompressed bytes read and committed"),
    Column("size", BigInteger, nullable=False, comment="bytes on disk when last committed"),
    Column(
        "skipping", Boolean, nullable=False, comment="inside a line over the limit, of which no newline was seen yet"
    ),
    Column("ended", Boolean, nullable=False, comment="a compressed file that was read to its end"),
    Column("writer", Key, comment="the writer whose segment it is; null for a foreign file"),
    Column("segment", Integer),
    Column("lines", BigInteger, nullable=False),
    Column("lines_passed", BigInteger, nullable=False, comment="lines without an execution_id"),
    Column("lines_quarantined", BigInteger, nullable=False),
    Column("first_seen_at", Time, nullable=False),
    Column("read_at", Time, nullable=False),
    Index("ix_tracklog_sources_host", "host", "inode"),
)

tracklog_writers = Table(
    "tracklog_writers",
    metadata,
    Column("writer", Key, primary_key=True),
    Column("service", Key),
    Column("host", Key),
    Column("boot_id", Key),
    Column("pid", BigInteger),
    Column("versions", Json),
    Column("opened_at", Time),
    Column("opened_seq", BigInteger, comment="of the newest segment's header"),
    Column("segment", Integer, comment="the newest one seen"),
    Column("device", BigInteger),
    Column("inode", BigInteger),
    Column("locked", Boolean),
    Column("closed_at", Time),
    Column("closed_seq", BigInteger, comment="greater than opened_seq after a clean end"),
    Column("closed_reason", Key),
    Column("lines_written", BigInteger),
    Column("lines_dropped", BigInteger),
    Column("seen", Json, nullable=False, comment="the seq numbers seen, as a sorted list of [first, last]"),
    Column("last_seq", BigInteger, nullable=False),
    Column("gone_at", Time, comment="when an ingester found its lock free and its file read to the end"),
)

tracklog_quarantine = Table(
    "tracklog_quarantine",
    metadata,
    Column("source_id", Key, nullable=False),
    Column("line_offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("reason", Key, nullable=False),
    Column("head", LargeBinary, nullable=False, comment="its first bytes"),
    Column("quarantined_at", Time, nullable=False),
    Column("settled_at", Time, comment="when it was read after all"),
    PrimaryKeyConstraint("source_id", "line_offset"),
)

tracklog_purged = Table(
    "tracklog_purged",
    metadata,
    Column("execution_id", Key, primary_key=True, comment="an execution that was pruned: its lines are passed over"),
    Column("purged_at", Time, nullable=False),
)

tracklog_ingesters = Table(
    "tracklog_ingesters",
    metadata,
    Column("host", Key, nullable=False),
    Column("version", Key, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("paths", Json, nullable=False),
    Column("files", Integer, nullable=False),
    Column("bytes_seen", BigInteger, nullable=False, comment="the size of all files when it last looked"),
    Column("bytes_behind", BigInteger, nullable=False, comment="of these, not yet in the database"),
    Column("started_at", Time, nullable=False),
    Column("looked_at", Time, nullable=False),
    Column("stopped_at", Time),
    PrimaryKeyConstraint("host", "started_at"),
)
