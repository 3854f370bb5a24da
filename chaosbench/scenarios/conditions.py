"""Whether what a fault waits for holds now."""

from __future__ import annotations

from collections import Counter

from chaosbench.cluster import Cluster
from chaosbench.errors import ClusterUnavailable
from chaosbench.observers.watch import Watch
from chaosbench.recorder.recorder import Recorder
from chaosbench.schedule import Condition, State


class Conditions:
    """Asks the cluster and the recorder. ``healed`` counts, for each entry, the occurrences that are over."""

    def __init__(self, cluster: Cluster, recorder: Recorder, watch: Watch) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._watch = watch
        self.healed: Counter[str] = Counter()

    async def unmet(self, conditions: tuple[Condition, ...], turn: int) -> str | None:
        """What is still waited for; None when all hold.

        turn:  so many times another fault must have been healed
        """
        for condition in conditions:
            match condition.state:
                case State.HEALED:
                    missing = None if self.healed[condition.fault] >= turn else f"{condition.fault} to be healed"
                case State.HEALTHY:
                    missing = await self._unhealthy()
                case State.STEADY:
                    missing = self._unsteady()
            if missing is not None:
                return missing
        return None

    async def _unhealthy(self) -> str | None:
        try:
            problems = (await self._cluster.snapshot()).problems()
        except ClusterUnavailable as error:
            return f"a healthy cluster ({error})"
        return f"a healthy cluster ({problems[0]})" if problems else None

    def _unsteady(self) -> str | None:
        if any(not window.closed for window in self._recorder.windows()):
            return "the steady state (operations still fail)"
        tail = self._watch.tail
        if tail is None or not tail.steady():
            return "the steady state (p99 is not what it was)"
        return None
