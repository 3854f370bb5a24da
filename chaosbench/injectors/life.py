"""A fault's life: when it was put in place, on which members, and what became of it on each."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaosbench.errors import HealError
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Before


@dataclass(slots=True)
class Hit:
    """One member of an injection, in the run's nanoseconds.

    before:      its state before, as far as healing needs it
    entry:       its place in the journal
    healed_ns:   None while it is not healed
    heal_error:  why it could not be healed
    lost_ns:     when it was found that the fault is not there any more; None when it stayed
    """

    member: Member
    before: Before = field(default_factory=dict)
    entry: str = ""
    healed_ns: int | None = None
    heal_error: HealError | None = None
    lost_ns: int | None = None


@dataclass(slots=True)
class Injection:
    """One fault's life, in the run's nanoseconds. T0 lies between the first two stamps.

    injecting_ns:  just before the injector was called
    injected_ns:   just after it returned for the last member; None when it did not return well
    healed_ns:     just after the last member was healed; None when one is not (yet)
    """

    fault: str
    kind: str
    hits: tuple[Hit, ...]
    injecting_ns: int = 0
    injected_ns: int | None = None

    @property
    def healed_ns(self) -> int | None:
        """When the last member was healed; None when one is not."""
        healed = [hit.healed_ns for hit in self.hits if hit.healed_ns is not None]
        return max(healed) if len(healed) == len(self.hits) else None

    @property
    def heal_error(self) -> HealError | None:
        """Why a member could not be healed; the first of several."""
        return next((hit.heal_error for hit in self.hits if hit.heal_error is not None), None)

    @property
    def lost_ns(self) -> int | None:
        """When the fault was first found missing on a member."""
        return min((hit.lost_ns for hit in self.hits if hit.lost_ns is not None), default=None)

    @property
    def names(self) -> str:
        """The members' names, as in ``pg1, pg2``."""
        return ", ".join(hit.member.name for hit in self.hits)
