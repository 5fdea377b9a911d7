"""What can go wrong when a question is asked."""

from tracklog.processors.errors import TracklogError


class ExecutionNotFoundError(TracklogError):
    """There is no execution with this id."""


class AmbiguousIdError(TracklogError):
    """Several executions have ids that begin like this."""


class StatementError(TracklogError):
    """The database refuses a statement that somebody wrote."""
