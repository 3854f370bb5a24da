"""What only events tell, in countable form and with a bound on every set of names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from chaosbench.events import Event, Kind
from chaosbench.outcome import OpClass

REASONS_KEPT = 64
"""Different (outcome, reason) pairs with a name of their own; later ones share the reason ``other``."""
NAMES_KEPT = 64
"""Different faults, and different leaders, kept by name."""
OTHER = "other"

FaultLabels = tuple[str, str, str]
"""Fault, injector, target."""
_ENDS = {Kind.FAULT_HEALED: "healed", Kind.HEAL_FAILED: "heal_failed", Kind.FAULT_FAILED: "failed"}


class Happenings:
    """Folds events.

    ``faults``       every fault seen, and whether it is in place now
    ``fault_ends``   how often (fault, result) came about; result: injected, lost, healed, failed, heal_failed
    ``windows``      error windows opened, by class; one that was reopened is not a new one
    ``last_window``  seconds of the error window that closed last, by class
    ``leaders``      every node that led, and ``leader``, the one that does
    ``run``          when the run began, which is its name
    ``scenario``     (scenario, file, seed) while one runs
    """

    def __init__(self) -> None:
        self.faults: dict[FaultLabels, bool] = {}
        self.fault_ends: Counter[tuple[str, str]] = Counter()
        self.windows: Counter[str] = Counter({op_class.value: 0 for op_class in OpClass})
        self.last_window: dict[str, float] = {}
        self.run = ""
        self.leaders: dict[str, None] = {}
        self.leader: str | None = None
        self.scenario: tuple[str, str, str] | None = None
        self._file_and_seed = ("", "")
        self._reasons: set[tuple[str, str]] = set()

    def event(self, event: Event) -> None:
        """Take one in."""
        data = event.data
        match event.kind:
            case Kind.RUN_STARTED:
                self.run = str(data["run"])
                self._file_and_seed = (str(data["file"]), str(data["seed"]))
            case Kind.SCENARIO_STARTED:
                self.scenario = (str(data["scenario"]), *self._file_and_seed)
                self._expect(fault["fault"] for fault in data["faults"])
            case Kind.SCENARIO_FINISHED:
                self.scenario = None
            case Kind.FAULT_INJECTED:
                self._count_end(data["fault"], "injected")
                self._set_fault((data["fault"], data["injector"], data["target"]), True)
            case Kind.FAULT_LOST:
                self._count_end(data["fault"], "lost")
            case Kind.FAULT_HEALED | Kind.HEAL_FAILED | Kind.FAULT_FAILED:
                self._fault_ended(event)
            case Kind.WINDOW_OPENED:
                self.windows[data["class"]] += not data["reopened"]
            case Kind.WINDOW_CLOSED:
                self.last_window[data["class"]] = data["duration_s"]
            case Kind.LEADER_CHANGED:
                self.lead(data["leader"])
            case _:
                pass

    def lead(self, leader: str | None) -> None:
        """Note which node leads now; None when none does."""
        self.leader = leader
        if leader is not None and len(self.leaders) < NAMES_KEPT:
            self.leaders[leader] = None

    def named(self, reasons: Counter[tuple[str, str]]) -> Counter[tuple[str, str]]:
        """(outcome, reason) counts as labels: the first pairs keep their names for good, so no counter falls."""
        result: Counter[tuple[str, str]] = Counter()
        for pair, count in reasons.items():
            if len(self._reasons) < REASONS_KEPT:
                self._reasons.add(pair)
            result[pair if pair in self._reasons else (pair[0], OTHER)] += count
        return result

    def _expect(self, faults: Iterable[str]) -> None:
        """Count from zero: an increase from nothing to one is none to Prometheus."""
        for fault in faults:
            if len(self.fault_ends) < NAMES_KEPT:
                for result in ("injected", *_ENDS.values()):
                    self.fault_ends[fault, result] += 0

    def _fault_ended(self, event: Event) -> None:
        self._count_end(event.data["fault"], _ENDS[event.kind])
        if event.kind is Kind.FAULT_HEALED:
            for labels in [one for one in self.faults if one[0] == event.data["fault"]]:
                self._set_fault(labels, False)

    def _count_end(self, fault: str, result: str) -> None:
        known = any(one == fault for one, _ in self.fault_ends) or len(self.fault_ends) < NAMES_KEPT
        self.fault_ends[fault if known else OTHER, result] += 1

    def _set_fault(self, labels: FaultLabels, active: bool) -> None:
        self.faults.pop(labels, None)
        self.faults[labels] = active
        if len(self.faults) > NAMES_KEPT:
            # The one that ended longest ago goes, and its series with it.
            del self.faults[next((one for one, still in self.faults.items() if not still), next(iter(self.faults)))]
