"""``shm-fill``: a member's shared memory (``/dev/shm``) is filled up to a share of its size.

Every container has one of its own, so unlike with a disk there is nothing to be
prepared. PostgreSQL keeps there what parallel queries share.
"""

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
class ShmFill(Filling):
    """Fill the target's shared memory up to ``share`` of its size until ``hold`` is over."""

    kind: ClassVar[str] = "shm-fill"
    hits: ClassVar[frozenset[Role]] = frozenset(Role)
    touches: ClassVar[Part] = Part.DISK
    needs: ClassVar[frozenset[Need]] = frozenset()
    disables: ClassVar[bool] = True
    path: ClassVar[str] = "/dev/shm"  # noqa: S108 - inside the member's container

    target: str
    share: Ratio = 1.0
    hold: Seconds = Field(default=15.0, gt=0)
