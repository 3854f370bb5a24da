"""What a person sees of a run: the live view, the plain lines, and the figures behind both."""

from __future__ import annotations

import asyncio
import io
import os

import pytest
from rich.cells import cell_len
from sinks_cases import ANCHOR, DATA, T0, Bench, event

from chaosbench.clock import NS
from chaosbench.events import Kind
from chaosbench.outcome import OpClass, Outcome
from chaosbench.sinks.interval import Sampler
from chaosbench.sinks.plain import PlainSink
from chaosbench.sinks.screen import STYLES, Frame
from chaosbench.sinks.table import can_draw
from chaosbench.sinks.terminal import TerminalSink
from chaosbench.sinks.view import View
from chaosbench.sinks.wording import latency, number, say, span, sparkline


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self, is_terminal: bool = True, encoding: str = "utf-8") -> None:
        super().__init__()
        self.is_terminal = is_terminal
        self.encoding = encoding

    def isatty(self) -> bool:
        return self.is_terminal


def passes(bench: Bench, seconds: float = 1.0) -> None:
    bench.now_ns += round(seconds * NS)


# Figures of an interval


def test_an_interval_has_only_what_happened_in_it() -> None:
    bench, sampler = Bench(), Sampler()
    passes(bench)
    bench.ok(100, ms=50)
    bench.ok(50, ms=50, op_class=OpClass.READ)
    bench.bad(5)
    sampler.sample(bench.recorder, bench.now_ns)
    passes(bench, 2)
    bench.ok(300, ms=2)
    bench.ok(100, ms=8, op_class=OpClass.READ)
    bench.bad(3)
    bench.bad(4, Outcome.SHED, "deadline")
    interval = sampler.sample(bench.recorder, bench.now_ns)
    write, read = interval.flows[OpClass.WRITE], interval.flows[OpClass.READ]
    assert interval.seconds == 2
    assert (write.ok, write.offered, read.ok, read.offered) == (150, 153.5, 50, 50)
    assert write.p99_ms == pytest.approx(2, rel=0.01)
    assert interval.load.p50_ms == pytest.approx(2, rel=0.01)
    assert interval.load.p99_ms == pytest.approx(8, rel=0.01)
    assert write.ended == {Outcome.FAILED: 3, Outcome.SHED: 4}
    assert interval.reasons == {(Outcome.FAILED, "57P01"): 3, (Outcome.SHED, "deadline"): 4}
    assert interval.total_reasons[Outcome.FAILED, "57P01"] == 8
    assert interval.errors == 3.5
    assert (interval.total_offered, interval.total_ok) == (562, 550)


def test_a_new_recorder_starts_afresh() -> None:
    bench, sampler = Bench(), Sampler()
    bench.ok(100)
    sampler.sample(bench.recorder, bench.now_ns)
    bench.renewed()
    passes(bench, 4)
    bench.ok(8)
    interval = sampler.sample(bench.recorder, bench.now_ns)
    assert (interval.seconds, interval.load.ok, interval.total_ok) == (4, 2, 8)


def test_connects_are_no_load() -> None:
    bench, sampler = Bench(), Sampler()
    passes(bench)
    bench.ok(9, op_class=OpClass.CONNECT)
    interval = sampler.sample(bench.recorder, bench.now_ns)
    assert interval.flows[OpClass.CONNECT].ok == 9
    assert (interval.load.ok, interval.total_ok) == (0, 0)


