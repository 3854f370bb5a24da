"""The cluster under test, behind one small protocol.

``docker``  the real one: labelled containers, Patroni's REST API, Pgpool's SQL
``fake``    the same behaviour in memory, on the test's clock
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from chaosbench.model.cluster import Address, Happening, Login, Member, RunState, Snapshot


class Cluster(Protocol):
    """What chaosbench asks of a cluster. Every call ends within a bounded time.

    Raises :class:`~chaosbench.errors.ClusterUnavailable` when the engine that
    runs the cluster does not answer, and
    :class:`~chaosbench.errors.TargetError` for a member that is not there or
    does not carry chaosbench's label.
    """

    @property
    def login(self) -> Login:
        """The application's login."""
        ...

    async def snapshot(self) -> Snapshot:
        """The cluster now. A part that stays silent is shown as such, never waited for."""
        ...

    async def state(self, member: Member) -> RunState:
        """Whether the member's container runs, asked afresh and by id."""
        ...

    async def kill(self, member: Member) -> None:
        """SIGKILL the member's container."""
        ...

    async def start(self, member: Member) -> None:
        """Start the member's container if it does not run."""
        ...

    async def pause(self, member: Member) -> None:
        """Freeze every process of the member."""
        ...

    async def unpause(self, member: Member) -> None:
        """Thaw the member if it is frozen."""
        ...

    async def switchover(self, leader: Member, candidate: Member | None) -> None:
        """Ask Patroni to hand leadership over; any healthy replica if no candidate is given."""
        ...

    async def forks(self) -> Mapping[int, int]:
        """Timelines that were left, to the WAL position where the next one began; empty when nobody tells."""
        ...

    async def proxy_address(self) -> Address:
        """Where clients connect: Pgpool."""
        ...

    async def proxy_settings(self) -> Mapping[str, str]:
        """Pgpool's settings, as ``PGPOOL SHOW ALL`` names them."""
        ...

    async def containers(self) -> Mapping[str, str]:
        """Names of all labelled containers, to their ids; for messages and checks."""
        ...

    def happenings(self) -> AsyncGenerator[Happening, None]:
        """What happens to the members' containers from now on; ends when the engine ends it, and may be asked again."""
        ...

    async def close(self) -> None:
        """Let go of sockets."""
        ...
