"""What containers used during the load and during each fault, folded tick by tick: nothing is kept of a tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaosbench.events import Event, Kind
from chaosbench.model.containers import ContainerReport, ContainerSpan, ContainerUse
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.containers_file import between_ns, cores

LOAD = ""
"""The name of the whole load's span; faults have names."""

SPANS_KEPT = 200
"""Faults with spans of their own; a soak may have more."""

_BEGINS = {Kind.FAULT_INJECTING}
_ENDS = {Kind.FAULT_HEALED, Kind.FAULT_FAILED, Kind.HEAL_FAILED}


@dataclass(slots=True)
class _Fold:
    """One container in one span."""

    first: ContainerUse
    last: ContainerUse
    cpu_max: float | None = None
    memory_sum: int = 0
    memory_max: int = 0
    looks: int = 0

    def add(self, use: ContainerUse) -> None:
        now = cores(use, self.last)
        if now is not None:
            self.cpu_max = now if self.cpu_max is None else max(self.cpu_max, now)
        self.memory_sum += use.memory_bytes
        self.memory_max = max(self.memory_max, use.memory_bytes)
        self.looks += 1
        self.last = use

    def span(self) -> ContainerSpan:
        return ContainerSpan(
            seconds=round(between_ns(self.first, self.last) / 1e9 if self.looks else 0.0, 3),
            cpu_mean=cores(self.last, self.first),
            cpu_max=self.cpu_max,
            memory_mean_bytes=self.memory_sum // self.looks if self.looks else None,
            memory_max_bytes=self.memory_max if self.looks else None,
            read_bytes=_moved(self.first.read_bytes, self.last.read_bytes),
            written_bytes=_moved(self.first.written_bytes, self.last.written_bytes),
            receive_bytes=_moved(self.first.receive_bytes, self.last.receive_bytes),
            transmit_bytes=_moved(self.first.transmit_bytes, self.last.transmit_bytes),
        )


def _moved(first: int | None, last: int | None) -> int | None:
    return None if last is None else last - (first or 0)


@dataclass(slots=True)
class _Span:
    """All containers in one span; ``open`` while it lasts."""

    folds: dict[str, _Fold] = field(default_factory=dict)
    open: bool = True

    def add(self, uses: Mapping[str, ContainerUse]) -> None:
        for name, use in uses.items():
            fold = self.folds.get(name)
            if fold is None:
                self.folds[name] = _Fold(use, use)
            elif use.wall_ns != fold.last.wall_ns:
                fold.add(use)


class ContainerSpans:
    """Watches one scenario; :meth:`reports` is what its summary says of the containers."""

    name = "container spans"

    def __init__(self, uses: Callable[[], Mapping[str, ContainerUse]]) -> None:
        self._uses = uses
        self._spans: dict[str, _Span] = {}

    def on_event(self, event: Event) -> None:
        """Spans begin and end with the load and with faults."""
        if event.kind is Kind.STAGE and event.data["name"] == "load":
            self._begin(LOAD)
        elif event.kind is Kind.STAGE and event.data["name"] == "drain":
            self._end(LOAD)
        elif event.kind in _BEGINS and len(self._spans) <= SPANS_KEPT:
            self._begin(event.data["fault"])
        elif event.kind in _ENDS:
            self._end(event.data["fault"])

    def on_tick(self, recorder: Recorder) -> None:
        """Look at what the containers use now."""
        uses = self._uses()
        for span in self._spans.values():
            if span.open:
                span.add(uses)

    def close(self) -> None:
        """Nothing is held."""

    def reports(self) -> tuple[ContainerReport, ...]:
        """Every container that was seen during the load, by name."""
        load = self._spans.get(LOAD, _Span())
        return tuple(
            ContainerReport(
                member=name,
                load=fold.span(),
                faults={
                    fault: span.folds[name].span()
                    for fault, span in self._spans.items()
                    if fault != LOAD and name in span.folds
                },
            )
            for name, fold in sorted(load.folds.items())
        )

    def _begin(self, name: str) -> None:
        self._spans[name] = _Span()
        self._spans[name].add(self._uses())

    def _end(self, name: str) -> None:
        span = self._spans.get(name)
        if span is not None and span.open:
            span.add(self._uses())
            span.open = False
