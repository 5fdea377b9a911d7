"""Find all that executions called."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics


def with_called(analytics: "ExecutionAnalytics", ids: list[str], *, alone: bool) -> list[str]:
    """Give the ids, each followed by those of all that it called; each once."""
    found: dict[str, None] = {}
    for one in ids:
        found[one] = None
        below = {one}
        for link in [] if alone else analytics.get_execution_call_chain(one):
            if link.parent_execution_id in below:  # The chain begins with what led to it.
                below.add(link.child_execution_id)
                found[link.child_execution_id] = None
    return list(found)
