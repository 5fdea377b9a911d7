"""Tail log files and turn their lines into execution records in SQLite or PostgreSQL."""

from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    """Import what is asked for: readers need the tables and the errors, not the daemon with all it imports."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "ingester" if name in ("Ingester", "Summary") else "errors"
    return getattr(import_module(f"{__name__}.{module}"), name)
