"""The page's time series: a point a second, kept in tiers. Old seconds become coarser: its size is bounded. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

N = TypeVar("N", int, float)
Use = tuple[float | None, int | None]
"""CPU in cores, memory in bytes."""

FINEST = 600
"""Points kept as they came: ten minutes."""

COARSER = 120
"""Points in each further tier."""

FACTOR = 4
"""How many points become one when they leave a tier."""

TIERS = 7
"""Further tiers: the last reaches back 22 days. What leaves it is forgotten."""


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in ``seconds`` until ``at_ms`` (milliseconds since the epoch). None: nothing was measured.

    ``offered``, ``ok`` and ``errors`` (by reason) are per second; percentiles are response times of successes in ms.
    """

    at_ms: int
    seconds: float = 1.0
    offered: float | None = None
    ok: float | None = None
    errors: Mapping[str, float] = field(default_factory=dict)
    percentiles: tuple[float | None, ...] = (None, None, None, None)
    backlog: int | None = None
    in_flight: int | None = None
    containers: Mapping[str, Use] = field(default_factory=dict)

    def text(self) -> str:
        """The point as JSON: an array in the order of the fields."""
        row = (
            self.at_ms,
            round(self.seconds, 3),
            _short(self.offered),
            _short(self.ok),
            {reason: _short(rate) for reason, rate in self.errors.items()},
            self.percentiles,
            self.backlog,
            self.in_flight,
            self.containers,
        )
        return json.dumps(row, separators=(",", ":"))


def merged(points: Sequence[Point]) -> Point:
    """Several points as one. Rates are averaged over time; of everything else the worst second stays visible."""
    seconds = sum(point.seconds for point in points)
    measured = [point for point in points if point.ok is not None]
    weight = sum(point.seconds for point in measured)
    errors: Counter[str] = Counter()
    for point in measured:
        for reason, rate in point.errors.items():
            errors[reason] += rate * point.seconds / weight  # type: ignore[assignment]  # Counter adds floats as well
    return Point(
        at_ms=points[-1].at_ms,
        seconds=seconds,
        offered=_mean(measured, [point.offered for point in measured], weight),
        ok=_mean(measured, [point.ok for point in measured], weight),
        errors=dict(errors),
        percentiles=tuple(_most(column) for column in zip(*(point.percentiles for point in points), strict=True)),
        backlog=_most(point.backlog for point in points),
        in_flight=_most(point.in_flight for point in points),
        containers=_containers(points),
    )


def _mean(points: Sequence[Point], values: Sequence[float | None], weight: float) -> float | None:
    if not weight:
        return None
    return sum((value or 0.0) * point.seconds for point, value in zip(points, values, strict=True)) / weight


def _most(values: Iterable[N | None]) -> N | None:
    return max((value for value in values if value is not None), default=None)


def _containers(points: Sequence[Point]) -> dict[str, Use]:
    names = {name: None for point in points for name in point.containers}
    result: dict[str, Use] = {}
    for name in names:
        uses = [point.containers[name] for point in points if name in point.containers]
        result[name] = (_most(cpu for cpu, _ in uses), _most(memory for _, memory in uses))
    return result


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


@dataclass(slots=True)
class Kept:
    """A point and its JSON, made when it is first asked for: nobody may be looking."""

    point: Point
    _text: str = ""

    @property
    def encoded(self) -> bool:
        """Whether its JSON is there already."""
        return bool(self._text)

    @property
    def text(self) -> str:
        """Its JSON."""
        if not self._text:
            self._text = self.point.text()
        return self._text


class History:
    """Points by age: the last ``FINEST`` as they came, then ever coarser ones. Adding one merges at most a few."""

    def __init__(self) -> None:
        self._tiers: list[list[Kept]] = [[] for _ in range(TIERS + 1)]

    def add(self, point: Point) -> Kept:
        """Add the newest point."""
        kept = Kept(point)
        self._tiers[0].append(kept)
        for tier, limit in enumerate((FINEST, *[COARSER] * TIERS)):
            if len(self._tiers[tier]) < limit + FACTOR:
                break
            oldest, self._tiers[tier] = self._tiers[tier][:FACTOR], self._tiers[tier][FACTOR:]
            if tier < TIERS:
                self._tiers[tier + 1].append(Kept(merged([one.point for one in oldest])))
        return kept

    def clear(self) -> None:
        """Forget all."""
        for tier in self._tiers:
            tier.clear()

    def __iter__(self) -> Iterator[Kept]:
        """Oldest first."""
        for tier in reversed(self._tiers):
            yield from tier

    def __len__(self) -> int:
        return sum(map(len, self._tiers))
