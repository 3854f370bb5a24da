"""Rows: how large a run's directory grows in a day, extrapolated from a real run on the lab, file by file."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.calling import output
from bench.results import Row, Target, measured
from bench.surroundings import Lab
from chaosbench.clock import NS
from chaosbench.report.intervals import read_intervals
from chaosbench.sinks import grain
from chaosbench.sinks.interval_log import line

DAY_S = 86_400
HOUR_S, AFTER_S, QUIET_S = grain.FINE_NS / NS, grain.AFTER_NS / NS, grain.QUIET_NS / NS
FAULTS_A_DAY = 144
LIMIT = Target("<=", 50.0)
SECONDS, HOLD_S = 40, 4
_SPARE_S = 240.0
_MEASURED = frozenset({0, 1, 3})
"""Exit codes of a run that has its files, whatever its verdict."""

_SCENARIO = """
scenarios:
  {name}:
    duration: {seconds}s
    warm_up: 2s
    load:
      - {{workload: select-only, rate: 720/s, arrivals: poisson, connections: 32}}
      - {{workload: simple-update, rate: 80/s, arrivals: poisson, connections: 16}}
      - {{workload: ledger, rate: 250/s, connections: 24}}
"""
_FAULTS = """
    faults:
      - {{every: 10s, times: {times}, inject: pause, target: replica, hold: {hold}s}}
"""


def directory(lab: Lab, quick: bool) -> Iterator[Row]:
    """A run without a fault gives each file its lines, one with faults what a fault adds; the grain says how many."""
    seconds = 20 if quick else SECONDS
    times = 1 if quick else 3
    steady = _SCENARIO.format(name="steady", seconds=seconds)
    faulty = _SCENARIO.format(name="faulty", seconds=seconds) + _FAULTS.format(times=times, hold=HOLD_S)
    plain, with_faults = files(lab, steady, seconds), files(lab, faulty, seconds)
    figures, total = {}, 0.0
    for name, file in sorted(plain.items()):
        more = with_faults.get(name, file).size - file.size
        a_day = growth(name, file, seconds) + max(0.0, more) / times * file.packing * FAULTS_A_DAY
        figures[f"{name} MB"] = [a_day / 1e6]
        total += a_day / 1e6
    yield measured(
        f"run directory after a day with {FAULTS_A_DAY} faults, without raw samples", [total], "MB", LIMIT, figures
    )


@dataclass(frozen=True, slots=True)
class File:
    """What a run left: bytes, what compressing makes of one of them, and how many a line of a quiet minute has."""

    size: int
    packing: float = 1.0
    quiet_line: float = 0.0


def growth(name: str, file: File, seconds: float) -> float:
    """Bytes of a file after a day of soak, its closed parts compressed, as ``sinks/grain.py`` spaces the lines.

    An hour by the second, and so is each fault until 10 s after it; else a line
    a minute. Events come when they come. What is written once at the end does not grow.
    """
    if name.startswith("events"):
        return file.size * DAY_S / seconds * file.packing
    if not name.endswith((".jsonl", ".hlog")):
        return float(file.size)
    fine_s = HOUR_S + FAULTS_A_DAY * (HOLD_S + AFTER_S)
    quiet = (DAY_S - fine_s) / QUIET_S
    return (file.size / seconds * fine_s + file.quiet_line * quiet) * file.packing


def files(lab: Lab, scenario: str, seconds: int) -> dict[str, File]:
    """Each file that a run leaves, pictures left out."""
    with TemporaryDirectory() as place:
        file = Path(place) / "scenarios.yaml"
        file.write_text(scenario, encoding="utf-8")
        chaosbench = str(Path(sys.executable).with_name("chaosbench"))
        command = [chaosbench, "run", str(file), "--lab", str(lab.directory), "--out", place, "--metrics-port", "0"]
        output(command, {}, seconds + _SPARE_S, _MEASURED)
        latest = (Path(place) / "latest").resolve()
        return {path.name: looked_at(path, seconds) for path in latest.iterdir() if path.is_file()}


def looked_at(path: Path, seconds: float) -> File:
    """One of them; a growing one is compressed to see what that gives, and its intervals are merged."""
    content = path.read_bytes()
    if not content or path.suffix not in (".jsonl", ".hlog"):
        return File(len(content))
    packing = len(gzip.compress(content, 6)) / len(content)
    if path.suffix == ".jsonl":
        return File(len(content), packing, len(content) / max(1, content.count(b"\n")))
    merged = read_intervals(path, seconds).totals
    return File(len(content), packing, sum(len(line(tag, "0.000000,60.000000", all_)) for tag, all_ in merged.items()))
