"""Durations in buckets."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tracklog.ingester.histogram import RELATIVE_ERROR, bucket, buckets, quantile, value

DURATIONS = st.floats(0.001, 1e9)


@given(DURATIONS)
def test_a_bucket_stands_for_its_durations(duration: float) -> None:
    """A bucket's value is within the stated error of every duration in it."""
    assert abs(value(bucket(duration)) - duration) <= duration * RELATIVE_ERROR * 1.000001


@given(st.lists(DURATIONS, min_size=1), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_quantile_is_that_of_the_sorted_durations(durations: list[float], q: float) -> None:
    """A quantile is within the stated error of the duration at its nearest rank."""
    exact = sorted(durations)[max(0, math.ceil(q * len(durations)) - 1)]
    estimate = quantile(Counter(map(bucket, durations)), q)
    assert estimate is not None
    assert abs(estimate - exact) <= exact * RELATIVE_ERROR * 1.000001


@given(st.lists(st.one_of(DURATIONS, st.floats(-1e9, 1e9), st.integers(-10, 10**12))))
def test_many_durations_are_counted_as_each_alone(durations: list[float]) -> None:
    """Many at a time lie in the buckets in which each of them lies, also such as nothing takes."""
    assert Counter(map(bucket, durations)) == buckets(durations)


def test_no_durations_have_no_quantile() -> None:
    """Of nothing there is no median."""
    assert quantile({}, 0.5) is None


def test_nothing_takes_no_time() -> None:
    """A duration of zero is in a bucket whose value is zero."""
    assert value(bucket(0.0)) == 0.0
