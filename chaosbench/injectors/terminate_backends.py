"""``terminate-backends``: client sessions are ended by the server, once or again and again.

Clients see 57P01, or a closed connection; what they had not committed is gone.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import sql
from chaosbench.injectors.background import MARGIN_S
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import NOTHING, Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Ratio, Seconds

_MARK = "chaosbench-terminate-backends"
_SPARED = (
    "backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'chaosbench-%' "
    "AND usename NOT IN (SELECT rolname FROM pg_roles WHERE rolsuper)"
)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class TerminateBackends:
    """End a ``share`` of the target's client sessions; with ``interval``, again and again until ``hold`` is over."""

    kind: ClassVar[str] = "terminate-backends"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.SESSIONS
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = False

    target: str = "leader"
    application: str = ""
    user: str = ""
    share: Ratio = 1.0
    interval: Seconds = 0.0
    hold: Seconds = 0.0

    def __post_init__(self) -> None:
        """What is done once has no length, what is repeated has one."""
        if bool(self.interval) != bool(self.hold):
            raise ValueError(
                "write both 'interval' and 'hold' to end sessions again and again, or neither to do it once"
            )

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """Nothing: clients connect again by themselves."""
        return NOTHING

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """End them, or start the session that does so."""
        victims = f"FROM pg_stat_activity WHERE {self._condition} AND random() < {self.share:g}"
        if not self.interval:
            await sql.ask(cluster, member, f"SELECT count(pg_terminate_backend(pid)) {victims}")
            return
        body = sql.repeated(f"PERFORM pg_terminate_backend(pid) {victims};", self.interval, self.hold + MARGIN_S)
        await sql.hold(cluster, member, _MARK, [body], self.hold)
        await sql.await_held(cluster, member, _MARK)

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool:
        """The session that ends others is there; never for what is done once."""
        return bool(self.interval) and await sql.held(cluster, member, _MARK) > 0

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """End the session that ends others."""
        if self.interval:
            await sql.release(cluster, member, _MARK)

    def remedy(self, member: Member, before: Before) -> str:
        """End the session that ends others."""
        return sql.by_hand(member, _MARK)

    @property
    def _condition(self) -> str:
        """Never a session of chaosbench's own, and never a superuser's: Patroni looks after its cluster with those."""
        chosen = [_SPARED]
        if self.application:
            chosen.append(f"application_name = {sql.literal(self.application)}")
        if self.user:
            chosen.append(f"usename = {sql.literal(self.user)}")
        return " AND ".join(chosen)
