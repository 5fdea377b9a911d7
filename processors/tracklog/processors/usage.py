"""Token counts, and why an answer ended, as the answers of model libraries carry them."""

import operator
from collections.abc import Mapping
from typing import Any, Final

TOKEN_COUNTS: Final = (
    "tokens_used",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)

_CACHED: Final = ("cache_read_tokens", "cache_write_tokens")

# Where each count stands in the `usage` of an answer: of OpenAI's chat completions and responses, and of Anthropic's
# messages (their API references, November 2026).
_PATHS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "tokens_used": (("total_tokens",),),
    "input_tokens": (("input_tokens",), ("prompt_tokens",)),
    "output_tokens": (("output_tokens",), ("completion_tokens",)),
    "cache_read_tokens": (
        ("cache_read_input_tokens",),
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
    ),
    "cache_write_tokens": (("cache_creation_input_tokens",),),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
    ),
}


def usage_of(response: Any) -> dict[str, int]:
    """Read the token counts of a model's answer, an object or a mapping with `usage`; empty where there are none.

    >>> usage_of({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
    {'tokens_used': 7, 'input_tokens': 3, 'output_tokens': 4}
    """
    usage = _part(response, "usage")
    if usage is None:
        return {}
    counts = {}
    for name, paths in _PATHS.items():
        for path in paths:
            value = usage
            for step in path:
                value = _part(value, step)
            if isinstance(value, int) and not isinstance(value, bool):
                counts[name] = value
                break
    # Anthropic, which states no total, counts beside the input what its cache held of it; all others count it in.
    if "input_tokens" in counts and "tokens_used" not in counts and _part(usage, "prompt_tokens") is None:
        counts["input_tokens"] += sum(counts.get(name, 0) for name in _CACHED)
    return counts


def counts_of(response: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Give the token counts of an answer; those that are given decide over what its `usage` says."""
    stated = {name: count for name, count in given.items() if count is not None}
    counts = {name: whole for name, count in stated.items() if (whole := whole_of(count)) is not None}
    return {**stated, **with_total(counts if len(stated) == len(given) else {**usage_of(response), **counts})}


def whole_of(value: Any) -> int | None:
    """Give a whole number that may be written otherwise; None where it is none.

    >>> whole_of(3), whole_of(3.0), whole_of("12"), whole_of(3.7), whole_of("many"), whole_of(True)
    (3, 3, 12, None, None, None)
    """
    try:
        if isinstance(value, (float, str)):
            number = int(value)
            return number if number == value or (isinstance(value, str) and value.isdecimal()) else None
        return None if isinstance(value, bool) else operator.index(value)
    except Exception:  # noqa: BLE001
        return None  # No number, or infinite, or somebody else's object that fails.


def with_total(counts: Mapping[str, int]) -> dict[str, int]:
    """Add the total to token counts that state none: of all that went in and out, cached or not.

    What a cache held is part of the input. Where it is more than that, it was counted beside, and is added.

    >>> with_total({"input_tokens": 7, "output_tokens": 3, "cache_read_tokens": 100, "cache_write_tokens": 20})
    {'input_tokens': 127, 'output_tokens': 3, 'cache_read_tokens': 100, 'cache_write_tokens': 20, 'tokens_used': 130}
    """
    total = dict(counts)
    if "tokens_used" in total:
        return total
    cached = sum(total.get(name, 0) for name in _CACHED)
    if cached > total.get("input_tokens", cached):
        total["input_tokens"] += cached
    if "input_tokens" in total or "output_tokens" in total:
        total["tokens_used"] = total.get("input_tokens", 0) + total.get("output_tokens", 0)
    return total


def finish_reason_of(response: Any) -> str | None:
    """Read why a model's answer ended: of several, as OpenAI may give, each reason once; None where it does not say.

    >>> finish_reason_of({"choices": [{"finish_reason": "stop"}]}), finish_reason_of({"stop_reason": "end_turn"})
    ('stop', 'end_turn')
    """
    choices = _part(response, "choices")
    parts = [_part(choice, "finish_reason") for choice in choices] if isinstance(choices, (list, tuple)) else []
    reasons = (reason for reason in (*parts, _part(response, "stop_reason")) if isinstance(reason, str))
    return ", ".join(dict.fromkeys(reasons)) or None


def _part(value: Any, name: str) -> Any:
    try:
        return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    except Exception:  # noqa: BLE001
        return None  # A property of somebody else's object that fails.
