"""Which records of the standard library's logging have been written: each once, however many handlers it passes."""

import logging
from typing import Final

_REMEMBERED: Final = 1024
"""The handlers of a record follow at once; behind a queue, a little later."""


class WrittenRecords:
    """Remember records that were written.

    A handler is given a copy of the record, so the record itself tells nothing. Its time of creation is one object that
    all copies share, and that no other record has.
    """

    def __init__(self) -> None:
        # Held, so that no other object gets the same identity.
        self._times: dict[int, float] = {}

    def add(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is a new one, which it is only once."""
        time = record.created
        times = self._times
        if id(time) in times:
            return False
        times[id(time)] = time
        if len(times) > _REMEMBERED:
            for old in list(times)[: _REMEMBERED // 2]:
                times.pop(old, None)  # Another thread may do the same.
        return True
