"""A last look at the faults of a scenario: what was healed while the container engine went down went down with it.

A member that was started again while the engine was going down went down with
it, and the engine does not bring it back: the engine knows it as killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from chaosbench.clock import Clock
from chaosbench.cluster import Cluster
from chaosbench.errors import ChaosbenchError, HealError
from chaosbench.injectors import Injector
from chaosbench.injectors.healing import Patience, heal
from chaosbench.injectors.life import Hit, Injection


async def heal_again(
    healed: Iterable[tuple[Injector, Injection]],
    cluster: Cluster,
    clock: Clock,
    warn: Callable[[str], None],
    patience: Patience | None = None,
) -> None:
    """Look at each member of faults that are over, and heal the one that is as if it were not; all at once."""
    patience = patience or Patience()

    async def look(injector: Injector, hit: Hit) -> None:
        try:
            async with asyncio.timeout(patience.look):
                there = await injector.present(cluster, hit.member, hit.before)
            if there:
                await heal(injector, hit.member, hit.before, cluster, clock, patience)
                warn(f"{injector.kind} on {hit.member.name} was there again after it was healed, and is healed again")
        except HealError as error:
            hit.heal_error = error
            warn(str(error))
        except (ChaosbenchError, TimeoutError):
            pass  # a member that cannot be looked at: whether the cluster is whole is asked next

    async with asyncio.TaskGroup() as group:
        for injector, injection in healed:
            for hit in injection.hits:
                if injector.hold and hit.healed_ns is not None:
                    group.create_task(look(injector, hit))
