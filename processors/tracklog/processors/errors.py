"""The root of every error that tracklog raises on purpose."""


class TracklogError(Exception):
    """Say what happened, where, and what to do; the docstring is the default message."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])
