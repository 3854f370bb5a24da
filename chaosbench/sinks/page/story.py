"""What the page says beside its curves: events and ticks folded into one bounded state. Pure.

Times are milliseconds since the epoch, as browsers count them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosbench.clock import Anchor
from chaosbench.events import Event, Kind
from chaosbench.model.cluster import Snapshot
from chaosbench.outage import WriteOutage
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.interval import Interval
from chaosbench.sinks.page.sofar import counts, fault_so_far, standing
from chaosbench.sinks.steps import Steps
from chaosbench.sinks.view import View
from chaosbench.sinks.wording import STAGES

KEPT = 200
"""Faults, error windows, changes of leader, and scenarios remembered: the latest."""

Row = dict[str, Any]
_ENDS = {Kind.FAULT_HEALED: "healed", Kind.FAULT_FAILED: "failed", Kind.HEAL_FAILED: "stuck"}


@dataclass(slots=True)
class Story:
    """Changed by :meth:`event`, :meth:`tick`, :meth:`look` and :meth:`result`; :meth:`state` is what the page shows."""

    anchor: Anchor
    view: View = field(default_factory=View)
    trial: Row = field(default_factory=dict)
    load_ms: int | None = None
    faults: deque[Row] = field(default_factory=lambda: deque(maxlen=KEPT))
    windows: list[Row] = field(default_factory=list)
    leaders: deque[Row] = field(default_factory=lambda: deque(maxlen=KEPT))
    done: deque[Row] = field(default_factory=lambda: deque(maxlen=KEPT))
    outages: dict[str, WriteOutage] = field(default_factory=dict)
    totals: Row = field(default_factory=dict)
    expectations: list[Row] = field(default_factory=list)
    results: Row = field(default_factory=dict)
    finished: Row = field(default_factory=dict)

    def ms(self, at_ns: int) -> int:
        """A stamp of the run's clock as milliseconds since the epoch."""
        return round(self.anchor.date(at_ns).timestamp() * 1000)

    def event(self, event: Event) -> None:
        """Fold in an event."""
        self.view.event(event)
        fold = _FOLDS.get(event.kind)
        if fold is not None:
            fold(self, event)

    def tick(self, recorder: Recorder, interval: Interval) -> Steps[None]:
        """Fold in the load as it stands, in steps."""
        self.view.tick(recorder, interval)
        if self.load_ms is None:
            return  # still warming up
        self._lead(self.ms(recorder.clock.now()), recorder.leader)
        self.windows = [
            {
                "class": window.op_class.value,
                "from": self.ms(window.start_ns),
                "to": self.ms(window.end_ns),
                "open": not window.closed,
                "counts": {outcome.value: number for outcome, number in sorted(window.counts.items())},
            }
            for window in recorder.windows()[-KEPT:]
        ]
        yield
        self._watch_outages(recorder)
        yield
        so_far = counts(recorder)
        self.totals = {name: getattr(so_far, name) for name in so_far.__slots__}
        limits = self.view.scenario.get("expectations", ())
        self.expectations = standing(limits, recorder, self.outages, interval.total_response.values())

    def look(self, snapshot: Snapshot, at_ns: int) -> None:
        """While no load runs nobody tells of changes of leader: they are seen in what others looked at."""
        if self.load_ms is not None:
            self._lead(self.ms(at_ns), snapshot.leader.name if snapshot.leader is not None else None)

    def result(self, directory: str, found: Row) -> None:
        """The summary of the scenario that was finished last, as far as the page shows it."""
        self.results = found | {"run": directory}
        self.totals = found["load"]
        self.expectations = found["expectations"]
        if self.done:
            self.done[-1]["run"] = directory
        by_name = {fault["name"]: fault for fault in found["faults"]}
        for fault in self.faults:
            fault.update(by_name.get(fault["name"], {}))

    def state(self, now_ns: int) -> Row:
        """Everything but the curves; bounded, and whole: whoever misses one needs only the next."""
        view = self.view
        return {
            "now": self.ms(now_ns),
            "run": view.run,
            "scenario": view.scenario,
            "trial": self.trial,
            "stage": self._stage(now_ns),
            "load_from": self.load_ms,
            "faults": list(self.faults),
            "windows": self.windows,
            "leaders": list(self.leaders),
            "suspects": view.suspects,
            "totals": self.totals,
            "expectations": self.expectations,
            "results": self.results,
            "done": list(self.done),
            "finished": self.finished,
            "news": [
                {"t": self.anchor.since(at_ns), "text": saying.text, "tone": saying.tone}
                for at_ns, saying in view.sayings
            ],
        }

    def _stage(self, now_ns: int) -> Row:
        phase = self.view.phase
        return {
            "name": phase.name,
            "text": STAGES.get(phase.name, phase.name),
            "detail": phase.data.get("detail", ""),
            "elapsed_s": round(self.view.elapsed(now_ns), 1) if phase.name else None,
            "planned_s": self.view.planned(),
            "progress": phase.progress,
        }

    def _watch_outages(self, recorder: Recorder) -> None:
        by_t0 = {outage.t0_ns: outage for outage in recorder.outages}
        for fault in self.faults:
            outage = by_t0.get(fault["t0_ns"])
            if outage is not None:
                self.outages[fault["name"]] = outage
                found = fault_so_far(fault["name"], outage, recorder)
                fault.update(rto_s=found.rto_s, write_gap_s=found.write_gap_s, failing=found.t1_s is not None)

    def _lead(self, at_ms: int, leader: str | None) -> None:
        if not self.leaders or self.leaders[-1]["leader"] != leader:
            was = self.leaders[-1]["leader"] if self.leaders else None
            self.leaders.append({"at": at_ms, "leader": leader, "was": was})

    def _trial_started(self, event: Event) -> None:
        self.trial = {"trial": event.data["trial"], "trials": event.data["trials"]}

    def _scenario_started(self, event: Event) -> None:
        self.load_ms = None
        self.faults.clear()
        self.leaders.clear()
        self.outages.clear()
        self.windows, self.expectations = [], []
        self.totals, self.results = {}, {}

    def _stage_entered(self, event: Event) -> None:
        if event.data["name"] == "load" and self.load_ms is None:
            self.load_ms = self.ms(event.at_ns)

    def _fault_injecting(self, event: Event) -> None:
        self.faults.append(
            {
                "name": event.data["fault"],
                "injector": event.data["injector"],
                "target": event.data["target"],
                "t0_ns": event.at_ns,
                "from": self.ms(event.at_ns),
                "to": None,
                "state": "injecting",
            }
        )

    def _fault_injected(self, event: Event) -> None:
        self._change(event, state="active")

    def _fault_ended(self, event: Event) -> None:
        # One that could not be healed is still in place.
        ends = {} if event.kind is Kind.HEAL_FAILED else {"to": self.ms(event.at_ns)}
        self._change(event, state=_ENDS[event.kind], error=event.data.get("error", ""), **ends)

    def _change(self, event: Event, **news: object) -> None:
        for fault in self.faults:
            if fault["name"] == event.data["fault"]:
                fault.update(news)

    def _leader_changed(self, event: Event) -> None:
        self._lead(self.ms(event.at_ns), event.data["leader"])

    def _scenario_finished(self, event: Event) -> None:
        self.done.append({"scenario": event.data["scenario"], "verdict": event.data["verdict"], **self.trial})
        self.trial = {}

    def _run_finished(self, event: Event) -> None:
        self.finished = dict(event.data)


_FOLDS: Mapping[Kind, Callable[[Story, Event], None]] = {
    Kind.TRIAL_STARTED: Story._trial_started,
    Kind.SCENARIO_STARTED: Story._scenario_started,
    Kind.STAGE: Story._stage_entered,
    Kind.FAULT_INJECTING: Story._fault_injecting,
    Kind.FAULT_INJECTED: Story._fault_injected,
    Kind.FAULT_HEALED: Story._fault_ended,
    Kind.FAULT_FAILED: Story._fault_ended,
    Kind.HEAL_FAILED: Story._fault_ended,
    Kind.LEADER_CHANGED: Story._leader_changed,
    Kind.SCENARIO_FINISHED: Story._scenario_finished,
    Kind.RUN_FINISHED: Story._run_finished,
}
