"""Give rows to people: a dictionary whose keys are attributes too."""

from typing import Any


class Record(dict[str, Any]):
    """Answer both ``record["status"]`` and ``record.status``.

    It is a plain dictionary otherwise. Times in it are aware and UTC; `orjson.dumps` takes it as it is.

    >>> record = Record(status="skipped", relevance_score=0.3)
    >>> record.status, record["status"]
    ('skipped', 'skipped')
    >>> record.stauts
    Traceback (most recent call last):
        ...
    AttributeError: this record has no 'stauts'; it has relevance_score, status
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"this record has no {name!r}; it has {', '.join(sorted(self))}") from None
