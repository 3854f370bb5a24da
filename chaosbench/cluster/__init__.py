"""The cluster under test, behind one small protocol.

``docker``  the real one: labelled containers, Patroni's REST API, Pgpool's SQL
``fake``    the same behaviour in memory, on the test's clock
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

from chaosbench.model.cluster import Address, Executed, Happening, Helper, Login, Member, RunState, Snapshot
from chaosbench.model.containers import ContainerSample
from chaosbench.model.faults import Need

PATIENCE_S = 1.0
"""How long a part is given to say how it stands, in seconds, where the answer is wanted at once."""


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

    async def snapshot(self, patience: float = PATIENCE_S) -> Snapshot:
        """The cluster now. A part that stays silent for ``patience`` seconds is shown as such."""
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

    async def stop(self, member: Member, grace: float) -> None:
        """SIGTERM, and SIGKILL after ``grace`` seconds; nothing happens when the member does not run."""
        ...

    async def restart(self, member: Member, grace: float) -> None:
        """Stop it so, and start it at once."""
        ...

    async def inspect(self, member: Member) -> Mapping[str, Any]:
        """The member's container as the engine describes it (Docker's inspect)."""
        ...

    async def limit(self, member: Member, limits: Mapping[str, int]) -> None:
        """Change the container's limits while it runs, by the names that ``HostConfig`` gives them."""
        ...

    async def disconnect(self, member: Member, network: str) -> None:
        """Take the member off a network."""
        ...

    async def connect(self, member: Member, network: str, endpoint: Mapping[str, Any]) -> None:
        """Put the member on a network again, with the endpoint's settings as ``inspect`` told them."""
        ...

    async def execute(
        self, member: Member, command: Sequence[str], *, user: str = "", timeout: float = 15.0
    ) -> Executed:
        """Run a command inside the member's container; its own failure is in the answer.

        FaultError when it could not be run: a frozen or stopped container takes none.
        """
        ...

    async def assist(self, member: Member, helper: Helper, timeout: float = 20.0) -> Executed:
        """Run a helper container beside the member to its end, and remove it."""
        ...

    async def station(self, member: Member, helper: Helper, name: str, lifetime: float) -> None:
        """Start a helper container beside the member and leave it there; returns when it runs.

        ``name`` is its own; one of that name that is there already is replaced.
        It is told its ``lifetime`` in seconds (``CHAOSBENCH_LIFETIME``) and must
        undo its fault and end by then, also when it is asked to stop.
        """
        ...

    async def stationed(self, name: str) -> RunState | None:
        """How a helper container stands; None when there is none of that name."""
        ...

    async def instruct(self, name: str, command: Sequence[str], timeout: float = 10.0) -> Executed:
        """Run a command inside a helper container that is stationed. FaultError when it is not there any more."""
        ...

    async def dismiss(self, name: str, grace: float = 10.0) -> None:
        """Stop a helper container, so that it undoes its fault, and remove it. Nothing happens when it is gone."""
        ...

    async def patroni(
        self, member: Member, method: str, path: str, body: Mapping[str, Any] | None = None, timeout: float = 10.0
    ) -> tuple[int, str]:
        """Ask the member's Patroni; HTTP status and text. FaultError when it is not reached."""
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

    async def settings(self) -> Mapping[str, str]:
        """Versions, settings and limits by dotted name, no secret among them; what is silent is left out."""
        ...

    async def containers(self) -> Mapping[str, str]:
        """Names of all labelled containers, to their ids; for messages and checks."""
        ...

    async def lacks(self, need: Need) -> str | None:
        """Why this machine and this lab cannot offer ``need``, in one line; None when they can. Leaves no trace."""
        ...

    def happenings(self) -> AsyncGenerator[Happening, None]:
        """What happens to the members' containers from now on; ends when the engine ends it, and may be asked again."""
        ...

    def statistics(self, member: Member) -> AsyncGenerator[ContainerSample | None, None]:
        """What the member's container uses, about once a second; None while it does not run. May end at any time."""
        ...

    async def close(self) -> None:
        """Let go of sockets."""
        ...
