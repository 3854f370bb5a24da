"""From pydantic's errors to lines that a person can act on."""

from __future__ import annotations

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
}


def build(cls: type[T], raw: Any, path: Path_, document: Document, known: tuple[str, ...] = ()) -> T | None:
    """An instance of a settings class from YAML values, or None with the problems noted.

    known:  further keys that are right in this place, for the suggestions
    """
    if not isinstance(raw, dict):
        document.add(path, f"{_say(raw)} stands where a mapping of keys to values belongs")
        return None
    try:
        return TypeAdapter(cls).validate_python(raw)
    except ValidationError as failure:
        for detail in failure.errors():
            _note(detail, cls, path, document, known)
        return None


def _note(detail: ErrorDetails, cls: type[Any], path: Path_, document: Document, known: tuple[str, ...]) -> None:
    where = (*path, *(part for part in detail["loc"] if isinstance(part, str | int)))
    kind = detail["type"]
    name = str(where[-1]) if where else ""
    if kind in _UNKNOWN_KEY:
        choice = [*known, *keys_of(cls)] if len(detail["loc"]) == 1 else _siblings(cls, detail["loc"])
        document.add(where, f"unknown key {name!r}{closest(name, choice)}")
    elif kind in _MISSING:
        document.add(where[:-1], f"{name!r} is missing")
    elif kind == "literal_error":
        expected = str(detail["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        document.add(where, f"{name}: {_say(detail['input'])} is not known{closest(str(detail['input']), expected)}")
    elif kind in _BOUNDS:
        document.add(where, f"{name}: write {_BOUNDS[kind].format(**detail['ctx'])}, not {_say(detail['input'])}")
    elif kind in _KINDS:
        document.add(where, f"{name}: write {_KINDS[kind]}, not {_say(detail['input'])}")
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


def _say(value: object) -> str:
    return "nothing" if value is None else repr(value) if not isinstance(value, dict | list) else f"a {kind_of(value)}"


def kind_of(value: object) -> str:
    """What YAML calls it."""
    return "mapping" if isinstance(value, dict) else "list"
