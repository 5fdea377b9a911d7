"""Log what agents do: a structlog processor, executions, and trackers; no network and no database.

>>> from tracklog.processors import configure, execution
"""

from tracklog.processors.agent import BaseAgent
from tracklog.processors.asgi import ExecutionMiddleware
from tracklog.processors.configure import configure
from tracklog.processors.context import ContextThreadPoolExecutor, carry, current_execution
from tracklog.processors.errors import TracklogError
from tracklog.processors.execution import execution, pending
from tracklog.processors.line import Kind
from tracklog.processors.processor import ExecutionLog
from tracklog.processors.propagate import extract, inject
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
    "NoOpTracker",
    "TracklogError",
    "carry",
    "configure",
    "current_execution",
    "execution",
    "extract",
    "inject",
    "pending",
]
