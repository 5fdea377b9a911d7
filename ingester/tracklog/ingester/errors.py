"""What can go wrong between the files and the database."""

from tracklog.processors.errors import TracklogError


class DatabaseError(TracklogError):
    """The database cannot be used; see the message for which one and why."""


class DatabaseUrlError(DatabaseError):
    """The database URL names no database that tracklog works on."""


class DatabaseUnreachableError(DatabaseError):
    """The database cannot be reached."""


class DatabaseRefusedError(DatabaseUnreachableError):
    """The database's server answers and lets nobody in by that URL."""


class TransactionConflictError(DatabaseError):
    """Another transaction was in the way; read anew what is there and try again."""


class RowsRefusedError(DatabaseError):
    """The database refuses what a line says, whenever it is asked."""


class OvertakenError(TransactionConflictError):
    """Another ingester has committed these lines meanwhile; read the positions anew."""


class SchemaError(DatabaseError):
    """The database's schema is not the one this version works on; run `tracklog db upgrade`."""


class SourceNotFoundError(TracklogError):
    """A path that was to be ingested does not exist."""
