"""The line format: what stands on one line of a log, by which names.

One JSON object a line, UTF-8, flat, ended by ``\\n``. This module is the contract between the writer and every reader;
it has names and limits only, and how a name over its limit is cut.
"""

import hashlib
from enum import StrEnum
from typing import Final

FORMAT_VERSION: Final = 1
"""The version that `writer.opened` states; a reader meets an unknown one as ordinary lines."""

MAX_FIELD_BYTES: Final = 1 << 20
"""A field whose JSON is longer is cut, keeping its length and SHA-256."""

MAX_LINE_BYTES: Final = 8 << 20
"""A line that is longer has its largest fields cut; half of what the reader takes."""

MAX_ID_LENGTH: Final = 128
"""Longest `execution_id`, in characters."""

MAX_NAME_LENGTH: Final = 256
"""Longest name and other id, in characters: PostgreSQL refuses an index entry of more than 2.7 kB."""


def cut_name(name: str) -> str:
    """Cut a name that is too long, and tell it from others by its hash; alike by who writes, ingests and asks.

    >>> cut_name("a"), len(cut_name("x" * 300)), cut_name("x" * 300) == cut_name("x" * 301)
    ('a', 217, False)
    """
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[:200]}…{hashlib.blake2b(name.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"


class Kind(StrEnum):
    """What a line is about; an ordinary logging call has no kind."""

    EXECUTION_PENDING = "execution.pending"
    EXECUTION_STARTED = "execution.started"
    RELEVANCE = "relevance"
    STAGE_STARTED = "stage.started"
    STAGE_COMPLETED = "stage.completed"
    STAGE_FAILED = "stage.failed"
    LLM_REQUEST = "llm.request"
    LLM_RESPONSE = "llm.response"
    LLM_ERROR = "llm.error"
    OUTPUT = "output"
    EXECUTION_FINISHED = "execution.finished"
    WRITER_OPENED = "writer.opened"
    WRITER_CLOSED = "writer.closed"


STAMP_KEYS: Final = ("timestamp", "writer", "seq")
"""Keys that the writer sets on every line, whatever the caller passed under those names."""

IDENTITY_KEYS: Final = ("agent_name", "method", "vault_id", "conversation_id", "user_id", "parent_execution_id")
"""Keys that say which execution this is; they may stand on any line."""
