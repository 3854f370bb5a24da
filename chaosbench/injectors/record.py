"""What an injection writes down before it acts, so that others can heal it.

The journal's contract, and one journal that keeps nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from chaosbench.injectors import Injector
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Before


class Mark(StrEnum):
    """How far a fault on one member has come."""

    INTENT = "intent"  # on disk before anything is touched
    APPLIED = "applied"
    HEALING = "healing"
    HEALED = "healed"  # and seen to be gone


class Journal(Protocol):
    """Where faults are written down, one entry for each member that is hit."""

    async def intend(self, fault: str, injector: Injector, member: Member, before: Before) -> str:
        """Write an entry and return its name once it is safely on disk. OSError when that cannot be had."""
        ...

    async def mark(self, entry: str, mark: Mark) -> None:
        """Say how far it has come. A disk that is full is no reason to raise: the entry stays, and healing is safe."""
        ...


class Unwritten:
    """Keeps nothing: for tests, and wherever nobody else could heal anyway."""

    async def intend(self, fault: str, injector: Injector, member: Member, before: Before) -> str:
        """A name for nothing."""
        return f"{fault}/{member.name}"

    async def mark(self, entry: str, mark: Mark) -> None:
        """Nothing."""
