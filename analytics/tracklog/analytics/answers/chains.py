"""Follow who called whom, level by level: a parent may arrive after its child, or never."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from tracklog.analytics.query import Query, chunks, execution_key
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_call_chains, agent_executions

_links = agent_call_chains.c
_LINK = (
    _links.child_execution_id,
    _links.parent_execution_id,
    _links.child_agent,
    _links.call_reason,
    _links.created_at,
)


def get_execution_call_chain(execution_id: str | UUID) -> Query[list[Record]]:
    """Give the links from the root down to an execution, and from it to all that it led to.

    :return: For each link its `depth` (of the child; that of the root's own calls is 1), `parent_agent`, `child_agent`,
        `parent_execution_id`, `child_execution_id`, `call_reason`, `status`, `duration_ms` and `created_at`, the last
        three of the child. Parents stand before their children, and siblings in the order they came. What is not known
        of an execution, because its lines are missing, is None.
    """
    own = execution_key(execution_id)
    path = yield from _path_to(own)
    below = yield from _below(own, seen={link["parent_execution_id"] for link in path} | {own})
    ids = {link[name] for link in (*path, *below) for name in ("parent_execution_id", "child_execution_id")}
    known = yield from _known(ids)
    chain = [_described(link, depth, known) for depth, link in enumerate(path, start=1)]
    children: dict[str, list[Record]] = {}
    for link in below:
        children.setdefault(link["parent_execution_id"], []).append(link)
    # A stack and no recursion: agents that call themselves go deeper than Python does.
    stack = [(link, len(path) + 1) for link in reversed(children.get(own, []))]
    while stack:
        link, depth = stack.pop()
        chain.append(_described(link, depth, known))
        stack += [(child, depth + 1) for child in reversed(children.get(link["child_execution_id"], []))]
    return chain


def _path_to(execution_id: str) -> Query[list[Record]]:
    """Give the links from the root down to an execution."""
    path: list[Record] = []
    seen = {execution_id}
    child = execution_id
    while True:
        rows = yield select(*_LINK).where(_links.child_execution_id == child)
        if not rows or rows[0]["parent_execution_id"] in seen:  # At the root, or in a cycle.
            return path[::-1]
        path.append(rows[0])
        child = rows[0]["parent_execution_id"]
        seen.add(child)


def _below(execution_id: str, *, seen: set[str]) -> Query[list[Record]]:
    """Give the links below an execution, one level after the other, leaving out those that lead back to `seen`."""
    found: list[Record] = []
    level = [execution_id]
    while level:
        rows: list[Record] = []
        for ids in chunks(level):
            rows += yield (
                select(*_LINK)
                .where(_links.parent_execution_id.in_(ids))
                .order_by(_links.created_at.nulls_last(), _links.child_execution_id)
            )
        level = []
        for row in rows:
            if row["child_execution_id"] not in seen:
                seen.add(row["child_execution_id"])
                level.append(row["child_execution_id"])
                found.append(row)
    return found


def _known(execution_ids: Iterable[str]) -> Query[dict[str, Record]]:
    executions = agent_executions.c
    known: dict[str, Record] = {}
    for ids in chunks(sorted(execution_ids)):
        rows = yield select(
            executions.execution_id,
            executions.agent_name,
            executions.status,
            executions.duration_ms,
            executions.call_reason,
            executions.created_at,
        ).where(executions.execution_id.in_(ids))
        known.update({row["execution_id"]: row for row in rows})
    return known


def _described(link: Record, depth: int, known: dict[str, Record]) -> Record:
    parent = known.get(link["parent_execution_id"], Record())
    child = known.get(link["child_execution_id"], Record())
    return Record(
        depth=depth,
        parent_agent=parent.get("agent_name"),
        child_agent=child.get("agent_name") or link["child_agent"],
        parent_execution_id=link["parent_execution_id"],
        child_execution_id=link["child_execution_id"],
        call_reason=child.get("call_reason") or link["call_reason"],
        status=child.get("status"),
        duration_ms=child.get("duration_ms"),
        created_at=child.get("created_at") or link["created_at"],
    )
