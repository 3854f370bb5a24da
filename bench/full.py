"""A recorder as full as it gets, a cluster of nine, and the sinks that watch them: what watching is measured on."""

from __future__ import annotations

import random
from pathlib import Path

from chaosbench.clock import Clock
from chaosbench.events import Event, Kind
from chaosbench.model.cluster import BackendView, Member, NodeView, Role, RunState, Snapshot
from chaosbench.model.containers import ContainerUse
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.page.sink import PageSink
from chaosbench.sinks.prometheus import PrometheusSink

TALLIES, REASONS = 12, 64
MEMBERS = ("etcd1", "etcd2", "etcd3", "pg1", "pg2", "pg3", "pgpool1", "pgpool2", "pgpool3")
CLASSES = tuple(OpClass)


def uses(step: int) -> dict[str, ContainerUse]:
    """What nine containers use after so many seconds."""
    return {
        name: ContainerUse(step, step * 10**9, step * 0.1, 10**8 + step, step, step, step, step) for name in MEMBERS
    }


def snapshot() -> Snapshot:
    """A cluster of nine."""
    roles = {"e": Role.ETCD, "g": Role.POSTGRES}
    members = tuple(
        Member(name=name, role=Role.PGPOOL if "pool" in name else roles[name[0] if name[0] == "e" else name[1]],
               container_id=name, state=RunState.RUNNING)
        for name in MEMBERS
    )  # fmt: skip
    nodes = {name: NodeView("replica", "streaming", 2, wal_position=10**9) for name in ("pg2", "pg3")}
    nodes["pg1"] = NodeView("leader", "running", 2, ("pg2", "pg3"), wal_position=10**9)
    backends = {f"pgpool{n}": {f"pg{m}": BackendView("up", "standby") for m in (1, 2, 3)} for n in (1, 2, 3)}
    return Snapshot(members=members, nodes=nodes, backends=backends)


class Full:
    """A recorder as full as it gets, and both sinks over it."""

    def __init__(self, out: Path) -> None:
        self.now_ns = 10**12
        clock = Clock(now=lambda: self.now_ns)
        self.page = PageSink(clock, clock.anchor(), out, lambda: None, lambda: uses(self.now_ns // 10**9))
        self.metrics = PrometheusSink(0, self.page.routes, lambda: uses(1))
        self.recorder = Recorder(clock, Windows(), lambda event: None)
        self._rng = random.Random(1)
        self.say(Kind.RUN_STARTED, run="full", file="f.yaml", scenarios=["full"], seed=1)
        limits = {"rto": "<= 30s", "p99": "<= 50ms", "ok_rate": ">= 90%", "write_window": "<= 30s"}
        self.say(
            Kind.SCENARIO_STARTED, scenario="full", description="", duration_s=900.0, warm_up_s=0.0, streams=["load"],
            faults=[], expectations=[{"metric": name, "limit": limit} for name, limit in limits.items()],
        )  # fmt: skip
        self.say(Kind.STAGE, name="load", detail="")
        for number in range(20):
            fault = {"fault": f"fault-{number}", "injector": "kill", "target": "pg1", "container": "c"}
            self.say(Kind.FAULT_INJECTING, **fault)
            self.recorder.watch(self.now_ns)
        self.page.look(snapshot())

    def say(self, kind: Kind, **data: object) -> None:
        for sink in (self.page, self.metrics):
            sink.on_event(Event(self.now_ns, kind, data))

    def second(self) -> None:
        """One second of load in every tally."""
        self.now_ns += 10**9
        for kind in range(TALLIES):
            tally = self.recorder.tally(f"load-{kind // 3}", f"operation-{kind}", CLASSES[kind % 3])
            for _ in range(60):
                tally.attempted += 2
                late_ns = int(self._rng.lognormvariate(15, 2))
                tally.record_ok(self.now_ns - late_ns, self.now_ns - late_ns, self.now_ns)
                number = self._rng.randrange(REASONS)
                outcome, reason = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.SHED)[number % 3], f"{number:05}"
                self.recorder.bad(tally, outcome, reason, self.now_ns - late_ns, self.now_ns - late_ns, self.now_ns)
