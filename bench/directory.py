"""Rows: how large a run's directory grows in a day, extrapolated from a real run on the lab, file by file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.calling import output
from bench.results import Row, Target, measured
from bench.surroundings import Lab

DAY_S = 86_400
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
    """A run without a fault gives each file's bytes a second, one with faults what a fault adds."""
    seconds = 20 if quick else SECONDS
    times = 1 if quick else 3
    steady = _SCENARIO.format(name="steady", seconds=seconds)
    faulty = _SCENARIO.format(name="faulty", seconds=seconds) + _FAULTS.format(times=times, hold=HOLD_S)
    plain, with_faults = sizes(lab, steady, seconds), sizes(lab, faulty, seconds)
    figures, total = {}, 0.0
    for name, size in sorted(plain.items()):
        a_fault = max(0.0, with_faults.get(name, 0) - size) / times
        a_day = growth(name, size, seconds) + a_fault * FAULTS_A_DAY
        figures[f"{name} MB"] = [a_day / 1e6]
        total += a_day / 1e6
    yield measured(
        f"run directory after a day with {FAULTS_A_DAY} faults, without raw samples", [total], "MB", LIMIT, figures
    )


def growth(name: str, size: int, seconds: int) -> float:
    """Bytes of a file after a day: journals and logs grow with time, what is written once at the end does not."""
    return size * DAY_S / seconds if name.endswith((".jsonl", ".hlog")) else float(size)


def sizes(lab: Lab, scenario: str, seconds: int) -> dict[str, int]:
    """Bytes of each file that a run leaves, pictures left out."""
    with TemporaryDirectory() as place:
        file = Path(place) / "scenarios.yaml"
        file.write_text(scenario, encoding="utf-8")
        chaosbench = str(Path(sys.executable).with_name("chaosbench"))
        command = [chaosbench, "run", str(file), "--lab", str(lab.directory), "--out", place, "--metrics-port", "0"]
        output(command, {}, seconds + _SPARE_S, _MEASURED)
        latest = (Path(place) / "latest").resolve()
        return {path.name: path.stat().st_size for path in latest.iterdir() if path.is_file()}
