"""How two accounts of the same row become one: the rules, and their two readings, in Python and in SQL.

A rule is commutative, associative and idempotent, so rows may be merged in any order, in any grouping and any number of
times. The fold merges in Python what stands in one batch; an upsert merges a batch with what is in the database.
"""

from dataclasses import dataclass
from typing import Any, Final

Row = dict[str, Any]
"""The columns of a row that were stated; a column that is missing is null."""

UNSTATED: Final = "9"
"""The rank of a column that no line stated."""


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that change together, with the column that holds the sort key of the line that set them."""

    key: str
    columns: tuple[str, ...]
    greatest: bool = True
    """Whether the greatest key wins; else the smallest."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the rows of one table are merged; every column that is no part of its primary key stands in one rule."""

    table: str
    primary_key: tuple[str, ...]
    ranks: str
    """The column with one digit for each ranked column: the rank of the kind of line that stated it."""
    ranked: tuple[str, ...]
    """Columns that never change: the smallest value of the smallest rank is kept, so that even a conflict is settled
    alike everywhere."""
    groups: tuple[Group, ...]
    least: tuple[str, ...] = ()
    greatest: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Give the columns that a batch states, the primary key's first."""
        grouped = [name for group in self.groups for name in (group.key, *group.columns)]
        return (*self.primary_key, *self.ranked, self.ranks, *grouped, *self.least, *self.greatest)


EXECUTIONS: Final = Rules(
    table="agent_executions",
    primary_key=("execution_id",),
    ranks="field_ranks",
    ranked=("agent_name", "method", "vault_id", "conversation_id", "user_id", "parent_execution_id", "call_reason"),
    groups=(
        Group("start_key", ("writer", "root_execution_id", "depth", "input_data", "metadata"), greatest=False),
        Group(
            "status_key",
            ("line_status", "completed_at", "duration_ms", "error_type", "error_message", "error_traceback"),
        ),
        Group("stage_key", ("current_stage",)),
        Group("relevance_key", ("should_respond", "relevance_score", "relevance_reasoning")),
        Group("output_key", ("output_data",)),
    ),
    least=("started_at", "created_at"),
    greatest=("last_key",),
)

LLM_CALLS: Final = Rules(
    table="agent_llm_calls",
    primary_key=("execution_id", "call_id"),
    ranks="field_ranks",
    ranked=("model", "provider"),
    groups=(
        Group("request_key", ("request",), greatest=False),
        Group(
            "end_key",
            (
                "response",
                "tokens_used",
                "input_tokens",
                "output_tokens",
                "cache_read_tokens",
                "cache_write_tokens",
                "reasoning_tokens",
                "finish_reason",
                "latency_ms",
                "time_to_first_token_ms",
                "error_type",
                "error_message",
                "completed_at",
            ),
        ),
    ),
    least=("started_at",),
)


def merge_into(rules: Rules, row: Row, other: Row) -> None:
    """Merge `other`, of which each group is there whole or not at all, into `row`, in place."""
    if len(row) == len(rules.primary_key):  # Nothing was stated yet.
        row.update(other)
        return
    if ranks := other.get(rules.ranks):
        merge_ranked(rules, row, other, ranks)
    for group in rules.groups:
        theirs = other.get(group.key)
        if theirs is None:
            continue
        ours = row.get(group.key)
        if ours is None or (theirs > ours if group.greatest else theirs < ours):
            row[group.key] = theirs
            for name in group.columns:
                row[name] = other.get(name)
    for name in rules.least:
        value = other.get(name)
        if value is not None and ((mine := row.get(name)) is None or value < mine):
            row[name] = value
    for name in rules.greatest:
        value = other.get(name)
        if value is not None and ((mine := row.get(name)) is None or value > mine):
            row[name] = value


def merge_ranked(rules: Rules, row: Row, other: Row, ranks: str) -> None:
    """Merge the ranked columns of `other`, whose ranks are `ranks`, into `row`, in place."""
    own = row.get(rules.ranks)
    if own is None:
        row[rules.ranks] = ranks
        for name in rules.ranked:
            if name in other:
                row[name] = other[name]
        return
    if own == ranks and all(row.get(name) == other.get(name) for name in rules.ranked):
        return
    merged = list(own)
    for place, name in enumerate(rules.ranked):
        rank = ranks[place]
        if rank < own[place] or (rank == own[place] != UNSTATED and other[name] < row[name]):
            merged[place] = rank
            row[name] = other[name]
    row[rules.ranks] = "".join(merged)


def assignments(rules: Rules) -> dict[str, str]:
    """Give, for each column that may change, the SQL that merges the row `t` with the row `excluded`.

    The text is the same on SQLite and PostgreSQL; both compare keys byte by byte, by their columns' collation.
    """
    sql: dict[str, str] = {}
    digits = []
    for place, name in enumerate(rules.ranked, start=1):
        ours, theirs = f"substr(t.{rules.ranks}, {place}, 1)", f"substr(excluded.{rules.ranks}, {place}, 1)"
        wins = f"{theirs} < {ours} OR ({theirs} = {ours} AND excluded.{name} < t.{name})"
        sql[name] = f"CASE WHEN {wins} THEN excluded.{name} ELSE t.{name} END"
        digits.append(f"CASE WHEN {theirs} < {ours} THEN {theirs} ELSE {ours} END")
    sql[rules.ranks] = " || ".join(digits)
    for group in rules.groups:
        sign = ">" if group.greatest else "<"
        wins = (
            f"excluded.{group.key} {sign} t.{group.key} OR (t.{group.key} IS NULL AND excluded.{group.key} IS NOT NULL)"
        )
        for name in (group.key, *group.columns):
            sql[name] = f"CASE WHEN {wins} THEN excluded.{name} ELSE t.{name} END"
    for names, sign in ((rules.least, "<"), (rules.greatest, ">")):
        for name in names:
            wins = f"excluded.{name} {sign} t.{name} OR t.{name} IS NULL"
            sql[name] = f"CASE WHEN {wins} THEN excluded.{name} ELSE t.{name} END"
    return sql
