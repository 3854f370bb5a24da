"""How a cluster stands that did not come back: which step it hangs at, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaosbench.model.observation import NodeState, ProxyState
from chaosbench.model.phases import Step


@dataclass(frozen=True, slots=True)
class Standing:
    """The end of the observations.

    holder_before, holder:  who held Patroni's leader key before the fault, and now
    moved:                  whether the key changed in between
    """

    holder_before: str | None
    holder: str | None
    moved: bool
    nodes: Mapping[str, NodeState]
    proxy: ProxyState

    def of_writes(self) -> tuple[Step, str]:
        """The first step that is not done, of those that writes need."""
        holder, proxy = self.holder, self.proxy
        if holder is None:
            return (
                (Step.ELECTION, "nobody holds the leader key")
                if self.moved
                else (Step.DETECTION, "the DCS did not say who leads")
            )
        if not self.nodes.get(holder, NodeState()).primary:
            if holder == self.holder_before and not self.moved:
                return Step.DETECTION, f"{holder} holds the leader key still, and is no primary"
            return Step.PROMOTION, f"{holder} holds the leader key, and is no primary"
        if not proxy.reachable:
            return Step.PROXY, "Pgpool lets nobody in"
        if not proxy.routes_to(holder):
            return Step.PROXY, f"{holder} leads, and Pgpool takes {proxy.primary or 'nobody'} for the primary"
        return Step.CLIENT, f"Pgpool routes writes to {holder}, and none was acknowledged"

    def of_redundancy(self) -> str:
        """What is missing; writes are there."""
        primaries = [name for name, state in self.nodes.items() if state.primary]
        timelines = {self.nodes[name].timeline for name in primaries}
        behind = [
            name
            for name, state in self.nodes.items()
            if name not in primaries and not (state.streaming and state.timeline in timelines)
        ]
        said = [f"{len(primaries)} nodes are primary"] if len(primaries) != 1 else []
        said += [f"{', '.join(behind)} not streaming on the primary's timeline"] if behind else []
        out = sorted(self.nodes.keys() - self.proxy.up)
        said += [f"{', '.join(out)} not up in Pgpool"] if out else []
        return "; ".join(said) or "Pgpool does not take the primary for one"
