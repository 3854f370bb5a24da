"""Faults. One file each; ``table.py`` lists them; ``injection.py`` puts one in place and takes it away.

An injector is its YAML settings plus two verbs. ``inject`` acts on one member;
``heal`` is idempotent: it looks first, acts on the difference, and is safe to
call when nothing was injected. Nothing else in chaosbench knows which faults
there are.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from chaosbench.cluster import Cluster
from chaosbench.model.cluster import Member, Role


class Fault(Protocol):
    """What every injector class provides.

    kind:     its name in the YAML
    hits:     the roles that it can act on
    target:   role or member name, resolved when the fault is injected
    hold:     seconds from injection to healing
    """

    kind: ClassVar[str]
    hits: ClassVar[frozenset[Role]]

    @property
    def target(self) -> str:
        """Role or member name, resolved when the fault is injected."""
        ...

    @property
    def hold(self) -> float:
        """Seconds from injection to healing."""
        ...

    async def inject(self, cluster: Cluster, member: Member) -> None:
        """Put the fault in place. Returns when it is."""
        ...

    async def heal(self, cluster: Cluster, member: Member) -> None:
        """Undo it: inspect, act on the difference. Returns when the member is as before."""
        ...

    def remedy(self, member: Member) -> str:
        """A shell command that heals by hand."""
        ...
