"""What the names of a line's keys tell, whatever their values: a program's lines have few shapes, so it is kept."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from tracklog.ingester.remembered import Remembered
from tracklog.processors.line import IDENTITY_KEYS, STAMP_KEYS, Kind

_ALIAS: Final = "gen_ai."
"""How OpenTelemetry's names for calls of language models begin."""

LLM_KINDS: Final = frozenset((Kind.LLM_REQUEST, Kind.LLM_RESPONSE, Kind.LLM_ERROR))

_SHAPES: Final = 1024
"""So many are kept; where keys are data, there is no end of them."""

_USUAL_KEYS: Final = 64
_USUAL_BYTES: Final = 1 << 14
"""The shape of a line with more is not kept: a thousand of them would fill the memory."""

_KINDS: Final[Mapping[str, Kind]] = {kind.value: kind for kind in Kind}

_COLUMN_KEYS: Final = frozenset((*STAMP_KEYS, *IDENTITY_KEYS, "execution_id", "level", "event", "logger"))
"""Keys that have a column of their own, in the log row or in the row they make."""

_TAKEN_KEYS: Final = ("stage", "stage_status", "duration_ms")
"""Keys that have one where their values are such as it takes."""

_REQUEST_ALIASES: Final = ("gen_ai.input.messages", "gen_ai.prompt")
_PAYLOAD_KEYS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.EXECUTION_STARTED: ("input_data", "metadata"),
    Kind.OUTPUT: ("output_data",),
    Kind.EXECUTION_FINISHED: ("exception",),
    Kind.LLM_REQUEST: ("request", *_REQUEST_ALIASES),
    Kind.LLM_RESPONSE: ("request", "response", *_REQUEST_ALIASES, "gen_ai.output.messages", "gen_ai.completion"),
    Kind.LLM_ERROR: ("request", "response"),
}
"""What may be long and is kept with the execution or the call, not with the log row."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What a line is about, and which of its keys are for what."""

    kind: Kind | None
    name: str | None
    """That of the kind."""
    aliases: tuple[str, ...]
    """Names of OpenTelemetry's that it has, which are read as ours."""
    identity: tuple[tuple[int, str], ...]
    """Of `IDENTITY_KEYS` those that it has, each with its place among them."""
    data: tuple[str, ...]
    """Names that are nothing to us: the caller's own."""
    taken: tuple[str, ...]
    """Names that are the caller's own where a column does not take their values."""
    has_stage: bool
    has_duration: bool
    has_logger: bool


def shape_of(kind: str | None, fields: Collection[str], length: int) -> Shape:
    """Give the shape of a line.

    :param kind: What it states as its kind.
    :param fields: The names of its keys, in order.
    :param length: That of the line in bytes.
    """
    names = kind, tuple(fields)
    return _kept[names] if length <= _USUAL_BYTES and len(fields) <= _USUAL_KEYS else _made(names)


def _made(stated: tuple[str | None, tuple[str, ...]]) -> Shape:
    kind, names = stated
    aliases = tuple(name for name in names if name.startswith(_ALIAS))
    known = _KINDS.get(kind) if kind is not None else None
    if known is None:
        known = _kind_of(aliases)
    taken = tuple(name for name in _TAKEN_KEYS if name in names and (known is None or name != "stage_status"))
    ours = _COLUMN_KEYS.union(taken)
    if known is not None:  # Else nothing of it is a payload, and its `kind` is the caller's.
        ours = ours.union(("kind",), _PAYLOAD_KEYS.get(known, ()))
    return Shape(
        known,
        known.value if known is not None else None,
        aliases if known is None or known in LLM_KINDS else (),
        tuple((place, name) for place, name in enumerate(IDENTITY_KEYS) if name in names),
        tuple(name for name in names if name not in ours),
        taken,
        "stage" in names or "stage_status" in names,
        "duration_ms" in names,
        "logger" in names,
    )


_kept: Final = Remembered(_made, _SHAPES)

_ENDED: Final = ("gen_ai.usage.", "gen_ai.response.", "gen_ai.output.", "gen_ai.completion")


def _kind_of(aliases: tuple[str, ...]) -> Kind | None:
    """Give the kind that OpenTelemetry's names say a line is of."""
    if any(name.startswith(_ENDED) for name in aliases):
        return Kind.LLM_RESPONSE
    return Kind.LLM_REQUEST if "gen_ai.request.model" in aliases else None
