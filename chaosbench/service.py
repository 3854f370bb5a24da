"""chaosbench as a service: what systemd is told, and what a SIGHUP means where no terminal can be closed.

The protocol is sd_notify(3): datagrams to the socket that ``NOTIFY_SOCKET``
names. ``READY=1`` when the load has begun; ``STATUS=`` a line of progress;
``WATCHDOG=1`` twice as often as systemd asks for, from the event loop, and while
a scenario is measured only as long as its ticks come; ``STOPPING=1`` when the run
was told to end. Without that socket nothing of this happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from chaosbench.clock import NS, Clock
from chaosbench.events import Event, Kind
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.hub import Hub

log = logging.getLogger(__name__)

TICKS_NS = 10 * NS
"""While a scenario is measured the sinks are shown the recorder every second; after so long without that it hangs."""
STATUS_NS = 5 * NS
HANGUP = "SIGHUP: nothing is reloaded, and the run goes on; SIGTERM ends it, and a new run reads the scenario file anew"


def is_service(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a SIGHUP cannot mean that somebody closed the terminal: systemd started this, or there is no terminal."""
    if environ.get("NOTIFY_SOCKET"):
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return True
    return False


class Notifier:
    """Tells systemd; nobody when there is no socket.

    watchdog_s:  how long systemd waits between two signs of life; None: it does not
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is one of Linux' abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address.startswith(("/", "@")):
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_UNIX, kind)
        self.watchdog_s = _watchdog_s(environ)

    @property
    def listened(self) -> bool:
        """Whether anybody listens."""
        return self._socket is not None

    def send(self, *lines: str) -> None:
        """One datagram. That nobody takes it is no reason to end a run."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.debug("systemd was not told %s: %s", lines[0], error)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """What systemd asks of this process, and not of one that only has its environment."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1e6


class ServiceSink:
    """Follows the run for systemd."""

    name = "service"

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._scenario = ""
        self._stage = ""
        self._faults: set[str] = set()
        self._ticked_ns: int | None = None
        self._told_ns = 0
        self._counted = (0, 0)

    @property
    def alive(self) -> bool:
        """Whether the measurement goes on, where one should: the loop shows by asking that it does."""
        return self._ticked_ns is None or self._clock.now() - self._ticked_ns < TICKS_NS

    def on_event(self, event: Event) -> None:
        """Stages, and the faults in place."""
        data = event.data
        match event.kind:
            case Kind.SCENARIO_STARTED:
                self._scenario = data["scenario"]
                self._faults.clear()
            case Kind.STAGE:
                self._enter(data["name"], event.at_ns)
            case Kind.FAULT_INJECTED:
                self._faults.add(data["fault"])
            case Kind.FAULT_HEALED:
                self._faults.discard(data["fault"])
            case Kind.SCENARIO_FINISHED:
                self._enter(f"over: {data['verdict']}", event.at_ns)
            case _:
                pass

    def on_tick(self, recorder: Recorder) -> None:
        """A sign of life, and every few seconds a line of progress."""
        now_ns = self._clock.now()
        if self._ticked_ns is not None:
            self._ticked_ns = now_ns
        if now_ns - self._told_ns < STATUS_NS:
            return
        ok = sum(tally.ok for tally in recorder.tallies)
        before_ok, before_ns = self._counted
        rate = max(0, ok - before_ok) / max(1e-3, (now_ns - before_ns) / NS) if before_ns else 0.0
        self._counted, self._told_ns = (ok, now_ns), now_ns
        leads = f"leader {recorder.leader or 'none'}"
        faults = f", faults: {', '.join(sorted(self._faults)[:5])}" if self._faults else ""
        self._status(f"{rate:.0f} ok/s, {leads}{faults}")

    def close(self) -> None:
        """There is nothing to flush."""

    def _enter(self, stage: str, at_ns: int) -> None:
        if stage == self._stage:
            return
        self._stage = stage
        self._ticked_ns = at_ns if stage == "load" else None
        if stage == "load":
            self._notifier.send("READY=1")
        self._status()

    def _status(self, more: str = "") -> None:
        text = f"{self._scenario}: {self._stage}" + (f"; {more}" if more else "")
        self._notifier.send("STATUS=" + text.replace("\n", " "))


@asynccontextmanager
async def served(
    hub: Hub, clock: Clock, stop: asyncio.Event, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[None]:
    """Keep systemd informed for the length of the block, where it listens."""
    notifier = Notifier(environ)
    if not notifier.listened:
        yield
        return
    sink = ServiceSink(notifier, clock)
    hub.add(sink)
    tasks = [asyncio.create_task(_stopping(notifier, stop), name="service: stopping")]
    if notifier.watchdog_s is not None:
        tasks.append(
            asyncio.create_task(_alive(notifier, sink, clock, notifier.watchdog_s / 2), name="service: watchdog")
        )
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        hub.remove(sink)
        notifier.send("STOPPING=1")
        notifier.close()


async def _alive(notifier: Notifier, sink: ServiceSink, clock: Clock, every_s: float) -> None:
    while True:
        if sink.alive:
            notifier.send("WATCHDOG=1")
        await clock.sleep(every_s)


async def _stopping(notifier: Notifier, stop: asyncio.Event) -> None:
    await stop.wait()
    notifier.send("STOPPING=1", "STATUS=ending: faults are healed, then the report")
