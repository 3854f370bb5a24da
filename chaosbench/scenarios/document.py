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

    def _convert(self, node: yaml.Node, path: Path_, loader: yaml.SafeLoader) -> Any:
        self._positions.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, loader)
        if isinstance(node, yaml.SequenceNode):
            return [self._convert(item, (*path, index), loader) for index, item in enumerate(node.value)]
        return loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, path: Path_, loader: yaml.SafeLoader) -> dict[str, Any]:
        loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node)
            name = str(key) if isinstance(key, Hashable) else "?"
            here = (*path, name)
            twice = name in result
            self._positions[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if twice:
                self.add(here, f"{name!r} stands here twice; keep one")
            result[name] = self._convert(value_node, here, loader)
        return result


def read(file: Path) -> Document:
    """Read a YAML file.

    Raises :class:`UsageError` if it cannot be read and
    :class:`ScenarioFileError` if it is not YAML.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file; write the path of a scenario file, such as scenarios.yaml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read: {error}") from None
    document = Document(str(file), text)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        document.root = document._convert(node, (), loader) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ScenarioFileError((Problem(line, column, f"not YAML: {error.problem}", str(file)),)) from None
    except yaml.YAMLError as error:
        raise ScenarioFileError((Problem(1, 1, f"not YAML: {error}", str(file)),)) from None
    finally:
        loader.dispose()
    return document


def closest(word: str, words: list[str]) -> str:
    """``; did you mean 'x'?`` where something is close, else the whole choice."""
    matches = get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else f"; write one of: {', '.join(words)}"
