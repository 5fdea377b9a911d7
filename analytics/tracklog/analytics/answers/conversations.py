"""Give a conversation: all its executions in the order they came, below their callers."""

from collections import defaultdict
from uuid import UUID

from sqlalchemy import select

from tracklog.analytics.answers.executions import SUMMARY, completed, newest
from tracklog.analytics.query import Query, at_most, begins, key
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_executions

_executions = agent_executions.c

_MORE = tuple(
    _executions[name]
    for name in (
        "conversation_id",
        "vault_id",
        "parent_execution_id",
        "call_reason",
        "relevance_score",
        "relevance_reasoning",
        "llm_calls",
        "llm_tokens_used",
    )
)


def get_conversation(conversation_id: str | UUID, limit: int = 1000) -> Query[list[Record]]:
    """Give the executions of a conversation, each below its caller, siblings and roots in the order they came.

    :param limit: At most so many, the newest; beyond it callers may be missing, and what they called is a root then.
    :return: For each its summary, `depth` (of a root: 0) and `start_ms`, since the first of all (None without a time).
    """
    chosen = select(*SUMMARY, *_MORE).where(_executions.conversation_id == key(conversation_id))
    rows = yield from newest(chosen, limit)
    records = yield from completed(rows[::-1])
    records.sort(key=lambda record: record["created_at"] is None)
    return _nested(records)


def find_conversations(prefix: str | UUID, limit: int = 10) -> Query[list[str]]:
    """Give the conversations whose ids begin with `prefix`, at most `limit`; an id that equals it is given alone."""
    ids = _executions.conversation_id
    begin = key(prefix)
    if not begin:
        return []
    rows = yield select(ids).distinct().where(begins(ids, begin)).order_by(ids).limit(at_most(limit))
    found = [str(row["conversation_id"]) for row in rows]
    return found[:1] if found[:1] == [begin] else found


def _nested(records: list[Record]) -> list[Record]:
    known = {record["execution_id"] for record in records}
    children: dict[str, list[Record]] = defaultdict(list)
    roots: list[Record] = []
    for record in records:
        parent = record["parent_execution_id"]
        (children[parent] if parent in known else roots).append(record)
    first = next((record["created_at"] for record in records if record["created_at"] is not None), None)
    nested: list[Record] = []
    placed: set[str] = set()
    # Executions that call each other in a circle hang below no root; the first of them is taken for one.
    for root in (*roots, *records):
        stack = [(root, 0)]
        while stack:
            record, depth = stack.pop()
            if record["execution_id"] in placed:
                continue
            placed.add(record["execution_id"])
            time = record["created_at"]
            record["depth"] = depth
            record["start_ms"] = (
                (time - first).total_seconds() * 1000 if time is not None and first is not None else None
            )
            nested.append(record)
            stack += [(child, depth + 1) for child in reversed(children[record["execution_id"]])]
    return nested
