"""One worker's share of a load: what is dealt out to several processes, so that together they are the whole. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """The part of worker ``index`` of ``count`` (from 0): everything is dealt out in turn, like cards."""

    index: int = 0
    count: int = 1

    def of(self, total: int) -> range:
        """Which of so many numbered things (from 0) belong to this share."""
        return range(self.index, total, self.count)

    @property
    def seed(self) -> tuple[str, ...]:
        """What sets this share's random choices apart from every other's; nothing for the whole."""
        return () if self.count == 1 else (f"{self.index}of{self.count}",)


WHOLE = Share()
"""Everything, in one process."""
