"""Ask what agents did: answers from the database that `tracklog ingest` fills."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracklog.analytics.errors import AmbiguousIdError, ExecutionNotFoundError
    from tracklog.analytics.faces import AsyncExecutionAnalytics, ExecutionAnalytics
    from tracklog.analytics.record import Record
    from tracklog.ingester.errors import DatabaseError, DatabaseUnreachableError, SchemaError
    from tracklog.processors.errors import TracklogError
    from tracklog.processors.states import ExecutionStage, ExecutionStatus

__all__ = [
    "AmbiguousIdError",
    "AsyncExecutionAnalytics",
    "DatabaseError",
    "DatabaseUnreachableError",
    "ExecutionAnalytics",
    "ExecutionNotFoundError",
    "ExecutionStage",
    "ExecutionStatus",
    "Record",
    "SchemaError",
    "TracklogError",
]

_HOMES = {
    "AmbiguousIdError": "tracklog.analytics.errors",
    "AsyncExecutionAnalytics": "tracklog.analytics.faces",
    "DatabaseError": "tracklog.ingester.errors",
    "DatabaseUnreachableError": "tracklog.ingester.errors",
    "ExecutionAnalytics": "tracklog.analytics.faces",
    "ExecutionNotFoundError": "tracklog.analytics.errors",
    "ExecutionStage": "tracklog.processors.states",
    "ExecutionStatus": "tracklog.processors.states",
    "Record": "tracklog.analytics.record",
    "SchemaError": "tracklog.ingester.errors",
    "TracklogError": "tracklog.processors.errors",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: the command line's help must not wait for SQLAlchemy."""
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
