"""Make the tables."""

import sqlalchemy as sa
from alembic import op

from tracklog.ingester.schema import Json, Key, Millis, Time

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UNFINISHED = "line_status NOT IN ('success', 'skipped', 'failed', 'timeout')"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "agent_executions",
        sa.Column("execution_id", Key, nullable=False),
        sa.Column("agent_name", Key),
        sa.Column("method", Key),
        sa.Column("vault_id", Key),
        sa.Column("conversation_id", Key),
        sa.Column("user_id", Key),
        sa.Column("parent_execution_id", Key),
        sa.Column("call_reason", Key),
        sa.Column(
            "field_ranks", Key, nullable=False, comment="one digit for each column above: the kind of line it came from"
        ),
        sa.Column("start_key", Key),
        sa.Column("writer", Key, comment="the writer of execution.started, which alone owns the execution"),
        sa.Column("root_execution_id", Key),
        sa.Column("depth", sa.Integer()),
        sa.Column("started_at", Time),
        sa.Column("status_key", Key, nullable=False),
        sa.Column("line_status", Key, nullable=False),
        sa.Column("completed_at", Time),
        sa.Column("duration_ms", Millis),
        sa.Column("error_type", Key),
        sa.Column("verdict", Key),
        sa.Column("verdict_key", Key),
        sa.Column("verdict_at", Time),
        sa.Column(
            "status",
            Key,
            sa.Computed(
                f"CASE WHEN {_UNFINISHED}"
                " AND verdict IS NOT NULL AND verdict_key >= last_key THEN verdict ELSE line_status END",
                persisted=True,
            ),
        ),
        sa.Column("stage_key", Key),
        sa.Column("current_stage", Key),
        sa.Column("relevance_key", Key),
        sa.Column("should_respond", sa.Boolean()),
        sa.Column("relevance_score", sa.Double()),
        sa.Column("output_key", Key),
        sa.Column("llm_model", Key),
        sa.Column("llm_calls", sa.Integer()),
        sa.Column("llm_tokens_used", sa.BigInteger()),
        sa.Column("llm_latency_ms", Millis),
        sa.Column("llm_timed_calls", sa.Integer(), comment="of the calls, those whose latency is known"),
        sa.Column("created_at", Time, comment="the time of the earliest line"),
        sa.Column("last_key", Key, nullable=False),
        sa.Column("moved_agent", Key),
        sa.Column("moved_at", Time),
        # What may be long, last: SQLite reads through it to come to what stands behind it.
        sa.Column("input_data", Json),
        sa.Column("metadata", Json),
        sa.Column("error_message", sa.Text()),
        sa.Column("error_traceback", sa.Text()),
        sa.Column("relevance_reasoning", sa.Text()),
        sa.Column("output_data", Json),
        sa.PrimaryKeyConstraint("execution_id"),
    )
    op.create_index("ix_agent_executions_agent_name", "agent_executions", ["agent_name", "created_at"])
    op.create_index("ix_agent_executions_conversation_id", "agent_executions", ["conversation_id"])
    op.create_index("ix_agent_executions_created_at", "agent_executions", ["created_at"])
    op.create_index("ix_agent_executions_status", "agent_executions", ["status", "created_at"])
    op.create_index(
        "ix_agent_executions_unfinished",
        "agent_executions",
        ["writer"],
        sqlite_where=sa.text(_UNFINISHED),
        postgresql_where=sa.text(_UNFINISHED),
    )
    op.create_index("ix_agent_executions_vault_id", "agent_executions", ["vault_id", "created_at"])
    op.create_table(
        "agent_execution_logs",
        sa.Column("execution_id", Key, nullable=False),
        sa.Column("writer", Key, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", Time),
        sa.Column("kind", Key),
        sa.Column("level", Key),
        sa.Column("logger", Key),
        sa.Column("message", sa.Text()),
        sa.Column("stage", Key),
        sa.Column("stage_status", Key),
        sa.Column("duration_ms", Millis),
        sa.Column("data", Json),
        sa.Column("source_id", Key, nullable=False),
        sa.Column("line_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "writer", "seq"),
    )
    op.create_table(
        "agent_llm_calls",
        sa.Column("execution_id", Key, nullable=False),
        sa.Column("call_id", Key, nullable=False),
        sa.Column("model", Key),
        sa.Column("provider", Key),
        sa.Column("field_ranks", Key, nullable=False),
        sa.Column("request_key", Key),
        sa.Column("started_at", Time),
        sa.Column("end_key", Key),
        sa.Column("tokens_used", sa.BigInteger()),
        sa.Column("input_tokens", sa.BigInteger()),
        sa.Column("output_tokens", sa.BigInteger()),
        sa.Column("cache_read_tokens", sa.BigInteger()),
        sa.Column("cache_write_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("finish_reason", Key),
        sa.Column("latency_ms", Millis),
        sa.Column("time_to_first_token_ms", Millis),
        sa.Column("error_type", Key),
        sa.Column("completed_at", Time),
        # What may be long, last, as above.
        sa.Column("error_message", sa.Text()),
        sa.Column("request", Json),
        sa.Column("response", Json),
        sa.PrimaryKeyConstraint("execution_id", "call_id"),
    )
    op.create_table(
        "agent_call_chains",
        sa.Column("child_execution_id", Key, nullable=False),
        sa.Column("parent_execution_id", Key, nullable=False),
        sa.Column("root_execution_id", Key, comment="as the child's line states it; null where it did not know"),
        sa.Column("depth", sa.Integer(), comment="of the child, the root's being 0; null where it did not know"),
        sa.Column("child_agent", Key),
        sa.Column("call_reason", Key),
        sa.Column("created_at", Time),
        sa.PrimaryKeyConstraint("child_execution_id"),
    )
    op.create_index("ix_agent_call_chains_parent", "agent_call_chains", ["parent_execution_id"])
    op.create_table(
        "agent_performance_metrics",
        sa.Column("agent_name", Key, nullable=False),
        sa.Column("window_start", Time, nullable=False),
        sa.Column("window_seconds", sa.Integer(), nullable=False),
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
    op.create_table(
        "tracklog_dirty_windows",
        sa.Column("agent_name", Key, nullable=False),
        sa.Column("window_start", Time, nullable=False),
        sa.Column(
            "marked_by", Key, nullable=False, comment="the host: so that ingesters do not wait for each other here"
        ),
        sa.Column("marked_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("agent_name", "window_start", "marked_by"),
    )
    op.create_table(
        "tracklog_sources",
        sa.Column("source_id", Key, nullable=False),
        sa.Column("host", Key, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("compression", Key),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("birth_ns", sa.BigInteger(), nullable=False, comment="0 where the file system does not tell"),
        sa.Column("generation", sa.Integer(), nullable=False, comment="counts the contents that this inode has had"),
        sa.Column("head_length", sa.Integer(), nullable=False),
        sa.Column("head_hash", Key, nullable=False),
        sa.Column(
            "tail_length", sa.Integer(), nullable=False, comment="bytes just before the position that tail_hash covers"
        ),
        sa.Column("tail_hash", Key, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="decompressed bytes read and committed"),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes on disk when last committed"),
        sa.Column(
            "skipping",
            sa.Boolean(),
            nullable=False,
            comment="inside a line over the limit, of which no newline was seen yet",
        ),
        sa.Column("ended", sa.Boolean(), nullable=False, comment="a compressed file that was read to its end"),
        sa.Column("writer", Key, comment="the writer whose segment it is; null for a foreign file"),
        sa.Column("segment", sa.Integer()),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("lines_passed", sa.BigInteger(), nullable=False, comment="lines without an execution_id"),
        sa.Column("lines_quarantined", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", Time, nullable=False),
        sa.Column("read_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("source_id"),
    )
    op.create_index("ix_tracklog_sources_host", "tracklog_sources", ["host", "inode"])
    op.create_table(
        "tracklog_writers",
        sa.Column("writer", Key, nullable=False),
        sa.Column("service", Key),
        sa.Column("host", Key),
        sa.Column("boot_id", Key),
        sa.Column("pid", sa.BigInteger()),
        sa.Column("versions", Json),
        sa.Column("opened_at", Time),
        sa.Column("opened_seq", sa.BigInteger(), comment="of the newest segment's header"),
        sa.Column("segment", sa.Integer(), comment="the newest one seen"),
        sa.Column("device", sa.BigInteger()),
        sa.Column("inode", sa.BigInteger()),
        sa.Column("locked", sa.Boolean()),
        sa.Column("closed_at", Time),
        sa.Column("closed_seq", sa.BigInteger(), comment="greater than opened_seq after a clean end"),
        sa.Column("closed_reason", Key),
        sa.Column("lines_written", sa.BigInteger()),
        sa.Column("lines_dropped", sa.BigInteger()),
        sa.Column("seen", Json, nullable=False, comment="the seq numbers seen, as a sorted list of [first, last]"),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", Time, comment="when an ingester found its lock free and its file read to the end"),
        sa.PrimaryKeyConstraint("writer"),
    )
    op.create_table(
        "tracklog_quarantine",
        sa.Column("source_id", Key, nullable=False),
        sa.Column("line_offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("reason", Key, nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False, comment="its first bytes"),
        sa.Column("quarantined_at", Time, nullable=False),
        sa.Column("settled_at", Time, comment="when it was read after all"),
        sa.PrimaryKeyConstraint("source_id", "line_offset"),
    )
    op.create_table(
        "tracklog_purged",
        sa.Column(
            "execution_id",
            Key,
            primary_key=True,
            comment="an execution that was pruned: its lines are passed over",
        ),
        sa.Column("purged_at", Time, nullable=False),
    )
    op.create_table(
        "tracklog_ingesters",
        sa.Column("host", Key, nullable=False),
        sa.Column("version", Key, nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("paths", Json, nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes_seen", sa.BigInteger(), nullable=False, comment="the size of all files when it last looked"),
        sa.Column("bytes_behind", sa.BigInteger(), nullable=False, comment="of these, not yet in the database"),
        sa.Column("started_at", Time, nullable=False),
        sa.Column("looked_at", Time, nullable=False),
        sa.Column("stopped_at", Time),
        sa.PrimaryKeyConstraint("host"),
    )
    if op.get_bind().dialect.name == "postgresql":
        _compress_with_lz4()


def _compress_with_lz4() -> None:
    """Compress payloads with lz4 where the server was built with it: as small as pglz and several times as fast."""
    offered = op.get_bind().scalar(
        sa.text("SELECT enumvals::text[] FROM pg_settings WHERE name = 'default_toast_compression'")
    )
    if "lz4" not in (offered or []):
        return
    for table, columns in _PAYLOADS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION lz4")


_PAYLOADS = {
    "agent_executions": ("input_data", "output_data", "metadata", "error_traceback"),
    "agent_execution_logs": ("data", "message"),
    "agent_llm_calls": ("request", "response"),
}
