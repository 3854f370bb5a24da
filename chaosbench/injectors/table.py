"""The catalogue: every fault that a scenario can name. A new one is one file and one line here."""

from __future__ import annotations

from chaosbench.injectors import Injector
from chaosbench.injectors.disconnect import Disconnect
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.netem import Netem
from chaosbench.injectors.partition import Partition
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.rate import Rate
from chaosbench.injectors.reset import Reset
from chaosbench.injectors.restart import Restart
from chaosbench.injectors.signal import Signal
from chaosbench.injectors.stop import Stop
from chaosbench.injectors.switchover import Switchover

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
    # Patroni and Pgpool
    "switchover": Switchover,
}
