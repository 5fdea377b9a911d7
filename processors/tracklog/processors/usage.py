"""Token counts, as the answers of model libraries carry them."""

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
    return counts


def _part(value: Any, name: str) -> Any:
    try:
        return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    except Exception:  # noqa: BLE001
        return None  # A property of somebody else's object that fails.
