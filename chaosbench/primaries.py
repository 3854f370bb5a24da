"""Two nodes out of recovery at once, proven from answers that each took some time. Pure.

A node that answers twice in a row that it is a primary was one from the end of
the first answer to the beginning of the second question. Where such stretches
of two nodes share an instant, there were two primaries at that instant. So a
switchover that falls between two questions is never taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class DoublePrimary:
    """Two nodes (in order of their names) that were out of recovery from ``from_ns`` to ``to_ns``, at least."""

    nodes: tuple[str, str]
    from_ns: int
    to_ns: int


@dataclass(slots=True)
class _Stretch:
    """Proven from ``from_ns`` (answered) to ``to_ns`` (asked again); empty until the second answer."""

    from_ns: int
    to_ns: int


class Primaries:
    """Fed with every answer; keeps the episodes that are proven."""

    def __init__(self) -> None:
        self._stretches: dict[str, _Stretch] = {}
        self.episodes: list[DoublePrimary] = []

    @property
    def suspicious(self) -> bool:
        """Whether more than one node's last answer was that it is a primary: worth asking again at once."""
        return len(self._stretches) > 1

    def saw(self, node: str, asked_ns: int, answered_ns: int, *, primary: bool) -> DoublePrimary | None:
        """One answer, or (``primary`` false) its absence. Returns an episode when this answer begins one."""
        stretch = self._stretches.get(node)
        if not primary:
            self._stretches.pop(node, None)
            return None
        if stretch is None:
            self._stretches[node] = _Stretch(answered_ns, answered_ns)
            return None
        stretch.to_ns = max(stretch.to_ns, asked_ns)
        begun = None
        for other, theirs in self._stretches.items():
            if other != node:
                begun = self._shared(node, stretch, other, theirs) or begun
        return begun

    def _shared(self, node: str, one: _Stretch, other: str, two: _Stretch) -> DoublePrimary | None:
        from_ns, to_ns = max(one.from_ns, two.from_ns), min(one.to_ns, two.to_ns)
        if from_ns > to_ns or one.from_ns == one.to_ns or two.from_ns == two.to_ns:
            return None
        nodes = (min(node, other), max(node, other))
        known = next((e for e in reversed(self.episodes) if e.nodes == nodes and e.from_ns == from_ns), None)
        if known is not None:
            known.to_ns = to_ns
            return None
        self.episodes.append(DoublePrimary(nodes, from_ns, to_ns))
        return self.episodes[-1]
