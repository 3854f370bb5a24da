"""The catalogue: every fault that a scenario can name. A new one is one file and one line here."""

from __future__ import annotations

from chaosbench.injectors import Injector
from chaosbench.injectors.kill import Kill
from chaosbench.injectors.pause import Pause
from chaosbench.injectors.switchover import Switchover

INJECTORS: dict[str, type[Injector]] = {
    "kill": Kill,
    "pause": Pause,
    "switchover": Switchover,
}
