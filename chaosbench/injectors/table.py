"""The catalogue: every fault that a scenario can name. A new one is one file and one line here."""

from __future__ import annotations

from chaosbench.injectors import Injector
from chaosbench.injectors.checkpoint_storm import CheckpointStorm
from chaosbench.injectors.clock_skew import ClockSkew
from chaosbench.injectors.connection_exhaustion import ConnectionExhaustion
from chaosbench.injectors.cpu_burn import CpuBurn
from chaosbench.injectors.cpu_quota import CpuQuota
from chaosbench.injectors.disconnect import Disconnect
from chaosbench.injectors.disk_fill import DiskFill
from chaosbench.injectors.exec import Exec
from chaosbench.injectors.io_throttle import IoThrottle
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.long_lock import LongLock
from chaosbench.injectors.memory_squeeze import MemorySqueeze
from chaosbench.injectors.netem import Netem
from chaosbench.injectors.partition import Partition
from chaosbench.injectors.patroni_config import PatroniConfig
from chaosbench.injectors.patroni_pause import PatroniPause
from chaosbench.injectors.patroni_restart import PatroniRestart
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.pgpool_detach import PgpoolDetach
from chaosbench.injectors.rate import Rate
from chaosbench.injectors.reinitialise import Reinitialise
from chaosbench.injectors.reset import Reset
from chaosbench.injectors.restart import Restart
from chaosbench.injectors.shm_fill import ShmFill
from chaosbench.injectors.signal import Signal
from chaosbench.injectors.slow_fsync import SlowFsync
from chaosbench.injectors.stop import Stop
from chaosbench.injectors.switchover import Switchover
from chaosbench.injectors.terminate_backends import TerminateBackends
from chaosbench.injectors.wal_flood import WalFlood

INJECTORS: dict[str, type[Injector]] = {
    # containers
    "kill": Kill,
    "pause": Pause,
    "restart": Restart,
    "stop": Stop,
    # processes inside a container
    "signal": Signal,
    # network
    "disconnect": Disconnect,
    "netem": Netem,
    "partition": Partition,
    "rate": Rate,
    "reset": Reset,
    # resources
    "cpu-burn": CpuBurn,
    "cpu-quota": CpuQuota,
    "disk-fill": DiskFill,
    "io-throttle": IoThrottle,
    "memory-squeeze": MemorySqueeze,
    "shm-fill": ShmFill,
    "slow-fsync": SlowFsync,
    # PostgreSQL
    "checkpoint-storm": CheckpointStorm,
    "connection-exhaustion": ConnectionExhaustion,
    "long-lock": LongLock,
    "terminate-backends": TerminateBackends,
    "wal-flood": WalFlood,
    # Patroni and Pgpool
    "patroni-config": PatroniConfig,
    "patroni-pause": PatroniPause,
    "patroni-restart": PatroniRestart,
    "pgpool-detach": PgpoolDetach,
    "reinitialise": Reinitialise,
    "switchover": Switchover,
    # the rest
    "clock-skew": ClockSkew,
    "exec": Exec,
}
