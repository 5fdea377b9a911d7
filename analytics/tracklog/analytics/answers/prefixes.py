"""Find ids by how they begin, and the shortest beginnings that tell them apart."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import func, literal, select, union_all

from tracklog.analytics.query import Query, at_most, begins, chunks, execution_key
from tracklog.ingester.schema import agent_executions

_MINIMUM: Final = 8
"""Shorter beginnings would be unique today and ambiguous tomorrow."""

_SELECTS: Final = 100
"""Selects in one UNION ALL; SQLite takes 500."""


def resolve_prefix(prefix: str | UUID, limit: int = 10) -> Query[list[str]]:
    """Give the ids that begin with `prefix`, in their order, at most `limit`; an id that equals it is given alone."""
    ids = agent_executions.c.execution_id
    begin = execution_key(prefix)
    if not begin:
        return []
    rows = yield (
        # A range, and no LIKE, which would need an index of its own and read % and _ as patterns.
        select(ids).where(begins(ids, begin)).order_by(ids).limit(at_most(limit))
    )
    found = [str(row["execution_id"]) for row in rows]
    return found[:1] if found[:1] == [begin] else found


def shortest_prefixes(execution_ids: Iterable[str | UUID]) -> Query[dict[str, str]]:
    """Give for each id its shortest beginning, of 8 characters or more, that no other execution's id has."""
    ids = agent_executions.c.execution_id
    shortest: dict[str, str] = {}
    for chunk in chunks(dict.fromkeys(map(execution_key, execution_ids)), _SELECTS):
        # Only the neighbours in the order of ids can share the most; each is one step in the primary key's index.
        rows = yield union_all(
            *(
                select(
                    literal(one).label("execution_id"),
                    select(func.max(ids)).where(ids < one).scalar_subquery().label("before"),
                    select(func.min(ids)).where(ids > one).scalar_subquery().label("after"),
                )
                for one in chunk
            )
        )
        for row in rows:
            one = row["execution_id"]
            shared = max(_shared(one, row["before"] or ""), _shared(one, row["after"] or ""))
            shortest[one] = one[: max(shared + 1, _MINIMUM)]
    return shortest


def _shared(one: str, other: str) -> int:
    """Count the characters that two ids begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
