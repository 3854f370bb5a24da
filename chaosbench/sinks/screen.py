"""The live view as lines of styled spans. Pure: what is known and how large the terminal is, to what stands there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chaosbench.clock import NS, Anchor
from chaosbench.outcome import OpClass, Outcome
from chaosbench.sinks.interval import Flow, Interval
from chaosbench.sinks.view import HISTORY, View, open_classes
from chaosbench.sinks.wording import latency, number, span, sparkline, stage

Span = tuple[str, str]
"""A text and its style, a word of :data:`STYLES`."""
Line = tuple[Span, ...]

STYLES = {
    "": "",
    "dim": "bright_black",
    "title": "bold",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "plain": "",
    "bar": "cyan",
}
_LABEL = 11
_SUSPECT_SHOWN_NS = 15 * NS
_FAULTS_SHOWN = 3
_REASONS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One drawing: what is known, when, and the room there is (columns and rows)."""

    view: View
    now_ns: int
    anchor: Anchor
    width: int
    height: int

    def lines(self) -> tuple[Line, ...]:
        """The whole view, at most ``height`` lines; the event list takes the room that is left."""
        above = [
            *self._head(),
            (),
            *self._flows(),
            (),
            *self._sparklines(),
            (),
            *self._state(),
            (),
        ]
        room = self.height - len(above)
        events = list(self.view.sayings)[-room:] if room > 0 else []
        return tuple([*above, *(self._event(at_ns, say.text, say.tone) for at_ns, say in events)][: self.height])

    def _event(self, at_ns: int, text: str, tone: str) -> Line:
        return ((f"{self.anchor.since(at_ns):9.1f}s ", "dim"), (text, tone))

    def _head(self) -> Iterator[Line]:
        view = self.view
        name = str(view.scenario.get("scenario", "chaosbench"))
        planned_runs = len(view.run.get("scenarios", ()))
        of = f"  {view.number} of {planned_runs}" if planned_runs > 1 else ""
        words, figures, share = self._phase()
        room = max(0, self.width - len(name) - len(of) - len(figures) - 4)
        words = words if len(words) <= room else words[: max(0, room - 1)] + "…"
        gap = " " * max(1, self.width - len(name) - len(of) - len(words) - len(figures) - 2)
        yield ((" " + name, "title"), (of, "dim"), (gap, ""), (words + figures, ""))
        length = self.width - 2
        filled = round(min(1.0, share) * length)
        yield ((" " + "━" * filled, "bar"), ("─" * (length - filled), "dim"))

    def _phase(self) -> tuple[str, str, float]:
        """The present stage in words, how far it is in figures, and as a share of 1."""
        phase, elapsed, planned = self.view.phase, self.view.elapsed(self.now_ns), self.view.planned()
        if not phase.name:
            return "", "", 0.0
        if planned:
            return stage({"name": phase.name}), f"  {span(min(elapsed, planned))} of {span(planned)}", elapsed / planned
        if phase.progress is not None and phase.progress[1] > 0:
            done, total, unit = phase.progress
            return stage(phase.data), f"  {number(done)} of {number(total)} {unit}", done / total
        return stage(phase.data), f"  {span(elapsed)}", 0.0

    def _flows(self) -> Iterator[Line]:
        heads = ("offered/s", "ok/s", "p50", "p99", "failed", "unknown", "shed")
        yield ((" " * _LABEL + "".join(f"{head:>9}" for head in heads), "dim"),)
        interval = self.view.interval
        flows = interval.flows if interval else {}
        for op_class in (OpClass.READ, OpClass.WRITE, OpClass.CONNECT):
            yield self._flow(op_class, flows.get(op_class))
        yield self._totals(interval)

    def _flow(self, op_class: OpClass, flow: Flow | None) -> Line:
        label = f" {op_class:<{_LABEL - 1}}"
        if flow is None or (op_class is OpClass.CONNECT and not flow.offered and not flow.ended):
            return ((label, "dim"), ("".join(f"{'-':>9}" for _ in range(7)), "dim"))
        falling_short = flow.ok < 0.9 * flow.offered
        return (
            (label, ""),
            (f"{number(round(flow.offered, 1)):>9}", ""),
            (f"{number(round(flow.ok, 1)):>9}", "warn" if falling_short else "good"),
            (f"{latency(flow.p50_ms):>9}{latency(flow.p99_ms):>9}", ""),
            *(self._ended(flow.ended[outcome]) for outcome in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.SHED)),
        )

    @staticmethod
    def _ended(count: int) -> Span:
        return (f"{number(count):>9}", "bad" if count else "dim")

    def _totals(self, interval: Interval | None) -> Line:
        if interval is None:
            return ()
        ended = [
            sum(count for (outcome, _), count in interval.total_reasons.items() if outcome is wanted)
            for wanted in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.SHED)
        ]
        figures = f"{number(interval.total_offered):>9}{number(interval.total_ok):>9}{'':>18}"
        return ((f" {'total':<{_LABEL - 1}}{figures}" + "".join(f"{number(one):>9}" for one in ended), "dim"),)

    def _sparklines(self) -> Iterator[Line]:
        width = min(HISTORY, max(10, self.width - _LABEL - 9))
        for label, values, style in (("ok/s", self.view.ok, "good"), ("errors/s", self.view.errors, "bad")):
            last = number(round(values[-1], 1)) if values else ""
            bars = sparkline(tuple(values), width)
            blank = len(bars) - len(bars.lstrip("·"))
            yield (
                (f" {label:<{_LABEL - 1}}", "dim"),
                (bars[:blank], "dim"),
                (bars[blank:], style),
                (f"{last:>9}", ""),
            )

    def _state(self) -> Iterator[Line]:
        view = self.view
        yield (
            (f" {'leader':<{_LABEL - 1}}", "dim"),
            (f"{view.leader or 'none':<12}", "" if view.leader else "warn"),
            ("in flight ", "dim"),
            (f"{number(view.in_flight):<9}", ""),
            ("backlog ", "dim"),
            (f"{number(view.backlog):<9}", "warn" if view.backlog > view.in_flight / 2 else ""),
        )
        yield from self._faults()
        yield self._windows()
        yield self._reasons()
        if view.suspects and self.now_ns - view.suspect_ns < _SUSPECT_SHOWN_NS:
            text = (
                f"this machine ran {view.suspect_ms:.0f} ms late ({number(view.suspects)} so far): figures are suspect"
            )
            yield ((f" {'generator':<{_LABEL - 1}}", "dim"), (text, "warn"))

    def _faults(self) -> Iterator[Line]:
        label = f" {'fault':<{_LABEL - 1}}"
        faults = list(self.view.faults.values())
        for fault in faults[:_FAULTS_SHOWN]:
            what = f"{fault.name}: {fault.injector} on {fault.target}"
            if fault.since_ns is None:
                yield ((label, "dim"), (f"○ {what}", "warn"), ("  being injected", "dim"))
            else:
                lasts = f"  {span((self.now_ns - fault.since_ns) / NS)}"
                yield ((label, "dim"), (f"● {what}", "warn"), (lasts, ""), ("  CANNOT BE HEALED" * fault.stuck, "bad"))
            label = " " * _LABEL
        if len(faults) > _FAULTS_SHOWN:
            yield ((f"{label}and {len(faults) - _FAULTS_SHOWN} more", "dim"),)
        if faults:
            return
        coming = self.view.next_fault(self.now_ns)
        text = f"none; {coming[0]} in {span(coming[1])}" if coming else "none"
        yield ((label + text, "dim"),)

    def _windows(self) -> Line:
        label = (f" {'errors':<{_LABEL - 1}}", "dim")
        if not self.view.windows:
            return (label, ("no open window", "dim"))
        texts = (f"{name} for {span((self.now_ns - w.start_ns) / NS)}" for name, w in open_classes(self.view.windows))
        return (label, ("   ".join(texts), "bad"))

    def _reasons(self) -> Line:
        """The most frequent reasons so far, each with what the last interval added."""
        interval = self.view.interval
        if interval is None or not interval.total_reasons:
            return ()
        text = ""
        for (outcome, reason), total in interval.total_reasons.most_common(_REASONS_SHOWN):
            added = interval.reasons[outcome, reason]
            one = f"{outcome} {reason} {number(total)}" + (f" (+{number(added)})" if added else "")
            if _LABEL + len(text) + len(one) > self.width - 1:
                break
            text += one + "   "
        return ((" " * _LABEL + text, "dim"),)
