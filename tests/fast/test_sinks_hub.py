"""The hub: every sink hears everything, and one that fails is dropped and named."""

from __future__ import annotations

from sinks_cases import Bench

from chaosbench.events import Event, Kind
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.hub import Hub


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
