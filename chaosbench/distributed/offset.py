"""How far another machine's clock is from ours: measured by exchanges, as NTP does. Pure.

We send a question at ``sent``, the other side stamps it ``theirs``, the answer
is here at ``received``. Their clock then read ``theirs`` at some instant
between the two, so the offset is ``theirs - (sent + received) / 2``, wrong by
at most half the round trip, however unequal the two ways are. The smallest
round trip says most. As clocks drift, an exchange is worth less with age.
"""

from __future__ import annotations

from dataclasses import dataclass

DRIFT_PPM = 15
"""Two clocks part by this much at most: NTP's own assumption of a clock that it does not correct at the moment."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Their clock reads ours plus ``offset_ns``, give or take ``uncertainty_ns``."""

    offset_ns: int
    uncertainty_ns: int

    def ours(self, theirs_ns: int) -> int:
        """A stamp of theirs on our clock."""
        return theirs_ns - self.offset_ns

    def theirs(self, ours_ns: int) -> int:
        """A stamp of ours on their clock."""
        return ours_ns + self.offset_ns


class Alignment:
    """The best of the exchanges so far.

    worst_ns:  the greatest uncertainty that :meth:`at` has told
    """

    def __init__(self) -> None:
        self._offset_ns = 0
        self._half_trip_ns: int | None = None
        self._measured_ns = 0
        self.worst_ns = 0

    def exchange(self, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """One question and its answer; all stamps in the order in which the exchanges ended."""
        half_trip_ns = (received_ns - sent_ns + 1) // 2
        if self._half_trip_ns is None or half_trip_ns <= self._uncertainty(received_ns):
            self._offset_ns = theirs_ns - (sent_ns + received_ns) // 2
            self._half_trip_ns, self._measured_ns = half_trip_ns, received_ns

    def at(self, now_ns: int) -> Offset:
        """What is known now. ValueError before the first exchange."""
        uncertainty_ns = self._uncertainty(now_ns)
        self.worst_ns = max(self.worst_ns, uncertainty_ns)
        return Offset(self._offset_ns, uncertainty_ns)

    def _uncertainty(self, now_ns: int) -> int:
        if self._half_trip_ns is None:
            raise ValueError("no exchange yet")
        # The odd nanosecond: the middle of a trip of odd length is rounded.
        return self._half_trip_ns + 1 + max(0, now_ns - self._measured_ns) * DRIFT_PPM // 1_000_000
