"""Ask what agents did: answers from the database that `tracklog ingest` fills."""

from typing import TYPE_CHECKING

from tracklog.processors.lazy import lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "tracklog.analytics.errors": ("AmbiguousIdError", "ExecutionNotFoundError"),
        "tracklog.analytics.faces": ("AsyncExecutionAnalytics", "ExecutionAnalytics"),
        "tracklog.analytics.record": ("Record",),
        "tracklog.ingester.errors": ("DatabaseError", "DatabaseUnreachableError", "SchemaError"),
        "tracklog.processors.errors": ("TracklogError",),
        "tracklog.processors.states": ("ExecutionStage", "ExecutionStatus"),
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
