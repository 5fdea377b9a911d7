"""Give each test a process as it was before anything was configured."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tracklog.processors import console, context, processor, propagate, writers


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test sets up for its process, and close what it opened."""
    for variable in ("TRACKLOG_LOG_DIR", "TRACKLOG_SERVICE", "TRACKLOG_CONTEXT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(processor, "_default", None)
    monkeypatch.setattr(processor, "_warned", False)
    monkeypatch.setattr(writers, "_by_place", {})
    monkeypatch.setattr(console, "_render", None)
    root = logging.getLogger()
    handlers, level = root.handlers.copy(), root.level
    yield
    for writer in list(writers._by_place.values()):
        writer.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    context._current.set(None)
    propagate._remote.set(None)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Name a directory for logs, which does not exist yet."""
    return tmp_path / "logs"
