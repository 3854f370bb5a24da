"""A YAML document that knows where each of its values stands.

PyYAML composes nodes with marks; :class:`Document` keeps plain values for
validation and the mark of every key and item for messages.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from chaosbench.errors import Problem, ScenarioFileError, UsageError

Path_ = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """Values, positions, and the problems found so far."""

    file: str
    text: str
    root: Any = None
    problems: list[Problem] = field(default_factory=list)
    _positions: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    _checked: set[int] = field(default_factory=set)

    def position(self, path: Path_) -> tuple[int, int]:
        """Line and column (from 1) of a value, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self._positions:
                return self._positions[path[:length]]
        return (1, 1)

    def add(self, path: Path_, message: str) -> None:
        """Note a problem at a path."""
        line, column = self.position(path)
        self.problems.append(Problem(line, column, message, self.file))

    def check(self) -> None:
        """Raise if there are problems."""
        if self.problems:
            raise ScenarioFileError(tuple(sorted(set(self.problems))))

    def parse(self) -> None:
        """Fill ``root`` from the text. Raises what PyYAML raises."""
        loader = yaml.SafeLoader(self.text)
        try:
            node = loader.get_single_node()
            self.root = None if node is None else self._convert(node, (), loader)
        finally:
            loader.dispose()

    def _convert(self, node: yaml.Node, path: Path_, loader: yaml.SafeLoader) -> Any:
        self._positions.setdefault(path, _where(node))
        if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN_TAGS:
            self.add(path, f"the tag {node.tag!r} has no meaning here; remove it")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, loader)
        if isinstance(node, yaml.SequenceNode):
            return [self._convert(item, (*path, index), loader) for index, item in enumerate(node.value)]
        return _scalar(node, loader)

    def _mapping(self, node: yaml.MappingNode, path: Path_, loader: yaml.SafeLoader) -> dict[str, Any]:
        self._check_twice(node, path)
        loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            name = _name(key_node, loader)
            here = (*path, name)
            self._positions[here] = _where(key_node)
            result[name] = self._convert(value_node, here, loader)
        return result

    def _check_twice(self, node: yaml.MappingNode, path: Path_) -> None:
        """Note keys that stand here twice. One that only overrides what ``<<`` brings in does not."""
        if id(node) in self._checked:
            return  # an alias: what it merges is among its own keys by now
        self._checked.add(id(node))
        names: set[str] = set()
        for key_node, _ in node.value:
            name = str(key_node.value)
            if name in names:
                self._positions[(*path, name)] = _where(key_node)
                self.add((*path, name), f"{name!r} stands here twice; keep one")
            names.add(name)


_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


def _where(node: yaml.Node) -> tuple[int, int]:
    return (node.start_mark.line + 1, node.start_mark.column + 1)


def _name(key_node: yaml.Node, loader: yaml.SafeLoader) -> str:
    key = _scalar(key_node, loader)
    return str(key) if isinstance(key, Hashable) else "?"


def _scalar(node: yaml.Node, loader: yaml.SafeLoader) -> Any:
    """A scalar's value; its text where it only looks like a date or a number, or is beyond what a number can be."""
    try:
        value = loader.construct_object(node)
    except (ValueError, KeyError, OverflowError):
        return node.value
    too_large = isinstance(value, int | float) and not abs(value) < 2**63
    return node.value if too_large else value


def read(file: Path) -> Document:
    """Read a YAML file.

    Raises :class:`UsageError` if it cannot be read and
    :class:`ScenarioFileError` if it is not YAML.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file; write the path of a scenario file, such as scenarios.yaml") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not text in UTF-8; write the path of a scenario file") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    document = Document(str(file), text)
    try:
        document.parse()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ScenarioFileError((Problem(line, column, f"not YAML: {said}", str(file)),)) from None
    except ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        said = f"not YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        raise ScenarioFileError((Problem(line, column, said, str(file)),)) from None
    except RecursionError:
        said = "nested too deeply, or an alias that contains itself"
        raise ScenarioFileError((Problem(1, 1, said, str(file)),)) from None
    return document


def closest(word: str, words: list[str]) -> str:
    """``; did you mean 'x'?`` where something is close, else the whole choice."""
    matches = get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else f"; write one of: {', '.join(words)}"
