"""Answer what somebody asks in SQL."""

from tracklog.analytics.query import Plain, Query, Rows, at_most


def run_sql(statement: str, limit: int | None = None) -> Query[Rows]:
    """Run a statement in the database's own SQL, in a transaction that cannot write.

    Values are as the database has them: on SQLite times are texts in UTC, and JSON is text.

    :param statement: One statement.
    :param limit: At most so many rows; all without.
    :return: The rows, a list whose `names` are those of the columns; of columns of the same name the later ones are
        numbered: ``id``, ``id_2``.
    :raises StatementError: The database refuses it.
    :raises ValueError: `limit` is negative or no whole number.
    """
    return (yield Plain(statement, None if limit is None else at_most(limit)))
