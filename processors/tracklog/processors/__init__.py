"""Log what agents do: a structlog processor, executions, and trackers; no network and no database.

>>> from tracklog.processors import configure, execution
"""

from typing import TYPE_CHECKING

from tracklog.processors.lazy import lazy_names

if TYPE_CHECKING:
    from tracklog.processors.agent import BaseAgent
    from tracklog.processors.asgi import ExecutionMiddleware
    from tracklog.processors.configuration import configure
    from tracklog.processors.context import ContextThreadPoolExecutor, carry, current_execution
    from tracklog.processors.errors import TracklogError
    from tracklog.processors.executions import execution, pending
    from tracklog.processors.line import Kind
    from tracklog.processors.processor import ExecutionLog
    from tracklog.processors.propagate import extract, inject
    from tracklog.processors.run import LLMCall, Run
    from tracklog.processors.states import ExecutionStage, ExecutionStatus
    from tracklog.processors.tracker import AgentTrackerFactory, ExecutionTracker, NoOpTracker

__all__ = [
    "AgentTrackerFactory",
    "BaseAgent",
    "ContextThreadPoolExecutor",
    "ExecutionLog",
    "ExecutionMiddleware",
    "ExecutionStage",
    "ExecutionStatus",
    "ExecutionTracker",
    "Kind",
    "LLMCall",
    "NoOpTracker",
    "Run",
    "TracklogError",
    "carry",
    "configure",
    "current_execution",
    "execution",
    "extract",
    "inject",
    "pending",
]

__getattr__ = lazy_names(
    __name__,
    {
        "tracklog.processors.agent": ("BaseAgent",),
        "tracklog.processors.asgi": ("ExecutionMiddleware",),
        "tracklog.processors.configuration": ("configure",),
        "tracklog.processors.context": ("ContextThreadPoolExecutor", "carry", "current_execution"),
        "tracklog.processors.errors": ("TracklogError",),
        "tracklog.processors.executions": ("execution", "pending"),
        "tracklog.processors.line": ("Kind",),
        "tracklog.processors.processor": ("ExecutionLog",),
        "tracklog.processors.propagate": ("extract", "inject"),
        "tracklog.processors.run": ("LLMCall", "Run"),
        "tracklog.processors.states": ("ExecutionStage", "ExecutionStatus"),
        "tracklog.processors.tracker": ("AgentTrackerFactory", "ExecutionTracker", "NoOpTracker"),
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
