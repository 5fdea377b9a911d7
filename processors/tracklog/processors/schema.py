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


def is_schema(value: dict[str, Any]) -> bool:
    """Tell whether a value describes values, and is none itself.

    >>> is_schema({"type": "string", "description": "the user's"}), is_schema({"type": "bearer", "value": "x"})
    (True, False)
    """
    if not _KEYWORDS.issuperset(value):
        return False
    types = value.get("type")
    if types is None:
        return any(name in value for name in _COMPOSED)
    # Some providers write types in capitals.
    return all(
        isinstance(one, str) and one.lower() in _TYPES for one in (types if isinstance(types, list) else [types])
    )
