"""The hub: every sink hears everything, and one that fails is dropped and named."""

from __future__ import annotations

import io
from pathlib import Path

from sinks_cases import Bench

from chaosbench.events import Event, Kind
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.hub import Hub
from chaosbench.sinks.table import Setting, sinks_of


class Sink:
    """Remembers what it heard; raises in the calls that it is told to."""

    def __init__(self, name: str, fails_in: str = "") -> None:
        self.name = name
        self.fails_in = fails_in
        self.heard: list[str] = []

    def _call(self, call: str, what: str) -> None:
        self.heard.append(what)
        if call == self.fails_in:
            raise ValueError(f"in {call}")

    def on_event(self, event: Event) -> None:
        self._call("on_event", event.kind.value)

    def on_tick(self, recorder: Recorder) -> None:
        self._call("on_tick", "tick")

    def close(self) -> None:
        self._call("close", "close")


def run(*sinks: Sink) -> None:
    bench = Bench()
    hub = Hub(sinks, bench.clock)
    hub.say(Kind.STAGE, name="load")
    hub.tick(bench.recorder)
    hub.say(Kind.STAGE, name="drain")
    hub.close()


def test_all_hear_all() -> None:
    one, other = Sink("one"), Sink("other")
    run(one, other)
    assert one.heard == other.heard == ["stage", "tick", "stage", "close"]


def test_one_that_fails_is_dropped_and_the_others_are_told() -> None:
    one, bad, other = Sink("one"), Sink("bad", "on_tick"), Sink("other")
    run(one, bad, other)
    assert bad.heard == ["stage", "tick"]
    assert one.heard == ["stage", "tick", "sink_failed", "stage", "close"]
    assert sorted(other.heard) == sorted(one.heard)


def test_all_may_fail() -> None:
    sinks = [Sink(str(number), "on_event") for number in range(3)]
    run(*sinks)
    assert all(sink.heard[0] == "stage" for sink in sinks)


def test_close_reaches_everyone_although_the_first_fails() -> None:
    one, other = Sink("one", "close"), Sink("other")
    run(one, other)
    assert other.heard[-2:] == ["sink_failed", "close"]


def test_a_sink_may_come_later_and_go_earlier() -> None:
    bench, always, scenario = Bench(), Sink("always"), Sink("scenario")
    hub = Hub([always], bench.clock)
    hub.say(Kind.RUN_STARTED)
    hub.add(scenario)
    hub.say(Kind.SCENARIO_STARTED)
    hub.remove(scenario)
    hub.remove(scenario)
    hub.say(Kind.RUN_FINISHED)
    assert scenario.heard == ["scenario_started", "close"]
    assert always.heard == ["run_started", "scenario_started", "run_finished"]


def test_a_sink_whose_file_cannot_be_opened_costs_that_file_alone(tmp_path: Path) -> None:
    bench, stream, witness = Bench(), io.StringIO(), Sink("witness")
    (tmp_path / "intervals.hlog").mkdir()
    setting = Setting(clock=bench.clock, anchor=bench.clock.anchor(), stream=stream, directory=tmp_path)
    hub = Hub([witness, *sinks_of(setting)], bench.clock)
    hub.say(Kind.STAGE, name="load", detail="")
    hub.tick(bench.recorder)
    hub.close()
    assert witness.heard == ["stage", "sink_failed", "tick", "close"]
    assert "intervals" in stream.getvalue()
    assert (tmp_path / "events.jsonl").read_text().count("sink_failed") == 1
