"""Events and figures in words: the one place that decides how a run reads to a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chaosbench.events import Event, Kind

Tone = Literal["plain", "good", "warn", "bad"]
Data = Mapping[str, Any]

STAGES: Mapping[str, str] = {
    "health": "waiting for a healthy cluster",
    "data": "loading data",
    "connect": "connecting",
    "warm_up": "warm-up",
    "load": "load",
    "drain": "draining",
    "heal": "healing",
    "recover": "waiting for redundancy",
    "ledger": "reading the ledger",
    "report": "writing the report",
}
"""The stages of a scenario as a person reads them; one that is not listed is shown by its name."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One line about an event. ``lasting`` lines stay readable after a live view is gone."""

    text: str
    tone: Tone = "plain"
    lasting: bool = False


def say(event: Event) -> Saying | None:
    """The line for an event; None for those that only move a display (progress, lateness)."""
    words = _WORDS.get(event.kind)
    return words(event.data) if words else None


def number(value: float) -> str:
    """A count or a rate: thousands separated, one decimal below 100 unless it is whole."""
    whole = value == int(value)
    return f"{value:,.0f}" if whole or value >= 100 else f"{value:.1f}"


def latency(milliseconds: float | None) -> str:
    """A latency with two or three digits and its unit; a dash when there was none."""
    if milliseconds is None:
        return "-"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"


