"""What the observers have told so far."""

from __future__ import annotations

from collections.abc import Callable

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
