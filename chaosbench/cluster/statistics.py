"""What every member's container uses, followed through the engine's own statistics, about once a second.

The engine is asked nothing twice: which members there are is overheard from
whoever looks at the cluster. Each container has one stream and one task. A
stream that ends, fails or falls silent is opened again; a container that does
not run uses no memory, and its counters stand still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaosbench.clock import Clock
from chaosbench.cluster import Cluster
from chaosbench.errors import ChaosbenchError
from chaosbench.model.cluster import Member, Snapshot
from chaosbench.model.containers import ContainerSample, ContainerUse

SILENT_S = 5.0
"""A stream that says nothing for so long is given up."""

AGAIN_S = 1.0
MEMBERS_KEPT = 64
"""Members followed; those beyond are not."""

COUNTERS = ("cpu_ns", "read_bytes", "written_bytes", "receive_bytes", "transmit_bytes")

log = logging.getLogger(__name__)


def sample_of(said: Mapping[str, Any]) -> ContainerSample | None:
    """One entry of the engine's stream; None when the container does not run (or the entry is no statistics)."""
    cpu_ns = said.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
    memory = said.get("memory_stats", {})
    if not cpu_ns or "usage" not in memory:
        return None
    details = memory.get("stats", {})
    # What version 1 of the kernel's control groups calls total_inactive_file is inactive_file in version 2.
    idle_cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    networks = said.get("networks")
    return ContainerSample(
        wall_ns=_wall_ns(str(said["read"])),
        cpu_ns=int(cpu_ns),
        memory_bytes=max(0, int(memory["usage"]) - int(idle_cache)),
        read_bytes=_disk(said, "read"),
        written_bytes=_disk(said, "write"),
        receive_bytes=_network(networks, "rx_bytes"),
        transmit_bytes=_network(networks, "tx_bytes"),
    )


def _disk(said: Mapping[str, Any], operation: str) -> int | None:
    """Bytes over all devices; None when the engine counts none, which is not zero."""
    rows = said.get("blkio_stats", {}).get("io_service_bytes_recursive")
    if not rows:
        return None
    return sum(int(row["value"]) for row in rows if str(row["op"]).lower() == operation)


def _network(networks: Mapping[str, Mapping[str, int]] | None, counter: str) -> int | None:
    return None if networks is None else sum(int(one[counter]) for one in networks.values())


def _wall_ns(date: str) -> int:
    """The engine's date, with nanoseconds that Python's own parser would cut off."""
    whole, _, fraction = date.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


@dataclass(slots=True)
class _Counter:
    """Adds up a counter that begins anew with its container."""

    base: int = 0
    last: int | None = None

    def add(self, value: int | None) -> int | None:
        """The sum, given the counter as it stands; unknown until it is told for the first time."""
        if value is None:
            return None if self.last is None else self.base + self.last
        if self.last is not None and value < self.last:
            self.base += self.last
        self.last = value
        return self.base + value


class Totals:
    """One member's samples added up. Pure."""

    def __init__(self) -> None:
        self._counters = {name: _Counter() for name in COUNTERS}

    def add(self, sample: ContainerSample, at_ns: int) -> ContainerUse:
        """The member's use after one more sample."""
        totals = {name: counter.add(getattr(sample, name)) for name, counter in self._counters.items()}
        cpu_ns = totals.pop("cpu_ns") or 0
        return ContainerUse(at_ns, sample.wall_ns, cpu_ns / 1e9, sample.memory_bytes, **totals)


class ContainerMeter:
    """Follows every member that :meth:`look` was shown, while :meth:`running`. ``uses`` is what they use now."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._totals: dict[str, Totals] = {}
        self._tasks: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._running = False
        self.uses: dict[str, ContainerUse] = {}

    def now(self) -> Mapping[str, ContainerUse]:
        """What every member's container uses, as last told; those that never told are missing."""
        return self.uses

    def look(self, snapshot: Snapshot) -> None:
        """Somebody looked at the cluster: follow the members that are new, or have a new container."""
        if not self._running:
            return
        for member in snapshot.members[:MEMBERS_KEPT]:
            container_id, task = self._tasks.get(member.name, ("", None))
            if container_id == member.container_id:
                continue
            if task is not None:
                task.cancel()
            following = asyncio.create_task(self._follow(member), name=f"statistics of {member.name}")
            self._tasks[member.name] = (member.container_id, following)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow for the length of the block."""
        self._running = True
        try:
            yield
        finally:
            self._running = False
            tasks = [task for _, task in self._tasks.values()]
            self._tasks.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, member: Member) -> None:
        """Read one container's stream until cancelled. Whatever goes wrong costs its figures, never the run."""
        while True:
            try:
                async with aclosing(self._cluster.statistics(member)) as stream:
                    await self._read(member.name, stream)
            except (ChaosbenchError, TimeoutError) as error:
                log.debug("statistics of %s: %s", member.name, error)
            except Exception:
                log.exception("statistics of %s failed and are out", member.name)
                return
            await self._clock.sleep(AGAIN_S)

    async def _read(self, name: str, stream: AsyncIterator[ContainerSample | None]) -> None:
        totals = self._totals.setdefault(name, Totals())
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    sample = await anext(stream)
            except StopAsyncIteration:
                return
            self._heard(name, totals, sample)

    def _heard(self, name: str, totals: Totals, sample: ContainerSample | None) -> None:
        at_ns = self._clock.now()
        if sample is not None:
            self.uses[name] = totals.add(sample, at_ns)
        elif name in self.uses:
            self.uses[name] = _still(self.uses[name], at_ns)


def _still(use: ContainerUse, at_ns: int) -> ContainerUse:
    """The use of a container that does not run: its counters stand, its memory is free, time goes on."""
    return ContainerUse(
        at_ns=at_ns,
        wall_ns=use.wall_ns + (at_ns - use.at_ns),
        cpu_s=use.cpu_s,
        memory_bytes=0,
        read_bytes=use.read_bytes,
        written_bytes=use.written_bytes,
        receive_bytes=use.receive_bytes,
        transmit_bytes=use.transmit_bytes,
    )
