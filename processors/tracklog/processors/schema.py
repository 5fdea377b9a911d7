"""JSON Schema, by which a tool says what it takes: under the name of a secret, it is none."""

from typing import Any, Final

EXAMPLES: Final = frozenset(("default", "const", "enum", "example", "examples"))
"""What holds values of what is described."""

_KEYWORDS: Final = frozenset(
    (
        *("type", "title", "description", "format", "nullable", "readOnly", "writeOnly", "deprecated", *EXAMPLES),
        *("pattern", "minLength", "maxLength", "contentEncoding", "contentMediaType"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
        *("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
        *("anyOf", "oneOf", "allOf", "not", "$ref", "$defs", "$schema", "$id", "$comment", "strict"),
    )
)
_TYPES: Final = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
_COMPOSED: Final = ("anyOf", "oneOf", "allOf", "$ref")
_SCHEMAS: Final = ("items", "not", "additionalProperties", "prefixItems", "anyOf", "oneOf", "allOf")
_NAMED_SCHEMAS: Final = ("properties", "patternProperties", "$defs")


def is_schema(value: dict[str, Any]) -> bool:
    """Tell whether a value describes values, and is none itself.

    >>> is_schema({"type": "string", "description": "the user's"}), is_schema({"type": "bearer", "value": "x"})
    (True, False)
    """
    return _describes(value) and any(name in value for name in ("type", *_COMPOSED))


def _describes(value: Any) -> bool:
    """Tell whether a value may stand in a schema as one, and all below it."""
    if isinstance(value, bool):
        return True
    if not isinstance(value, dict) or not _KEYWORDS.issuperset(value):
        return False
    types = value.get("type", "null")
    reference = value.get("$ref", "#")
    return (
        bool(types)
        # Some providers write types in capitals.
        and all(isinstance(one, str) and one.lower() in _TYPES for one in _several(types))
        and isinstance(reference, str)
        and reference.startswith("#")
        and all(_describes(one) for name in _SCHEMAS if name in value for one in _several(value[name]))
        and all(_describe(value[name]) for name in _NAMED_SCHEMAS if name in value)
    )


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _describe(named: Any) -> bool:
    return isinstance(named, dict) and all(map(_describes, named.values()))
