"""``disk-fill``: the disk that a member's data lie on is filled up to a share of its size."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from chaosbench.injectors.filling import Filling
from chaosbench.model.cluster import Role
from chaosbench.model.faults import Need, Part
from chaosbench.model.scenario import STRICT
from chaosbench.units import Ratio, Seconds


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class DiskFill(Filling):
    """Fill the disk that the target's data lie on up to ``share`` of its size until ``hold`` is over."""

    kind: ClassVar[str] = "disk-fill"
    hits: ClassVar[frozenset[Role]] = frozenset({Role.POSTGRES})
    touches: ClassVar[Part] = Part.DISK
    needs: ClassVar[frozenset[Need]] = frozenset({Need.OWN_DISK})
    disables: ClassVar[bool] = True

    target: str
    path: str = Field(default="/data", pattern=r"^/data(/[A-Za-z0-9._-]+)*$")
    share: Ratio = 1.0
    hold: Seconds = Field(default=15.0, gt=0)
