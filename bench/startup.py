"""Rows: how soon the command line answers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.results import Row, Target, measured
from bench.surroundings import ROOT

COMMANDS = (
    ("--help", ("--help",), Target("<=", 150.0)),
    ("check scenarios.yaml", ("check", "scenarios.yaml"), Target("<=", 300.0)),
)


def startup(quick: bool) -> Iterator[Row]:
    """Whole processes, in turn with an interpreter that does nothing, by the wall clock."""
    found: dict[str, list[float]] = {"python": [], **{name: [] for name, _, _ in COMMANDS}}
    chaosbench = str(Path(sys.executable).with_name("chaosbench"))
    for _ in range(5 if quick else 21):
        found["python"].append(_ms(sys.executable, "-c", ""))
        for name, arguments, _ in COMMANDS:
            found[name].append(_ms(chaosbench, *arguments))
    for name, _, target in COMMANDS:
        yield measured(f"chaosbench {name}", found[name], "ms", target, {"an empty python ms": found["python"]})


def _ms(*command: str) -> float:
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return (time.monotonic() - began) * 1000
