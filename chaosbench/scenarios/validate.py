"""From pydantic's errors to lines that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from chaosbench.scenarios.document import Document, Path_, closest

T = TypeVar("T")

_UNKNOWN_KEY = {"unexpected_keyword_argument", "extra_forbidden", "no_such_attribute"}
_MISSING = {"missing", "missing_argument", "missing_keyword_only_argument"}
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
}
_KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "tuple_type": "a list, as in [a, b]",
    "list_type": "a list, as in [a, b]",
    "dict_type": "a mapping of keys to values",
    "dataclass_type": "a mapping of keys to values",
    "bool_parsing": "true or false",
    "finite_number": "a number",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "small letters, digits and hyphens",
}
_LENGTHS = {
    "too_short": "{min_length} or more of them",
    "too_long": "not more than {max_length} of them",
}


def build(
    cls: type[T],
    raw: dict[str, Any],
    path: Path_,
    document: Document,
    known: tuple[str, ...] = (),
    at: Mapping[str, Path_] | None = None,
) -> T | None:
    """An instance of a settings class from YAML values, or None with the problems noted.

    known:  further keys that are right in this place, for the suggestions
    at:     where keys stand that do not stand in this place
    """
    try:
        return TypeAdapter(cls).validate_python(raw)
    except ValidationError as failure:
        details = failure.errors()
        spoilt = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
        for detail in details:
            if detail["type"] == "too_short" and detail["loc"] in spoilt:
                continue  # what is in the list is wrong: pydantic then takes it for empty as well
            key = detail["loc"][0] if detail["loc"] else None
            where = (at or {}).get(str(key), (*path, *detail["loc"][:1])) + detail["loc"][1:]
            _note(detail, cls, where, document, known)
        return None


def _note(detail: ErrorDetails, cls: type[Any], where: Path_, document: Document, known: tuple[str, ...]) -> None:
    kind, input_ = detail["type"], detail["input"]
    name = _name(where)
    if kind in _UNKNOWN_KEY:
        choice = [*known, *keys_of(cls)] if len(detail["loc"]) == 1 else _siblings(cls, detail["loc"])
        document.add(where, f"unknown key {where[-1]!r}{closest(str(where[-1]), choice)}")
    elif kind in _MISSING:
        document.add(where[:-1], f"{name!r} is missing")
    elif kind == "literal_error":
        expected = re.findall("'([^']*)'", detail["ctx"]["expected"])
        document.add(where, f"{name}: {_say(input_)} is not known{closest(str(input_), expected)}")
    elif kind in _BOUNDS:
        bounds = {key: _say(value) for key, value in detail["ctx"].items()}
        document.add(where, f"{name}: write {_BOUNDS[kind].format(**bounds)}, not {_say(input_)}")
    elif kind in _KINDS:
        document.add(where, f"{name}: write {_KINDS[kind]}, not {_say(input_)}")
    elif kind in _LENGTHS:
        document.add(where, f"{name}: write {_LENGTHS[kind].format(**detail['ctx'])}")
    else:
        document.add(where, f"{name}: {detail['msg'].removeprefix('Value error, ')}")


def keys_of(cls: type[Any]) -> list[str]:
    """The YAML keys of a settings class."""
    aliases = {name: field.alias for name, field in getattr(cls, "__pydantic_fields__", {}).items()}
    return [aliases.get(field.name) or field.name for field in fields(cls)]


def _siblings(cls: type[Any], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that are right at a nested place: those of the class that the location leads to."""
    schema = TypeAdapter(cls).json_schema()
    node: dict[str, Any] = schema
    for part in loc[:-1]:
        node = _follow(node, schema)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
    return list(_follow(node, schema).get("properties", {})) or ["(nothing else)"]


def _follow(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", ()):
        if "$ref" in option or option.get("type") == "array":
            node = option
            break
    if "$ref" in node:
        found: dict[str, Any] = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        return found
    return node


def _name(where: Path_) -> str:
    """The last key of a path, with the numbers (from 1) of the list items below it: ``parameters 2``."""
    numbers: list[str] = []
    for part in reversed(where):
        if isinstance(part, str):
            return " ".join([part, *reversed(numbers)])
        numbers.append(str(part + 1))
    return " ".join(reversed(numbers))


def _say(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case float():
            return f"{value:.10g}"
        case _:
            return repr(value)
