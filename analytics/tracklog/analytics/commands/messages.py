"""Print what the ingester has to say in lines on stderr, as all messages of the command line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from tracklog.analytics.commands.text import safe


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"tracklog: {safe(record.getMessage())}", err=True)


@contextmanager
def messages() -> Iterator[None]:
    """Print here, and nowhere else, what the ingester says meanwhile."""
    logger, handler = logging.getLogger("tracklog.ingester"), _ToStderr()
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
