"""What is known of a scenario once it is over: how long its faults took, what became of its ledger. Pure, bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaosbench.events import Event, Kind
from chaosbench.sinks.notices import Notices

FAULTS_KEPT = 32
"""Measured faults kept by name; the one measured longest ago goes first, and Prometheus remembers it."""
SCENARIOS_KEPT = 32
"""Scenarios with a name of their own; later ones are counted together."""
OTHER = "other"
PHASES = ("detection", "election", "promotion", "proxy", "client")
"""They follow each other and add up to the RTO."""

RESULTS = ("recovered", "unnoticed", "not_recovered", "not_injected")
VERDICTS = ("pass", "fail", "unknown")

FaultKey = tuple[str, str, str]
"""Scenario, trial (``1`` of a scenario without trials), fault."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long one fault took, in seconds; None for what did not happen or was not seen.

    phases:      by name, those of :data:`PHASES` and ``redundancy`` and ``degraded_tail``
    """

    rto_s: float | None
    phases: Mapping[str, float | None] = field(default_factory=dict)


class Measured:
    """Folds events.

    ``times``     by (scenario, trial, fault), the latest :data:`FAULTS_KEPT`
    ``results``   how often (scenario, result) came about; result: recovered, unnoticed, not_recovered, not_injected
    ``verdicts``  how often (scenario, verdict)
    ``rows``      rows of the ledger: acked, lost, recovered, unexpected
    ``unchecked`` ledgers that could not be compared
    ``notices``   what befell the machine that measures
    ``trial``     (scenario, number, of) of the trial that runs
    """

    def __init__(self) -> None:
        self.times: dict[FaultKey, Times] = {}
        self.results: Counter[tuple[str, str]] = Counter()
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.rows: Counter[str] = Counter(acked=0, lost=0, recovered=0, unexpected=0)
        self.unchecked = 0
        self.notices = Notices()
        self.trial: tuple[str, int, int] | None = None
        self._scenarios: set[str] = set()

    @property
    def trial_name(self) -> str:
        """The number of the trial that runs, as a label; one that were empty would be none to Prometheus."""
        return "1" if self.trial is None else str(self.trial[1])

    def event(self, event: Event) -> None:
        """Take one in."""
        data = event.data
        self.notices.on_event(event)
        match event.kind:
            case Kind.TRIAL_STARTED:
                self.trial = (data["scenario"], data["trial"], data["trials"])
            case Kind.SCENARIO_STARTED:
                self._expect(self._named(data["scenario"]))
            case Kind.FAULT_MEASURED:
                self._fault(data)
            case Kind.LEDGER_COMPARED:
                self._ledger(data)
            case Kind.SCENARIO_FINISHED:
                self.verdicts[self._named(data["scenario"]), data["verdict"]] += 1
                self.trial = None
            case _:
                pass

    def _expect(self, scenario: str) -> None:
        """Count from zero: an increase from nothing to one is none to Prometheus."""
        for result in RESULTS:
            self.results[scenario, result] += 0
        for verdict in VERDICTS:
            self.verdicts[scenario, verdict] += 0

    def _fault(self, data: Mapping[str, Any]) -> None:
        self.results[self._named(data["scenario"]), data["result"]] += 1
        key = (data["scenario"], self.trial_name, data["fault"])
        self.times.pop(key, None)
        self.times[key] = Times(data["rto_s"], data["phases"])
        if len(self.times) > FAULTS_KEPT:
            del self.times[next(iter(self.times))]

    def _ledger(self, data: Mapping[str, Any]) -> None:
        self.rows["acked"] += data["acked"]
        if not data["checked"]:
            self.unchecked += 1
            return
        for kind in ("lost", "recovered", "unexpected"):
            self.rows[kind] += data[kind]

    def _named(self, scenario: str) -> str:
        if len(self._scenarios) < SCENARIOS_KEPT:
            self._scenarios.add(scenario)
        return scenario if scenario in self._scenarios else OTHER
