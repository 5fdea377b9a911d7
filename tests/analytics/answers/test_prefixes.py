"""Test finding ids by how they begin."""

import pytest

from analytics.stored import Stored
from tracklog.analytics import ExecutionAnalytics


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("0193-aa", ["0193-aa"]),
        ("0193-a", ["0193-aa", "0193-ab"]),
        ("0193", ["0193-aa", "0193-ab", "0193-b"]),
        ("%", ["%odd_id"]),
        ("_", []),
        ("", []),
        ("\x00", []),
        ("über", ["über-1"]),
    ],
)
def test_ids_that_begin_alike(stored: Stored, analytics: ExecutionAnalytics, prefix: str, found: list[str]) -> None:
    """All ids with the prefix are found, in their order; no character of it is a pattern."""
    stored.executions(*({"execution_id": one} for one in ("0193-aa", "0193-ab", "0193-b", "%odd_id", "über-1", "z")))
    assert analytics.resolve_prefix(prefix) == found


def test_an_id_itself_is_no_prefix(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """An id that another one continues still means itself."""
    stored.executions({"execution_id": "run"}, {"execution_id": "run-2"})
    assert analytics.resolve_prefix("run") == ["run"]
    assert analytics.resolve_prefix("ru") == ["run", "run-2"]
    assert analytics.resolve_prefix("ru", limit=1) == ["run"]


def test_shortest_prefixes_tell_ids_apart(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """Each id is shortened as far as it stays unique among all, and to eight characters at least."""
    ids = ["01934567-aaaa", "01934567-aabb", "09999999-aaaa", "short"]
    stored.executions(*({"execution_id": one} for one in (*ids, "01934567-aabc")))
    shortest = analytics.shortest_prefixes(ids)
    assert shortest == {
        "01934567-aaaa": "01934567-aaa",
        "01934567-aabb": "01934567-aabb",
        "09999999-aaaa": "09999999",
        "short": "short",
    }
    assert {prefix: analytics.resolve_prefix(prefix) for prefix in shortest.values()} == {
        prefix: [one] for one, prefix in shortest.items()
    }


def test_many_prefixes_at_once(stored: Stored, analytics: ExecutionAnalytics) -> None:
    """More ids than fit into one statement are shortened as well."""
    ids = [f"{n:04d}-execution" for n in range(350)]
    stored.executions(*({"execution_id": one} for one in ids))
    assert analytics.shortest_prefixes(ids) == {one: one[:8] for one in ids}
