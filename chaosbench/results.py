"""The run's directory: ``runs/<UTC time>-<scenario>/``, and the schema of what is written there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from chaosbench.errors import PreflightError
from chaosbench.model.report import Summary

LATEST = "latest"
SUMMARY = "summary.json"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Where one scenario's results go."""

    path: Path

    @classmethod
    def make(cls, out: Path, started: datetime, scenario: str) -> RunDirectory:
        """A new directory below ``out``; ``out/latest`` points to it. PreflightError when it cannot be made."""
        stamp = started.strftime("%Y%m%dT%H%M%SZ")
        for attempt in range(100):
            path = out / (f"{stamp}-{scenario}" + (f"-{attempt + 1}" if attempt else ""))
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise unusable(path, error) from None
            try:
                _point(out / LATEST, path.name)
            except OSError as error:
                raise unusable(out / LATEST, error) from None
            return cls(path)
        raise PreflightError(f"{out} already has a hundred results of {stamp}-{scenario}; choose another --out")

    def write(self, summary: Summary) -> Path:
        """Write ``summary.json``, whole or not at all."""
        return write_whole(self.path / SUMMARY, TypeAdapter(Summary).dump_json(summary, indent=2))


def write_whole(target: Path, content: bytes, *, durably: bool = False) -> Path:
    """Write a file and its last newline, whole or not at all. Raises OSError."""
    partial = target.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            file.write(content + b"\n")
            if durably:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return target


def write_durably(target: Path, content: bytes) -> Path:
    """As :func:`write_whole`, and on the disk when it returns: what is there survives a machine that stops."""
    write_whole(target, content, durably=True)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return target


def unusable(path: Path, error: OSError) -> PreflightError:
    """The error for a place where results cannot go."""
    return PreflightError(f"cannot make {path} for the results: {error.strerror}; choose another --out")


def _point(link: Path, name: str) -> None:
    """Make ``link`` point to ``name`` beside it, without a moment in which it is missing."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(name)
    fresh.replace(link)


def summary_schema() -> dict[str, Any]:
    """The JSON Schema of ``summary.json``."""
    schema = TypeAdapter(Summary).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "chaosbench summary", **schema}


def schema_text() -> str:
    """The schema as it is published in ``docs/summary.schema.json``."""
    return json.dumps(summary_schema(), indent=2) + "\n"
