"""Results of earlier runs: found in the runs' directory, shown by name, never anything else of the disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

RUNS_SHOWN = 50
FILES = ("report.html", "trials.json", "summary.json")
"""What is served of a run, the best first."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_HEAD = 4096
_FIELD = re.compile(r'^  "(verdict|scenario|started_at)": "([^"\\]*)"', re.MULTILINE)


def runs(out: Path) -> list[dict[str, Any]]:
    """The latest runs, newest first. Reads the beginning of each summary: its verdict stands there."""
    try:
        names = sorted((path.name for path in out.iterdir() if _NAME.fullmatch(path.name)), reverse=True)
    except OSError:
        return []
    found: list[dict[str, Any]] = []
    for name in names:
        if (out / name).is_symlink():
            continue  # "latest" is one of the others
        files = [file for file in FILES if (out / name / file).is_file()]
        if files:
            found.append({"name": name, "files": files, **_told(out / name / files[-1])})
        if len(found) == RUNS_SHOWN:
            break
    return found


def _told(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD)
    except OSError:
        return {}
    told: dict[str, str] = {}
    for key, value in _FIELD.findall(head):
        told.setdefault(key, value)
    return told


def result_file(out: Path, name: str, trial: str, file: str) -> Path | None:
    """The file of a run, or of one of its trials; None for everything that is not one.

    A name is one word of a directory, so it cannot climb; what a link in there leads to must be in there too.
    """
    words = [name, *([trial] if trial else [])]
    if file not in FILES or not all(_NAME.fullmatch(word) for word in words):
        return None
    try:
        root = out.resolve(strict=True)
        path = root.joinpath(*words, file).resolve(strict=True)
    except OSError:
        return None
    return path if path.is_relative_to(root) and path.is_file() else None
