"""Who leads, looked at about once a second while a scenario runs."""

from __future__ import annotations

from typing import Protocol

from chaosbench.clock import Clock
from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.events import Kind
from chaosbench.primaries import DoublePrimary
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.hub import Hub

PERIOD = 1.0
WARNINGS = 200
"""Different warnings that are told; what comes later is one of those, or one too many."""


class Recording(Protocol):
    """Whatever has a recorder, which may become another one."""

    recorder: Recorder


class Observer:
    """Keeps the recorder's ``leader`` current, and tells of changes and of what else the user should know."""

    def __init__(self, cluster: Cluster, engine: Recording, hub: Hub, clock: Clock, leader: str | None) -> None:
        self._cluster = cluster
        self._engine = engine
        self._hub = hub
        self._clock = clock
        self.leader = leader
        self.warnings: list[str] = []

    async def run(self) -> None:
        """Look until cancelled. An engine that does not answer is said once, and is no reason to stop."""
        while True:
            try:
                await self.look()
            except ClusterUnavailable as error:
                self._warn(str(error))
            await self._clock.sleep(PERIOD)

    async def look(self) -> None:
        """Look once."""
        snapshot = await self._cluster.snapshot()
        leader = snapshot.leader.name if snapshot.leader else None
        if leader != self.leader:
            self._hub.say(Kind.LEADER_CHANGED, leader=leader, was=self.leader)
        self.leader = self._engine.recorder.leader = leader

    def double_primary(self, found: DoublePrimary) -> None:
        """Two nodes were out of recovery at once."""
        self._warn(f"two primaries at once: {' and '.join(found.nodes)} were both out of recovery")

    def _warn(self, text: str) -> None:
        if text not in self.warnings and len(self.warnings) < WARNINGS:
            self.warnings.append(text)
            self._hub.say(Kind.WARNING, text=text)


async def ticking(engine: Recording, hub: Hub, clock: Clock) -> None:
    """Show the recorder to the sinks once a second until cancelled."""
    while True:
        await clock.sleep(1.0)
        hub.tick(engine.recorder)
