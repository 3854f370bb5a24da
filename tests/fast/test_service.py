"""What systemd hears, over a real socket of its kind; and a SIGHUP where no terminal can be closed."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sinks_cases import Bench, event

from chaosbench import daemon
from chaosbench.clock import NS, Clock, loop_clock
from chaosbench.events import Event, Kind
from chaosbench.service import HANGUP, Notifier, ServiceSink, is_service, served
from chaosbench.sinks.hub import Hub


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@chaosbench-test-{os.getpid()}"
    one = Systemd(name)
    yield one
    one.socket.close()


def test_it_is_ready_when_the_load_has_begun(systemd: Systemd):
    bench = Bench()
    sink = ServiceSink(Notifier({"NOTIFY_SOCKET": systemd.address}), bench.clock)
    sink.on_event(event(Kind.SCENARIO_STARTED))
    for stage in ("health", "data", "connect", "warm_up"):
        sink.on_event(event(Kind.STAGE, name=stage))
    assert systemd.heard() == [f"STATUS=leader-kill: {stage}" for stage in ("health", "data", "connect", "warm_up")]
    sink.on_event(event(Kind.STAGE, name="load"))
    assert systemd.heard() == ["READY=1", "STATUS=leader-kill: load"]
    sink.on_event(event(Kind.SCENARIO_FINISHED))
    assert systemd.heard() == ["STATUS=leader-kill: over: pass"]


def test_a_line_of_progress_every_five_seconds(systemd: Systemd):
    bench = Bench()
    sink = ServiceSink(Notifier({"NOTIFY_SOCKET": systemd.address}), bench.clock)
    sink.on_event(event(Kind.SCENARIO_STARTED))
    sink.on_event(event(Kind.STAGE, name="load"))
    sink.on_event(event(Kind.FAULT_INJECTED))
    bench.recorder.leader = "pg3"
    systemd.heard()
    for _ in range(11):
        bench.now_ns += NS
        bench.ok(200)
        sink.on_tick(bench.recorder)
    told = systemd.heard()
    assert told[-1] == "STATUS=leader-kill: load; 200 ok/s, leader pg3, faults: leader-dies"
    assert len(told) == 3


def test_nobody_listens(tmp_path: Path):
    Notifier({}).send("READY=1")
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    gone.send("READY=1")
    gone.close()
    assert not Notifier({}).listened


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_what_systemd_asks_of_this_process(environ: dict[str, str], seconds: float | None):
    assert Notifier(environ).watchdog_s == seconds


@pytest.mark.looptime(noop_cycles=0)
async def test_signs_of_life_come_while_the_measurement_lives(systemd: Systemd):
    clock, bench = loop_clock(), Bench()
    hub, stop = Hub([], clock), asyncio.Event()
    environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000000"}

    async def signs(seconds: int, ticks: bool) -> int:
        systemd.heard()
        heard: list[str] = []
        for _ in range(seconds):
            await clock.sleep(1)
            if ticks:
                hub.tick(bench.recorder)
            heard += systemd.heard()  # such a socket holds ten datagrams
        return heard.count("WATCHDOG=1")

    async with served(hub, clock, stop, environ):
        assert await signs(60, ticks=False) in (6, 7), "nothing is measured yet: that the loop runs is enough"
        hub.emit(Event(clock.now(), Kind.STAGE, {"name": "load", "detail": ""}))
        assert await signs(60, ticks=True) == 6
        assert await signs(60, ticks=False) <= 1, "no ticks: the measurement hangs"
        hub.tick(bench.recorder)
        assert await signs(20, ticks=True) == 2
        hub.emit(Event(clock.now(), Kind.STAGE, {"name": "drain", "detail": ""}))
        assert await signs(60, ticks=False) == 6, "what comes after the load has no ticks"
        stop.set()
        await clock.sleep(0.1)
        assert systemd.heard() == ["STOPPING=1\nSTATUS=ending: faults are healed, then the report"]
    assert systemd.heard() == ["STOPPING=1"]


async def test_no_signs_of_life_from_a_loop_that_is_blocked(tmp_path: Path):
    one = Systemd(str(tmp_path / "notify"))
    environ = {"NOTIFY_SOCKET": one.address, "WATCHDOG_USEC": "40000"}
    import time

    async with served(Hub([], Clock()), Clock(), asyncio.Event(), environ):
        await asyncio.sleep(0.1)
        assert "WATCHDOG=1" in one.heard()
        time.sleep(0.2)  # noqa: ASYNC251 - that is the point
        assert one.heard() == []
    one.socket.close()


async def test_a_run_that_nobody_started_as_a_service_does_nothing(monkeypatch: pytest.MonkeyPatch):
    hub = Hub([], Clock())
    before = len(asyncio.all_tasks())
    async with served(hub, Clock(), asyncio.Event(), {"WATCHDOG_USEC": "1000"}):
        assert len(asyncio.all_tasks()) == before


IN_A_TERMINAL = "from chaosbench.service import is_service; print(is_service({}))"


def test_a_terminal_makes_the_difference():
    assert is_service({"NOTIFY_SOCKET": "/run/x"})
    plain = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL], start_new_session=True, capture_output=True, text=True, timeout=30
    )
    assert plain.stdout == "True\n"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", IN_A_TERMINAL])
    said = os.read(terminal, 100)
    os.waitpid(pid, 0)
    os.close(terminal)
    assert said.startswith(b"False")


@pytest.mark.parametrize("service", [True, False])
async def test_sighup_of_a_service_is_said_and_the_run_goes_on(service: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(daemon, "is_service", lambda: service)
    monkeypatch.setattr(daemon, "_let_go_of_terminal", lambda: None)
    heard: list[Event] = []

    class Ear:
        name = "ear"

        def on_event(self, event: Event) -> None:
            heard.append(event)

        def on_tick(self, recorder: object) -> None: ...

        def close(self) -> None: ...

    stop = asyncio.Event()
    with daemon._stop_on_signals(stop, Hub([Ear()], Clock()), Console(file=StringIO())):
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
    assert stop.is_set() is not service
    assert [one.data for one in heard] == ([{"text": HANGUP}] if service else [])
