"""What :mod:`chaosbench.sinks.measured` knows, as Prometheus' families; and the process that measures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from chaosbench.sinks.measured import Measured
from chaosbench.sinks.notices import Notices

FAULT = ("scenario", "trial", "fault")
_PROCESS = ProcessCollector(registry=None)


def measured_families(measured: Measured) -> Iterator[Metric]:
    """Faults, verdicts and ledgers of the scenarios that are over, and the trial that runs."""
    yield from _times(measured)
    yield from _counts(measured)
    yield from _notices(measured.notices)
    trial = GaugeMetricFamily("chaosbench_trial", "The trial that runs.", labels=("scenario",))
    trials = GaugeMetricFamily("chaosbench_trials", "How many trials it has.", labels=("scenario",))
    if measured.trial is not None:
        scenario, number, of = measured.trial
        trial.add_metric((scenario,), number)
        trials.add_metric((scenario,), of)
    yield from (trial, trials)


def _notices(notices: Notices) -> Iterator[Metric]:
    full = GaugeMetricFamily("chaosbench_disk_full", "1 while a file of results finds no room.", labels=("file",))
    lost = CounterMetricFamily("chaosbench_lines_lost", "Lines given up on a full disk.", labels=("file",))
    for file, now in notices.full.items():
        full.add_metric((file,), now)
        lost.add_metric((file,), notices.lost.get(file, 0))
    yield from (full, lost)
    yield CounterMetricFamily("chaosbench_parts_removed", "Closed parts of results deleted.", value=notices.removed)
    yield CounterMetricFamily("chaosbench_clock_steps", "Steps of the wall clock.", value=notices.steps)


def process_families() -> Iterator[Metric]:
    """Memory, CPU, file descriptors and tasks of this very process: what leaks shows here."""
    yield from _PROCESS.collect()
    tasks = len(asyncio.all_tasks())
    yield GaugeMetricFamily("chaosbench_tasks", "Tasks of the event loop.", value=tasks)


def _times(measured: Measured) -> Iterator[Metric]:
    rto = GaugeMetricFamily("chaosbench_rto_seconds", "T0 to T6 of a measured fault.", labels=FAULT)
    phase = GaugeMetricFamily("chaosbench_phase_seconds", "A phase of a measured fault.", labels=(*FAULT, "phase"))
    for key, times in measured.times.items():
        if times.rto_s is not None:
            rto.add_metric(key, times.rto_s)
        for name, seconds in times.phases.items():
            if seconds is not None:
                phase.add_metric((*key, name), seconds)
    yield from (rto, phase)


def _counts(measured: Measured) -> Iterator[Metric]:
    faults = CounterMetricFamily(
        "chaosbench_faults_measured", "Faults of finished scenarios.", labels=("scenario", "result")
    )
    for ends, count in measured.results.items():
        faults.add_metric(ends, count)
    verdicts = CounterMetricFamily("chaosbench_verdicts", "Finished scenarios.", labels=("scenario", "verdict"))
    for judged, count in measured.verdicts.items():
        verdicts.add_metric(judged, count)
    rows = CounterMetricFamily("chaosbench_ledger_rows", "Rows of compared ledgers.", labels=("result",))
    for result, count in measured.rows.items():
        rows.add_metric((result,), count)
    unchecked = CounterMetricFamily(
        "chaosbench_ledgers_unchecked", "Ledgers that could not be compared.", value=measured.unchecked
    )
    yield from (faults, verdicts, rows, unchecked)
