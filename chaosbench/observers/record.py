"""What the observers have told so far."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import TypeVar

from chaosbench.model.observation import (
    EngineEvent,
    KeyChange,
    NodeAnswer,
    NodeChange,
    NodeState,
    ProxyChange,
    ProxyState,
    whole,
)
from chaosbench.primaries import DoublePrimary, Primaries


def _nobody(*heard: object) -> None:
    """Nobody wants to hear it."""


EPISODES = 1000
"""Episodes of two primaries that are kept."""

C = TypeVar("C", KeyChange, ProxyChange)


def _from(changes: list[C], before_ns: int) -> list[C]:
    """The changes from then on, and the last one before."""
    first = bisect_left(changes, before_ns, key=lambda change: change.at_ns)
    return changes[max(0, first - 1) :]


class Record:
    """What was seen so far, as the observers tell it.

    doubled:  called with every episode of two primaries that begins
    named:    called with a node's address and its name, whenever the node tells it
    """

    def __init__(self) -> None:
        self.keys: list[KeyChange] = []
        self.requests: list[int] = []
        self.nodes: list[NodeChange] = []
        self.proxy: list[ProxyChange] = []
        self.engine: list[EngineEvent] = []
        self.node_states: dict[str, NodeState] = {}
        self.primaries = Primaries()
        self.doubled: Callable[[DoublePrimary], None] = _nobody
        self.named: Callable[[str, str], None] = _nobody

    def node(self, change: NodeChange) -> None:
        """A node answers otherwise."""
        self.nodes.append(change)
        self.node_states[change.node] = change.state

    def forget(self, before_ns: int) -> None:
        """Keep of what was seen before then no more than how things stood."""
        self.keys[:] = _from(self.keys, before_ns)
        self.proxy[:] = _from(self.proxy, before_ns)
        standing = {change.node: change for change in self.nodes if change.at_ns < before_ns}
        self.nodes[:] = [*standing.values(), *(change for change in self.nodes if change.at_ns >= before_ns)]
        self.nodes.sort(key=lambda change: change.at_ns)
        self.requests[:] = [at_ns for at_ns in self.requests if at_ns >= before_ns]
        self.engine[:] = [event for event in self.engine if event.at_ns >= before_ns]
        del self.primaries.episodes[:-EPISODES]

    def answered(self, answer: NodeAnswer) -> None:
        """A node answered, or did not."""
        if answer.address is not None:
            self.named(answer.address, answer.node)
        begun = self.primaries.saw(answer.node, answer.asked_ns, answer.answered_ns, primary=answer.primary)
        if begun is not None:
            self.doubled(begun)

    @property
    def doubtful(self) -> bool:
        """Whether more than one node said last that it is a primary."""
        return self.primaries.suspicious

    @property
    def whole(self) -> bool:
        """Whether redundancy is there, by the last samples."""
        return whole(self.node_states, self.proxy[-1].state if self.proxy else ProxyState())
