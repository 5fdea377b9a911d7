"""Tail log files and turn their lines into execution records in SQLite or PostgreSQL."""

from typing import TYPE_CHECKING

from tracklog.processors.lazy import lazy_names

if TYPE_CHECKING:
    from tracklog.ingester.errors import (
        DatabaseError,
        DatabaseRefusedError,
        DatabaseUnreachableError,
        SchemaError,
        SourceNotFoundError,
    )
    from tracklog.ingester.ingester import Ingester, Summary

__all__ = [
    "DatabaseError",
    "DatabaseRefusedError",
    "DatabaseUnreachableError",
    "Ingester",
    "SchemaError",
    "SourceNotFoundError",
    "Summary",
]

__getattr__ = lazy_names(
    __name__,
    {
        "tracklog.ingester.errors": (
            "DatabaseError",
            "DatabaseRefusedError",
            "DatabaseUnreachableError",
            "SchemaError",
            "SourceNotFoundError",
        ),
        "tracklog.ingester.ingester": ("Ingester", "Summary"),
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