def span(seconds: float) -> str:
    """A duration for reading: ``4.2 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def stage(data: Data) -> str:
    """A stage with its detail."""
    name = str(data.get("name", ""))
    words = STAGES.get(name, name)
    return f"{words}: {data['detail']}" if data.get("detail") else words


def sparkline(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as bars up to their maximum; blank for 0, a dot where there is no value yet."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    bars = (" " if value <= 0 else "▁▂▃▄▅▆▇█"[min(7, int(value / top * 8))] for value in shown)
    return "".join(bars).rjust(width, "·")


def _counted(counts: object) -> str:
    if not isinstance(counts, Mapping) or not counts:
        return ""
    return ", ".join(f"{name} {number(count)}" for name, count in counts.items())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _run_started(data: Data) -> Saying:
    return Saying(f"run of {data['file']}: {_plural(len(data['scenarios']), 'scenario')}, seed {data['seed']}")


def _trial_started(data: Data) -> Saying:
    return Saying(
        f"trial {data['trial']} of {data['trials']}: seed {data['seed']}, faults {data['phase_offset_s']:.3f} s later"
    )


def _scenario_started(data: Data) -> Saying:
    faults = _plural(len(data["faults"]), "fault")
    lasts = "load until it is stopped" if data["duration_s"] is None else f"{span(data['duration_s'])} of load"
    return Saying(f"scenario {data['scenario']}: {lasts}, {faults}")


def _fault_waiting(data: Data) -> Saying:
    return Saying(f"fault {data['fault']} waits: {data['reason']}")


def _fault_skipped(data: Data) -> Saying:
    return Saying(f"fault {data['fault']} is left out: {data['reason']}", "warn", lasting=True)


def _fault_injecting(data: Data) -> Saying:
    return Saying(f"fault {data['fault']}: {data['injector']} on {data['target']} begins")


def _fault_injected(data: Data) -> Saying:
    text = f"fault {data['fault']}: {data['injector']} on {data['target']} in place"
    return Saying(text, "warn")


def _fault_healed(data: Data) -> Saying:
    return Saying(f"fault {data['fault']}: healed", "good")


def _fault_over(data: Data) -> Saying:
    rto = f", RTO {data['rto_s']:.2f} s" if data["rto_s"] else ""
    tone: Tone = "good" if data["result"] in ("recovered", "unnoticed") else "warn"
    return Saying(f"fault {data['fault']} is over: {str(data['result']).replace('_', ' ')}{rto}", tone)


def _ledger_settled(data: Data) -> Saying:
    found = ", ".join(f"{name} {number(data[name])}" for name in ("lost", "recovered", "unexpected"))
    gone = f", {_plural(data['gone'], 'checkpoint')} GONE" if data["gone"] else ""
    bad = bool(data["lost"] or data["unexpected"] or data["gone"])
    return Saying(f"ledger settled up to row {number(data['upto'])}: {found}{gone}", "bad" if bad else "plain", bad)


def _resumed(data: Data) -> Saying:
    return Saying(
        f"goes on after {span(data['elapsed_s'])} of load; nothing was measured for {span(data['gap_s'])}",
        "warn",
        lasting=True,
    )


def _rolled_up(data: Data) -> Saying:
    return Saying(f"roll-up {data['number']}: {data['verdict']} so far  {data['file']}", lasting=True)


def _fault_lost(data: Data) -> Saying:
    return Saying(f"fault {data['fault']} is not there any more on {data['target']}", "bad", lasting=True)


def _fault_failed(data: Data) -> Saying:
    return Saying(f"fault {data['fault']} could not be injected: {data['error']}", "bad", lasting=True)


def _heal_failed(data: Data) -> Saying:
    # The error's own text already ends with the remedy.
    text = f"fault {data['fault']} could not be healed: {data['error']}"
    return Saying(text, "bad", lasting=True)


def _leader_changed(data: Data) -> Saying:
    leader = data["leader"]
    return Saying(f"leader {data['was'] or 'none'} -> {leader or 'none'}", "plain" if leader else "warn")


def _window_opened(data: Data) -> Saying:
    begin = "go on" if data.get("reopened") else "begin"
    return Saying(f"{data['class']} errors {begin} ({data['reason']})", "bad")


def _window_closed(data: Data) -> Saying:
    counts = _counted(data["counts"])
    return Saying(f"{data['class']} errors over: {data['duration_s']:.2f} s ({counts})", "good")


def _disk_full(data: Data) -> Saying:
    text = f"{data['file']} cannot be written ({data['error']}): measuring goes on, and writing once there is room"
    return Saying(text, "bad", lasting=True)


def _disk_room(data: Data) -> Saying:
    lost = f", {_plural(data['lost'], 'line')} lost" if data["lost"] else ", nothing lost"
    return Saying(f"{data['file']} is written again after {span(data['duration_s'])}{lost}", "warn", lasting=True)


def _parts_removed(data: Data) -> Saying:
    parts = data["parts"]
    named = parts[0] if len(parts) == 1 else f"{len(parts)} parts, {parts[0]} to {parts[-1]},"
    return Saying(f"{named} deleted as asked: {data['reason']}", "warn", lasting=True)


def _clock_stepped(data: Data) -> Saying:
    way = "forward" if data["by_s"] > 0 else "back"
    text = f"the wall clock jumped {way} by {abs(data['by_s']):,.3f} s: measures and dates of this run do not follow it"
    return Saying(f"{text} (it is {data['offset_s']:+,.3f} s off them now)", "warn", lasting=True)


def _scenario_finished(data: Data) -> Saying:
    verdict = str(data["verdict"])
    return Saying(f"scenario {data['scenario']}: {verdict}  {data['directory']}", _verdict_tone(verdict))


def _run_finished(data: Data) -> Saying:
    return Saying(f"run: {data['verdict']} (exit code {data['exit_code']})", _verdict_tone(str(data["verdict"])))


def _verdict_tone(verdict: str) -> Tone:
    tones: Mapping[str, Tone] = {"pass": "good", "fail": "bad"}
    return tones.get(verdict, "warn")


_WORDS: Mapping[Kind, Callable[[Data], Saying]] = {
    Kind.RUN_STARTED: _run_started,
    Kind.TRIAL_STARTED: _trial_started,
    Kind.SCENARIO_STARTED: _scenario_started,
    Kind.STAGE: lambda data: Saying(stage(data)),
    Kind.FAULT_WAITING: _fault_waiting,
    Kind.FAULT_SKIPPED: _fault_skipped,
    Kind.FAULT_INJECTING: _fault_injecting,
    Kind.FAULT_INJECTED: _fault_injected,
    Kind.FAULT_LOST: _fault_lost,
    Kind.FAULT_HEALED: _fault_healed,
    Kind.FAULT_FAILED: _fault_failed,
    Kind.HEAL_FAILED: _heal_failed,
    Kind.FAULT_OVER: _fault_over,
    Kind.LEDGER_SETTLED: _ledger_settled,
    Kind.RESUMED: _resumed,
    Kind.ROLLED_UP: _rolled_up,
    Kind.LEADER_CHANGED: _leader_changed,
    Kind.WINDOW_OPENED: _window_opened,
    Kind.WINDOW_CLOSED: _window_closed,
    Kind.DISK_FULL: _disk_full,
    Kind.DISK_ROOM: _disk_room,
    Kind.PARTS_REMOVED: _parts_removed,
    Kind.CLOCK_STEPPED: _clock_stepped,
    Kind.WORKER_LOST: lambda data: Saying(f"worker {data['worker']} is lost: {data['why']}", "bad", lasting=True),
    Kind.SINK_FAILED: lambda data: Saying(f"{data['sink']} is off: {data['error']}", "warn", lasting=True),
    Kind.WARNING: lambda data: Saying(str(data["text"]), "warn", lasting=True),
    Kind.SCENARIO_FINISHED: _scenario_finished,
    Kind.RUN_FINISHED: _run_finished,
}
