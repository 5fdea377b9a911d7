"""The base of agents that are tracked."""

from typing import Any

from tracklog.processors.events import log_event
from tracklog.processors.executions import Id
from tracklog.processors.tracker import Done, ExecutionTracker, NoOpTracker


class BaseAgent:
    """An agent that makes its trackers by itself.

    A subclass may leave `__init__` out, or its call of this one.

    :param enable_tracking: False for tests, or where nothing is to be written.
    """

    agent_name: str | None = None
    """The agent's name; by default its class's."""

    enable_tracking: bool = True

    def __init__(self, *args: Any, enable_tracking: bool | None = None, **kwargs: Any) -> None:
        if enable_tracking is not None:
            self.enable_tracking = enable_tracking

    def create_tracker(
        self,
        vault_id: Id | None = None,
        conversation_id: Id | None = None,
        user_id: Id | None = None,
        parent_execution_id: Id | None = None,
    ) -> ExecutionTracker:
        """Make a tracker for this agent; with tracking off, one that records nothing."""
        name = self.agent_name or type(self).__name__
        if not self.enable_tracking:
            return NoOpTracker(name)
        return ExecutionTracker(name, vault_id, conversation_id, user_id, parent_execution_id)

    async def should_respond(self, query: Any = None, *args: Any, **kwargs: Any) -> tuple[bool, float, str]:
        """Say whether the agent is concerned, how sure it is (0 to 1), and why; to be overridden."""
        return True, 1.0, "responds to everything"

    def log_event(self, message: str | None = None, /, level: str = "info", **data: Any) -> Done[None]:
        """Log an event on the execution that is current; may be awaited or not. See `ExecutionTracker.log_event`."""
        if self.enable_tracking:
            log_event(self.agent_name or type(self).__name__, message, level, data)
        return Done(None)
