"""Live metrics for Prometheus; the contract of names and labels is ``docs/metrics.md``.

The load's figures are not counted a second time: a scrape reads the tallies as
they are. The tallies are copied in one piece, so that a page is consistent; the
rest family by family, and the loop runs in between. (A thread takes 5 ms turns.)
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from chaosbench import __version__
from chaosbench.events import Event
from chaosbench.model.containers import ContainerUse
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.buckets import LAG, LATENCY, Buckets
from chaosbench.sinks.happenings import Happenings
from chaosbench.sinks.measured import Measured
from chaosbench.sinks.metrics_server import MetricsServer
from chaosbench.sinks.prometheus_measured import measured_families, process_families
from chaosbench.sinks.steps import gently
from chaosbench.sinks.totals import Figures, Reading, Totals

OPERATION = ("workload", "operation", "class")
NOT_OK = "not_ok"
"""The ``outcome`` of latency histograms for everything that was not acknowledged."""
Use = Callable[[ContainerUse], float | None]
PIECE = 20
"""Samples made into text in one go: about 0.3 ms."""


class PrometheusSink:
    """Counts what only events tell, reads the rest from the recorder when asked for the page.

    :meth:`start` serves ``http://127.0.0.1:<port>/metrics``, :meth:`stop` ends that.

    routes:      what the same server answers beside the metrics
    containers:  what the members' containers use now
    """

    name = "prometheus"

    def __init__(
        self,
        port: int = 9180,
        routes: Sequence[web.AbstractRouteDef] = (),
        containers: Callable[[], Mapping[str, ContainerUse]] = dict,
    ) -> None:
        self._server = MetricsServer(self.render, port, routes)
        self._containers = containers
        self._totals = Totals()
        self._happenings = Happenings()
        self._measured = Measured()

    @property
    def port(self) -> int:
        """The port of the page."""
        return self._server.port

    async def start(self) -> None:
        """Serve the page. Raises :class:`~chaosbench.errors.PreflightError` when the port cannot be had."""
        await self._server.start()

    async def last_look(self) -> None:
        """Let a Prometheus that has been coming by fetch what the end of the run has to tell; seconds at most."""
        await self._server.last_look()

    async def stop(self) -> None:
        """Stop serving."""
        await self._server.stop()

    def on_event(self, event: Event) -> None:
        """Count it."""
        self._happenings.event(event)
        self._measured.event(event)

    def on_tick(self, recorder: Recorder) -> None:
        """Follow the recorder in use. One that is new takes over; the earlier one's counts are kept."""
        self._totals.follow(recorder)
        self._happenings.lead(recorder.leader)

    def close(self) -> None:
        """Nothing to flush; the page stays until :meth:`stop`."""

    def _families(self, reading: Reading) -> Iterator[Metric]:
        yield from self._operations(reading)
        yield from self._chaos(reading)
        yield from self._generator(reading)
        yield from _container_families(self._containers())
        yield from measured_families(self._measured)
        yield from process_families()
        yield from _latencies(reading)

    async def render(self) -> bytes:
        """The page. Lets the loop run between its pieces."""
        page: list[bytes] = []
        named = set()
        reading = await gently(self._totals.steps())
        for metric in self._families(reading):
            for piece in _pieces(metric):
                await asyncio.sleep(0)
                text = generate_latest(piece)
                # A name may have only one HELP and one TYPE line: these are the first two.
                page.append(text.split(b"\n", 2)[2] if metric.name in named else text)
                named.add(metric.name)
        return b"".join(page)

    def _operations(self, reading: Reading) -> Iterator[Metric]:
        yield from self._queries(reading)
        offered = CounterMetricFamily("chaosbench_offered", "Operations that arrived.", labels=OPERATION)
        shed = CounterMetricFamily("chaosbench_shed", "Arrivals never sent.", labels=OPERATION)
        in_flight = GaugeMetricFamily("chaosbench_in_flight", "Operations arrived and not ended.", labels=OPERATION)
        for key, figures in reading.figures.items():
            offered.add_metric(key, figures.attempted)
            shed.add_metric(key, sum(n for (outcome, _), n in figures.reasons.items() if outcome == Outcome.SHED))
            in_flight.add_metric(key, figures.in_flight)
        yield from (offered, shed, in_flight)
        recorder = self._totals.recorder
        yield GaugeMetricFamily(
            "chaosbench_backlog", "Arrivals that wait for a connection.", value=recorder.backlog if recorder else 0
        )

    def _queries(self, reading: Reading) -> Iterator[Metric]:
        """One piece a kind of operation, as there may be many reasons."""
        named = ("chaosbench_queries", "Operations that ended.")
        labels = (*OPERATION, "outcome", "reason")
        yield CounterMetricFamily(*named, labels=labels)
        for key, figures in reading.figures.items():
            piece = CounterMetricFamily(*named, labels=labels)
            piece.add_metric((*key, Outcome.OK.value, ""), figures.ok)
            for (outcome, reason), count in self._happenings.named(figures.reasons).items():
                piece.add_metric((*key, outcome, reason), count)
            yield piece

    def _chaos(self, reading: Reading) -> Iterator[Metric]:
        active = GaugeMetricFamily(
            "chaosbench_fault_active", "1 while a fault is in place.", labels=("fault", "injector", "target")
        )
        for labels, on in self._happenings.faults.items():
            active.add_metric(labels, on)
        faults = CounterMetricFamily("chaosbench_faults", "What became of faults.", labels=("fault", "result"))
        for ends, count in self._happenings.fault_ends.items():
            faults.add_metric(ends, count)
        leader = GaugeMetricFamily("chaosbench_leader", "1 for the node that leads.", labels=("node",))
        for node in self._happenings.leaders:
            leader.add_metric((node,), node == self._happenings.leader)
        yield from (active, faults, leader)
        yield from self._error_windows(reading)

    def _error_windows(self, reading: Reading) -> Iterator[Metric]:
        opened = CounterMetricFamily("chaosbench_error_windows", "Error windows opened.", labels=("class",))
        is_open = GaugeMetricFamily("chaosbench_error_window_open", "1 in an error window.", labels=("class",))
        seconds = CounterMetricFamily(
            "chaosbench_error_window_seconds", "Time inside error windows.", labels=("class",)
        )
        now_open = {window.op_class for window in self._totals.open_windows()}
        for op_class in OpClass:
            opened.add_metric((op_class.value,), self._happenings.windows[op_class.value])
            is_open.add_metric((op_class.value,), op_class in now_open)
            seconds.add_metric((op_class.value,), reading.window_ns[op_class] / 1e9)
        last = GaugeMetricFamily(
            "chaosbench_last_error_window_seconds", "Length of the error window that closed last.", labels=("class",)
        )
        for name, length in self._happenings.last_window.items():
            last.add_metric((name,), length)
        yield from (opened, is_open, seconds, last)

    def _generator(self, reading: Reading) -> Iterator[Metric]:
        lag = HistogramMetricFamily("chaosbench_loop_lag_seconds", "Lateness of the load generator's event loop.")
        lag.add_metric((), LAG.cumulative(reading.lag), reading.lag.sum_s)
        yield lag
        yield CounterMetricFamily(
            "chaosbench_generator_suspect", "Times that the loop was 10 ms late or more.", value=reading.suspects
        )
        scenario = GaugeMetricFamily(
            "chaosbench_scenario_info",
            "The scenario that runs now.",
            labels=("run", "scenario", "trial", "file", "seed"),
        )
        if self._happenings.scenario is not None:
            name, file, seed = self._happenings.scenario
            scenario.add_metric((self._happenings.run, name, self._measured.trial_name, file, seed), 1)
        build = GaugeMetricFamily("chaosbench_build_info", "What is running.", labels=("version", "python"))
        build.add_metric((__version__, platform.python_version()), 1)
        yield from (scenario, build)


