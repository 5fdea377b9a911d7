"""Durations in buckets whose counts can be added: quantiles with a bounded relative error.

Buckets grow by a constant factor, so that every value in a bucket is within 1 % of the bucket's own value
(DDSketch; Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch", VLDB 2019).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import truediv
from typing import Final

RELATIVE_ERROR: Final = 0.01
_GROWTH: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH: Final = math.log(_GROWTH)
_SMALLEST_MS: Final = 1e-3
_ZERO: Final = math.floor(math.log(_SMALLEST_MS) / _LOG_GROWTH) - 1


def bucket(milliseconds: float) -> int:
    """Give the bucket of a duration; all under a microsecond share one.

    >>> bucket(100.0) == bucket(100.5), bucket(100.0) == bucket(110.0)
    (True, False)
    """
    if milliseconds < _SMALLEST_MS:
        return _ZERO
    return math.ceil(math.log(milliseconds) / _LOG_GROWTH)


def buckets(milliseconds: Sequence[float]) -> Counter[int]:
    """Count durations by their buckets, many in a third of the time that one after the other takes.

    >>> buckets([100.0, 100.5, 110.0]) == {bucket(100.0): 2, bucket(110.0): 1}
    True
    """
    if min(milliseconds, default=0.0) < _SMALLEST_MS:
        return Counter(map(bucket, milliseconds))
    return Counter(map(math.ceil, map(truediv, map(math.log, milliseconds), repeat(_LOG_GROWTH))))


def value(index: int) -> float:
    """Give the duration, in milliseconds, that stands for a bucket.

    >>> round(value(bucket(1000.0)) / 1000, 1)
    1.0
    """
    if index <= _ZERO:
        return 0.0
    return float(2 * _GROWTH**index / (_GROWTH + 1))


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """Give the smallest duration that the share `q` (0 to 1) of the counted ones does not exceed, or None of none.

    That is the nearest rank, which of a few durations is one of them.

    >>> quantile({}, 0.5) is None
    True
    """
    total = sum(counts.values())
    if total == 0:
        return None
    rank = math.ceil(q * total)
    seen = 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            return value(index)
    return value(max(counts))
