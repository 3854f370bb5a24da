"""``netem``: what a member sends is late, lost, doubled or damaged, by the kernel's network emulator."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import qdisc
from chaosbench.injectors.beside import Change, NetworkChange
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Ratio, Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Netem(NetworkChange):
    """Delay, lose, double or damage the packets that the target sends, until ``hold`` is over."""

    kind: ClassVar[str] = "netem"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.QDISC
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HELPER, Need.NETEM})
    disables: ClassVar[bool] = False

    target: str
    delay: Seconds = Field(default=0.0, ge=0)
    delay_jitter: Seconds = Field(default=0.0, ge=0)
    loss: Ratio = 0.0
    duplicate: Ratio = 0.0
    corrupt: Ratio = 0.0
    hold: Seconds = Field(default=15.0, gt=0)

    def __post_init__(self) -> None:
        """Something must be asked for, and jitter is around a delay."""
        if not any((self.delay, self.loss, self.duplicate, self.corrupt)):
            raise ValueError("netem changes nothing: write at least one of delay, loss, duplicate, corrupt")
        if self.delay_jitter > self.delay:
            raise ValueError("delay_jitter is around a delay: write a 'delay' of at least that much")

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The interfaces, which must be free."""
        return await qdisc.look(cluster, member)

    def _change(self, before: Before) -> Change:
        return qdisc.change(before, f"netem {self._words()}")

    def _words(self) -> str:
        """In tc's words; times in microseconds, its finest."""
        delay = f"delay {self.delay * 1e6:.0f}us {self.delay_jitter * 1e6:.0f}us".removesuffix(" 0us")
        shares = {"loss": self.loss, "duplicate": self.duplicate, "corrupt": self.corrupt}
        words = [f"{name} {share * 100:.4f}%" for name, share in shares.items() if share]
        return " ".join([delay, *words] if self.delay else words)