# Words


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12.5, "12.5"), (99.94, "99.9"), (100.4, "100"), (41_000, "41,000")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "-"),
        (0.05, "0.1 ms"),
        (3.14, "3.1 ms"),
        (9.96, "10 ms"),
        (99.6, "100 ms"),
        (1000, "1.0 s"),
        (60_000, "60.0 s"),
    ],
)
def test_latencies(milliseconds: float | None, text: str) -> None:
    assert latency(milliseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (4.24, "4.2 s"),
        (42.9, "42 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (604_800, "168 h 00 min"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("values", "bars"),
    [((), "······"), ((1, 2), "····▅█"), ((0, 8, 0), "··· █ "), (tuple(range(9)), "▄▅▆▇██"), ((0, 0), "····  ")],
)
def test_sparklines(values: tuple[float, ...], bars: str) -> None:
    assert sparkline(values, 6) == bars


def test_every_kind_is_said_except_those_that_only_move_a_display() -> None:
    silent = {kind for kind in Kind if say(event(kind)) is None}
    # What a scenario came to is shown with its summary, right after these two.
    assert silent == {Kind.PROGRESS, Kind.GENERATOR_SUSPECT, Kind.FAULT_MEASURED, Kind.LEDGER_COMPARED}


def test_a_fault_that_cannot_be_healed_is_said_with_what_to_paste() -> None:
    saying = say(event(Kind.HEAL_FAILED))
    assert saying is not None
    assert "docker start 5f0c" in saying.text
    assert saying.lasting
    assert saying.tone == "bad"


# Plain lines


def test_plain_lines() -> None:
    bench, stream = Bench(), Terminal()
    sink = PlainSink(stream, bench.clock, ANCHOR)
    bench.recorder.leader = "pg1"
    sink.on_event(event(Kind.STAGE, 0.5))
    sink.on_event(event(Kind.STAGE, 0.7))
    for _ in range(6):
        passes(bench)
        bench.ok(1000, ms=3.1)
        bench.ok(12, ms=12)
        sink.on_tick(bench.recorder)
    sink.on_event(event(Kind.FAULT_INJECTED, 6.5))
    for lag_at in (7.0, 7.1, 11.9, 12.0):
        sink.on_event(event(Kind.GENERATOR_SUSPECT, lag_at))
    sink.on_event(event(Kind.FAULT_HEALED, 12.5))
    sink.close()
    assert stream.getvalue().splitlines() == [
        "0.5s  load: 90 s",
        "5.0s  ok 1012/s  p50 3.1 ms  p99 12 ms  failed 0  unknown 0  shed 0  leader pg1",
        "6.5s  ! fault leader-dies: kill on pg1 in place",
        "7.0s  ! generator 14 ms late: latencies are suspect",
        "12.0s  ! generator 14 ms late: latencies are suspect",
        "12.5s  fault leader-dies: healed",
    ]


def test_a_plain_status_counts_since_the_last_one() -> None:
    bench, stream = Bench(), Terminal()
    sink = PlainSink(stream, bench.clock, ANCHOR)
    for bad in (5, 0):
        for _ in range(5):
            passes(bench)
            bench.bad(bad)
            bench.bad(1, Outcome.UNKNOWN, "08006")
            sink.on_tick(bench.recorder)
    assert stream.getvalue().splitlines() == [
        "5.0s  ok 0/s  p50 -  p99 -  failed 25  unknown 5  shed 0  leader none",
        "10.0s  ok 0/s  p50 -  p99 -  failed 0  unknown 5  shed 0  leader none",
    ]


# The live view


def drawn(view: View, now_ns: int, width: int = 80, height: int = 23) -> list[str]:
    lines = Frame(view, now_ns, ANCHOR, width, height).lines()
    assert len(lines) <= height
    for line in lines:
        assert all(style in STYLES for _, style in line)
    return ["".join(text for text, _ in line) for line in lines]


def in_the_middle(bench: Bench) -> View:
    """A scenario 25 s into its load: the leader was killed 5 s ago."""
    view, sampler = View(), Sampler()
    view.event(event(Kind.RUN_STARTED, scenarios=["leader-kill", "etcd-freeze"]))
    view.event(event(Kind.SCENARIO_STARTED))
    view.event(event(Kind.STAGE))
    bench.recorder.leader = "pg1"
    for second in range(1, 26):
        passes(bench)
        bench.ok(800, ms=2.1, op_class=OpClass.READ)
        if second <= 20:
            bench.ok(200)
        else:
            bench.bad(3)
            bench.bad(2, Outcome.UNKNOWN, "08006")
            bench.tally().attempted += 195
        if second == 20:
            view.event(event(Kind.FAULT_INJECTING, 20))
            view.event(event(Kind.FAULT_INJECTED, 20))
        bench.recorder.backlog = max(0, second - 20) * 190
        view.tick(bench.recorder, sampler.sample(bench.recorder, bench.now_ns))
    view.event(event(Kind.WINDOW_OPENED, 21))
    return view


def test_the_view_in_the_middle_of_a_fault() -> None:
    bench = Bench()
    view = in_the_middle(bench)
    text = drawn(view, bench.now_ns)
    page = "\n".join(text)
    assert text[0] == " leader-kill  1 of 2" + "load  25 s of 90 s".rjust(80 - 21)
    assert text[1].count("━") == round(78 * 25 / 90)
    assert text[4].split() == ["read", "800", "800", "2.1", "ms", "2.1", "ms", "0", "0", "0"]
    assert text[5].split() == ["write", "200", "0", "-", "-", "3", "2", "0"]
    assert " total        25,000   24,000                         15       10        0" in text
    assert "leader    pg1         in flight 975      backlog 950" in page
    assert "fault     ● leader-dies: kill on pg1  5.0 s" in page
    assert "errors    write for 4.0 s" in page
    assert "failed 57P01 15 (+3)   unknown 08006 10 (+2)" in page
    assert text[-1] == "     21.0s write errors begin (57P01)"
    (ok,) = [line for line in text if line.startswith(" ok/s")]
    assert ok == " ok/s      " + "·" * 35 + "█" * 20 + "▇" * 5 + "      800"


@pytest.mark.parametrize(("width", "height"), [(80, 23), (140, 39), (60, 15), (40, 10), (20, 3), (1, 1)])
def test_the_view_fits_whatever_the_terminal(width: int, height: int) -> None:
    bench = Bench()
    view = in_the_middle(bench)
    for kind in Kind:
        view.event(event(kind, 25))
    view.event(event(Kind.FAULT_INJECTED, 25))
    assert len(drawn(view, bench.now_ns, width, height)) <= height


def test_nothing_but_long_words_is_cut_at_80_columns() -> None:
    bench = Bench()
    view = in_the_middle(bench)
    view.event(event(Kind.GENERATOR_SUSPECT, 25))
    for line in drawn(view, bench.now_ns):
        assert cell_len(line) <= 80, line


def test_the_event_list_takes_the_room_that_is_left() -> None:
    bench = Bench()
    view = in_the_middle(bench)
    for second in range(30):
        view.event(event(Kind.WARNING, second, text=f"warning {second}"))
    small, large = drawn(view, bench.now_ns), drawn(view, bench.now_ns, height=39)
    assert (len(small), len(large)) == (23, 39)
    assert small[-1] == large[-1] == "     29.0s warning 29"


def test_stages_and_their_progress() -> None:
    view = View()
    assert drawn(view, T0)[0].split() == ["chaosbench"]
    view.event(event(Kind.SCENARIO_STARTED))
    view.event(event(Kind.STAGE, 1, name="health", detail="pg3 does not stream (starting)"))
    assert drawn(view, T0 + 4 * NS)[0].endswith("  waiting for a healthy cluster: pg3 does not stream (start…  3.0 s")
    view.event(event(Kind.STAGE, 5, name="health", detail="pgpool has pg3 down"))
    assert drawn(view, T0 + 6 * NS)[0].endswith("pgpool has pg3 down  5.0 s")
    view.event(event(Kind.STAGE, 7, name="data", detail="scale 10"))
    view.event(event(Kind.PROGRESS, 8))
    head = drawn(view, T0 + 9 * NS)
    assert head[0].endswith("loading data: scale 10  400,000 of 1,000,000 rows")
    assert head[1].count("━") == round(78 * 0.4)
    view.event(event(Kind.STAGE, 10, name="warm_up", detail="5 s"))
    assert drawn(view, T0 + 12 * NS)[0].endswith("warm-up  2.0 s of 5.0 s")
    view.event(event(Kind.STAGE, 15, name="load", detail="90 s"))
    assert "fault     none; leader-dies in 13 s" in "\n".join(drawn(view, T0 + 22 * NS))
    view.event(event(Kind.STAGE, 105, name="a new stage", detail=""))
    assert drawn(view, T0 + 106 * NS)[0].endswith("a new stage  1.0 s")


def test_faults_come_and_go() -> None:
    bench, view = Bench(), View()
    view.event(event(Kind.SCENARIO_STARTED))

    def shown() -> str:
        return "\n".join(
            line for line in drawn(view, bench.now_ns + 30 * NS) if ("pg1" in line and "●" in line) or "○" in line
        )

    view.event(event(Kind.FAULT_INJECTING, 20))
    assert shown() == " fault     ○ leader-dies: kill on pg1  being injected"
    view.event(event(Kind.FAULT_INJECTED, 21))
    assert shown() == " fault     ● leader-dies: kill on pg1  9.0 s"
    view.event(event(Kind.HEAL_FAILED, 25))
    assert shown() == " fault     ● leader-dies: kill on pg1  9.0 s  CANNOT BE HEALED"
    view.event(event(Kind.FAULT_HEALED, 29))
    assert shown() == ""


def test_lateness_is_shown_for_a_while() -> None:
    view = View()
    view.event(event(Kind.GENERATOR_SUSPECT, 10))
    assert any("14 ms late (1 so far)" in line for line in drawn(view, T0 + 12 * NS))
    assert not any("late" in line for line in drawn(view, T0 + 40 * NS))


def test_every_kind_of_event_is_taken() -> None:
    bench = Bench()
    for sink in (PlainSink(Terminal(), bench.clock, ANCHOR), TerminalSink(Terminal(), bench.clock, ANCHOR)):
        for kind in DATA:
            passes(bench)
            sink.on_event(event(kind))
        sink.on_tick(bench.recorder)
        sink.close()


# The terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setitem(os.environ, name, value)
    return Terminal()


def drawings(terminal: Terminal) -> int:
    return terminal.getvalue().count("offered/s")


def test_it_draws_at_most_four_times_a_second(terminal: Terminal) -> None:
    bench = Bench()
    sink = TerminalSink(terminal, bench.clock, ANCHOR)
    for _ in range(100):
        passes(bench, 0.01)
        sink.on_event(event(Kind.PROGRESS))
    assert drawings(terminal) == 4
    sink.close()


@pytest.mark.looptime
async def test_what_is_not_drawn_at_once_is_drawn_soon_and_then_about_every_second(terminal: Terminal) -> None:
    bench = Bench()
    sink = TerminalSink(terminal, bench.clock, ANCHOR)
    sink.on_event(event(Kind.RUN_STARTED))
    sink.on_event(event(Kind.SCENARIO_STARTED))
    assert drawings(terminal) == 1
    await asyncio.sleep(0.3)
    assert drawings(terminal) == 2
    await asyncio.sleep(5)
    assert drawings(terminal) == 6
    sink.close()
    count = drawings(terminal)
    await asyncio.sleep(5)
    assert drawings(terminal) == count


def test_what_must_not_vanish_stays_after_the_view(terminal: Terminal) -> None:
    bench = Bench()
    sink = TerminalSink(terminal, bench.clock, ANCHOR)
    sink.on_event(event(Kind.SCENARIO_STARTED))
    sink.on_event(event(Kind.HEAL_FAILED))
    sink.close()
    sink.close()
    after = terminal.getvalue()
    assert "could not be healed" in after
    assert after.rindex("\x1b[?25h") > after.rindex("offered/s"), "the cursor comes back after the last drawing"


def test_a_terminal_that_goes_away_gives_the_cursor_back_and_raises_once(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench()
    sink = TerminalSink(terminal, bench.clock, ANCHOR)
    sink.on_event(event(Kind.SCENARIO_STARTED))

    def broken(*_: object, **__: object) -> None:
        raise OSError("gone")

    assert sink._live is not None
    monkeypatch.setattr(sink._live, "update", broken)
    with pytest.raises(OSError, match="gone"):
        sink.on_tick(bench.recorder)
    assert terminal.getvalue().count("\x1b[?25h") == 1
    sink.on_tick(bench.recorder)


@pytest.mark.parametrize(
    ("is_terminal", "encoding", "term", "expected"),
    [
        (True, "utf-8", "xterm", True),
        (True, "UTF8", "screen-256color", True),
        (False, "utf-8", "xterm", False),
        (True, "latin-1", "xterm", False),
        (True, "utf-8", "dumb", False),
    ],
)
def test_where_a_live_view_can_be_drawn(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, encoding: str, term: str, expected: bool
) -> None:
    monkeypatch.setitem(os.environ, "TERM", term)
    assert can_draw(Terminal(is_terminal, encoding)) is expected