class _Piece(Collector):
    """A registry with one metric, or some samples of it, for ``generate_latest``."""

    def __init__(self, metric: Metric, samples: list[Sample]) -> None:
        self._metric = Metric(metric.name, metric.documentation, metric.type)
        self._metric.samples = samples

    def collect(self) -> Iterator[Metric]:
        """That metric."""
        yield self._metric


def _pieces(metric: Metric) -> Iterator[_Piece]:
    for start in range(0, max(1, len(metric.samples)), PIECE):
        yield _Piece(metric, metric.samples[start : start + PIECE])


def _container_families(uses: Mapping[str, ContainerUse]) -> Iterator[Metric]:
    """What the containers use. A counter that the engine does not tell has no series."""
    for name, words, kind, read in _CONTAINERS:
        family = kind(f"chaosbench_container_{name}", words, labels=("member",))
        for member, use in uses.items():
            value = read(use)
            if value is not None:
                family.add_metric((member,), value)
        yield family


_CONTAINERS: tuple[tuple[str, str, type[CounterMetricFamily | GaugeMetricFamily], Use], ...] = (
    ("cpu_seconds", "CPU time used.", CounterMetricFamily, lambda use: use.cpu_s),
    ("memory_bytes", "Memory in use, without idle file cache.", GaugeMetricFamily, lambda use: use.memory_bytes),
    ("read_bytes", "Read from disks.", CounterMetricFamily, lambda use: use.read_bytes),
    ("written_bytes", "Written to disks.", CounterMetricFamily, lambda use: use.written_bytes),
    ("receive_bytes", "Received over networks.", CounterMetricFamily, lambda use: use.receive_bytes),
    ("transmit_bytes", "Transmitted over networks.", CounterMetricFamily, lambda use: use.transmit_bytes),
)


def _latencies(reading: Reading) -> Iterator[Metric]:
    """One piece a label set: a histogram is long, and the loop should run in between."""
    labels = (*OPERATION, "outcome")
    for name, words, histograms in _LATENCIES:
        yield HistogramMetricFamily(name, words, labels=labels)
        for key, figures in reading.figures.items():
            for outcome, buckets in zip((Outcome.OK.value, NOT_OK), histograms(figures), strict=True):
                if any(buckets.counts):
                    piece = HistogramMetricFamily(name, words, labels=labels)
                    piece.add_metric((*key, outcome), LATENCY.cumulative(buckets), buckets.sum_s)
                    yield piece


_LATENCIES: tuple[tuple[str, str, Callable[[Figures], tuple[Buckets, Buckets]]], ...] = (
    (
        "chaosbench_query_latency_seconds",
        "Response time: from the intended start.",
        lambda figures: (figures.response, figures.response_bad),
    ),
    (
        "chaosbench_query_service_seconds",
        "Service time: from the moment of sending.",
        lambda figures: (figures.service, figures.service_bad),
    ),
)
