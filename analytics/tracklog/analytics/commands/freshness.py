"""Say under an answer how far it can be trusted."""

from rich.text import Text

from tracklog.analytics.answers.ingestion import reservation
from tracklog.analytics.commands import units
from tracklog.analytics.record import Record


def freshness(ingestion: Record) -> Text:
    """Say in a sentence how much of what was logged the database holds."""
    return Text(_sentence(ingestion), style="dim")


def _sentence(ingestion: Record) -> str:
    if ingestion.as_of is None:
        return "Nothing was ever ingested into this database."
    unread = ingestion.lines_quarantined
    parts = [f"Ingested as of {units.moment(ingestion.as_of)}"]
    if unread:
        parts.append(f"all but {units.plural(unread, 'line')} that could not be read")
    if (doubt := reservation(ingestion)) is not None:
        parts.append(doubt)
    return ", ".join(parts) + "."
