"""The run's end of its guard: start it before the first fault, keep it informed, replace it when it dies."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from chaosbench.clock import Clock, to_s
from chaosbench.errors import PreflightError
from chaosbench.guard import BEAT, BEAT_S, GOODBYE, SILENCE_S
from chaosbench.injectors.healing import to_the_end
from chaosbench.journal.directory import DiskJournal

START_S = 30.0
END_S = 5.0
LOG_BYTES = 1_000_000

Warn = Callable[[str], None]


@asynccontextmanager
async def guarded(journal: DiskJournal, lab: Path, clock: Clock, warn: Warn) -> AsyncIterator[Guard]:
    """A guard for the length of the block; PreflightError when none can be started.

    It is sent away at the end, unless faults are left that could not be healed:
    then it goes on trying, for ``GIVE_UP_S`` at most.
    """
    guard = Guard(journal, lab, clock, warn)
    await guard.start()
    beating = asyncio.create_task(guard.keep())
    try:
        yield guard
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        await to_the_end(guard.leave())


class Guard:
    """One guard process after another."""

    def __init__(self, journal: DiskJournal, lab: Path, clock: Clock, warn: Warn) -> None:
        self._journal = journal
        self._lab = lab.absolute()
        self._clock = clock
        self._warn = warn
        self._log = journal.directory / "guard.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._answered_ns = 0

    @property
    def pid(self) -> int:
        """The guard's process id; 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start one and hear from it; PreflightError when that fails."""
        await asyncio.to_thread(self._spawn)
        deadline = self._clock.now() + int(START_S * 1e9)
        while self._clock.now() < deadline:
            if self._exchange() is False:
                break
            if self._answered_ns:
                return
            await self._clock.sleep(0.02)
        await asyncio.to_thread(self._dismiss)
        raise PreflightError(f"the guard that heals after a crash could not be started: see {self._log}")

    async def keep(self) -> None:
        """Tell it every second that all is well; replace it when it is dead or does not answer."""
        last_ns = self._clock.now()
        while True:
            await self._clock.sleep(BEAT_S)
            now_ns = self._clock.now()
            if now_ns - last_ns > SILENCE_S * 1e9:
                self._warn(
                    f"chaosbench did not run for {to_s(now_ns - last_ns):.1f} s: its guard has healed its faults"
                )
                self._answered_ns = now_ns
            last_ns = now_ns
            if not self._exchange():
                await self._replace("is gone")
            elif now_ns - self._answered_ns > SILENCE_S * 1e9:
                await self._replace(f"has not answered for {SILENCE_S} s")

    async def leave(self) -> None:
        """Send it away; with faults left behind, leave it to its work."""
        if self._journal.open_here and self._line is not None:
            self._line.close()  # without a goodbye
            self._warn(f"the guard goes on trying to heal: see {self._log}")
            return
        if self._line is not None:
            with suppress(OSError):
                self._line.send(GOODBYE)
        await asyncio.to_thread(self._dismiss, END_S)

    async def _replace(self, why: str) -> None:
        self._warn(f"the guard {why}: another one is started")
        await asyncio.to_thread(self._dismiss)
        try:
            await self.start()
        except PreflightError as error:
            self._warn(str(error))

    def _exchange(self) -> bool:
        """Send a beat and take its answers. False when nobody is there."""
        line = self._line
        if line is None:
            return False
        try:
            line.send(BEAT)
        except BlockingIOError:
            pass  # it is behind with reading; whether it answers says more
        except OSError:
            return False
        try:
            answer = line.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._answered_ns = self._clock.now() if answer else self._answered_ns
        return bool(answer)

    def _spawn(self) -> None:
        """In a session of its own: neither Ctrl-C nor a closed terminal reaches it."""
        self._answered_ns = 0
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        mine, its = socket.socketpair()
        mine.setblocking(False)
        words = (str(self._lab), str(self._journal.directory.absolute()), str(os.getpid()))
        with its, self._log.open("ab") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this very interpreter, no shell
                    [sys.executable, "-m", "chaosbench.guard", *words],
                    stdin=its.fileno(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                mine.close()
                raise PreflightError(f"the guard that heals after a crash could not be started: {error}") from error
        self._line = mine

    def _dismiss(self, patience: float = 0.0) -> None:
        """Have it ended after ``patience`` seconds at the latest. Blocks."""
        process, line = self._process, self._line
        self._process = self._line = None
        if process is not None:
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if line is not None:
            line.close()
