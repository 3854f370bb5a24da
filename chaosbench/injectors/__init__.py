"""Faults. One file each; ``table.py`` lists them; ``injection.py`` puts one in place and takes it away.

An injector is its YAML settings plus a few verbs, each about one member. Nothing
else in chaosbench knows which faults there are. ``look`` says what healing will
need, and its answer is on disk before anything is touched; so whoever finds the
settings, the member and that answer written down can heal, also when the
process that injected is gone.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from chaosbench.cluster import Cluster
from chaosbench.model.cluster import Member, Role
from chaosbench.model.faults import Before, Need, Part


class Injector(Protocol):
    """What every injector class provides.

    kind:      its name in the YAML
    hits:      the roles that it can act on
    touches:   the part of a member that it takes hold of, for the conflict check
    needs:     what the machine and the lab must offer
    disables:  whether the member is out of service meanwhile: counts towards the blast radius
    target:    what it is to hit, resolved when it is injected
    hold:      seconds from injection to healing; 0 for what is over at once and leaves nothing to be seen
    """

    kind: ClassVar[str]
    hits: ClassVar[frozenset[Role]]
    touches: ClassVar[Part]
    needs: ClassVar[frozenset[Need]]
    disables: ClassVar[bool]

    @property
    def target(self) -> str:
        """What to hit, in the words of ``targets.py``."""
        ...

    @property
    def hold(self) -> float:
        """Seconds from injection to healing."""
        ...

    async def look(self, cluster: Cluster, member: Member) -> Before:
        """What ``heal`` will need to know of the member's state now. Changes nothing."""
        ...

    async def inject(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Put the fault in place. Returns when it is."""
        ...

    async def present(self, cluster: Cluster, member: Member, before: Before) -> bool | None:
        """Whether the fault is in place now, by looking at the member itself. Changes nothing.

        None when nobody can tell: then it is neither reported as lost nor taken for not healed.
        """
        ...

    async def heal(self, cluster: Cluster, member: Member, before: Before) -> None:
        """Undo it: inspect, act on the difference. Returns when the member is as before.

        Idempotent, and safe when nothing, or half of it, was injected.
        """
        ...

    def remedy(self, member: Member, before: Before) -> str:
        """A shell command that heals by hand."""
        ...
