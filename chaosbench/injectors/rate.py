"""``rate``: a member sends no faster than so many bits a second, by the kernel's token bucket filter."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from chaosbench.cluster import Cluster
from chaosbench.injectors import qdisc
from chaosbench.injectors.beside import Change, NetworkChange
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Seconds, or_stored

_UNITS = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}
_LEAST_BURST = 32 * 1024


def _bits(value: object) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kbit|mbit|gbit)", str(value).strip())
    if match is None or not float(match[1]):
        raise ValueError(f"{value!r} is not a rate of bits: write a number with kbit, mbit or gbit, as in 10mbit")
    return round(float(match[1]) * _UNITS[match[2]])


Bits = Annotated[int, BeforeValidator(or_stored(_bits))]
"""Bits a second."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Rate(NetworkChange):
    """Let the target send no faster than ``rate``, until ``hold`` is over; what waits longer than ``queue`` is lost."""

    kind: ClassVar[str] = "rate"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.QDISC
    needs: ClassVar[frozenset[Need]] = frozenset({Need.HELPER, Need.TBF})
    disables: ClassVar[bool] = False

    target: str
    rate: Bits
    queue: Seconds = Field(default=0.05, gt=0)
    hold: Seconds = Field(default=15.0, gt=0)

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """The interfaces, which must be free."""
        return await qdisc.look(cluster, member)

    def _change(self, before: Before) -> Change:
        burst = max(_LEAST_BURST, self.rate // 8 // 100)  # bytes; what 10 ms bring, since the kernel's clock is coarse
        return qdisc.change(before, f"tbf rate {self.rate}bit burst {burst}b latency {self.queue * 1e6:.0f}us")
