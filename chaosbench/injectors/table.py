"""The catalogue: every fault that a scenario can name. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from chaosbench.injectors import Injector


class Catalogue(Mapping[str, type[Injector]]):
    """Each kind's class, imported when it is first asked for.

    A scenario file names three of them, perhaps: reading the others would
    double the time in which ``chaosbench check`` answers.

    places:  by kind: module below ``chaosbench.injectors``, and class
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._found: dict[str, type[Injector]] = {}

    def __getitem__(self, kind: str) -> type[Injector]:
        if kind not in self._found:
            module, name = self._places[kind].split(":")
            self._found[kind] = getattr(import_module(f"chaosbench.injectors.{module}"), name)
        return self._found[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


INJECTORS = Catalogue(
    {
        # containers
        "kill": "kill:Kill",
        "pause": "pause:Pause",
        "restart": "restart:Restart",
        "stop": "stop:Stop",
        # processes inside a container
        "signal": "signal:Signal",
        # network
        "disconnect": "disconnect:Disconnect",
        "netem": "netem:Netem",
        "partition": "partition:Partition",
        "rate": "rate:Rate",
        "reset": "reset:Reset",
        # resources
        "cpu-burn": "cpu_burn:CpuBurn",
        "cpu-quota": "cpu_quota:CpuQuota",
        "disk-fill": "disk_fill:DiskFill",
        "io-throttle": "io_throttle:IoThrottle",
        "memory-squeeze": "memory_squeeze:MemorySqueeze",
        "shm-fill": "shm_fill:ShmFill",
        "slow-fsync": "slow_fsync:SlowFsync",
        # PostgreSQL
        "checkpoint-storm": "checkpoint_storm:CheckpointStorm",
        "connection-exhaustion": "connection_exhaustion:ConnectionExhaustion",
        "long-lock": "long_lock:LongLock",
        "terminate-backends": "terminate_backends:TerminateBackends",
        "wal-flood": "wal_flood:WalFlood",
        # Patroni and Pgpool
        "patroni-config": "patroni_config:PatroniConfig",
        "patroni-pause": "patroni_pause:PatroniPause",
        "patroni-restart": "patroni_restart:PatroniRestart",
        "pgpool-detach": "pgpool_detach:PgpoolDetach",
        "reinitialise": "reinitialise:Reinitialise",
        "switchover": "switchover:Switchover",
        # the rest
        "clock-skew": "clock_skew:ClockSkew",
        "exec": "exec:Exec",
    }
)
