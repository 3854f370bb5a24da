"""What the observers saw of a cluster, stamped with the run's clock. Only changes are kept, so a long run stays small.

A change is known to lie in ``(after_ns, at_ns]``: at ``after_ns`` the earlier
state was still seen, at ``at_ns`` the new one was. The report uses ``at_ns``;
the difference is the resolution of that very stamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Patroni's leader key: who holds it from now on; None when it was deleted or ran out.

    revision:  etcd's own count of the change
    member:    the etcd member that told it first
    """

    at_ns: int
    after_ns: int
    holder: str | None
    revision: int
    member: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """One PostgreSQL node as it answers itself; the default is one that does not answer.

    primary:    it is out of recovery
    timeline:   of a primary, the one it writes; of a standby, the one it receives
    streaming:  a standby whose WAL receiver streams
    """

    reachable: bool = False
    primary: bool = False
    timeline: int | None = None
    streaming: bool = False


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """What a node said to one question. One that said nothing is no primary, and its address is None.

    address:  its own, inside its network
    """

    node: str
    asked_ns: int
    answered_ns: int
    primary: bool = False
    address: str | None = None


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node answers otherwise than before."""

    at_ns: int
    after_ns: int
    node: str
    state: NodeState


@dataclass(frozen=True, slots=True)
class ProxyState:
    """Pgpool as it answers a client; the default is one that lets nobody in. ``up`` names the backends in use."""

    reachable: bool = False
    primary: str | None = None
    up: frozenset[str] = frozenset()

    def routes_to(self, node: str) -> bool:
        """Whether a client's write would go to this node."""
        return self.reachable and self.primary == node and node in self.up


@dataclass(frozen=True, slots=True)
class ProxyChange:
    """Pgpool answers otherwise than before."""

    at_ns: int
    after_ns: int
    state: ProxyState


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Something the container engine did: ``kill``, ``die``, ``start``, ``pause``, ``unpause``.

    at_ns:      when it was heard of
    engine_ns:  the engine's own time of it, mapped to the run's clock
    """

    at_ns: int
    engine_ns: int
    member: str
    action: str


@dataclass(frozen=True, slots=True)
class DcsView:
    """The DCS just before a fault.

    asked_ns:     when it was asked
    lease_ttl_s:  whole seconds that the leader's lease had left (etcd rounds down); None when nobody told
    leader:       the etcd member that led; None when nobody told
    """

    asked_ns: int
    lease_ttl_s: int | None = None
    leader: str | None = None


@dataclass(frozen=True, slots=True)
class Observations:
    """All that was seen, each in order of time. ``nodes_watched`` are the PostgreSQL members' names.

    requests:  when somebody asked Patroni for a switchover (its ``failover`` key was written)
    failed:    sources that could not observe, and why
    """

    nodes_watched: tuple[str, ...] = ()
    keys: tuple[KeyChange, ...] = ()
    requests: tuple[int, ...] = ()
    nodes: tuple[NodeChange, ...] = ()
    proxy: tuple[ProxyChange, ...] = ()
    engine: tuple[EngineEvent, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


def whole(nodes: Mapping[str, NodeState], proxy: ProxyState) -> bool:
    """One primary, every other node streaming on its timeline; Pgpool has all of them up and writes to the primary."""
    primaries = [name for name, state in nodes.items() if state.reachable and state.primary]
    if len(primaries) != 1:
        return False
    timeline = nodes[primaries[0]].timeline
    standbys = [state for name, state in nodes.items() if name != primaries[0]]
    return (
        all(state.reachable and state.streaming and state.timeline == timeline for state in standbys)
        and proxy.routes_to(primaries[0])
        and proxy.up >= nodes.keys()
    )
