"""The cluster's map: a snapshot as the page draws it. Pure."""

from __future__ import annotations

from typing import Any

from chaosbench.model.cluster import Member, NodeView, Role, Snapshot


def cluster_map(snapshot: Snapshot) -> dict[str, Any]:
    """Every member with its container's state; nodes with role, timeline and lag; Pgpools with their view of the nodes.

    ``lag_bytes`` is how much WAL of the leader's a replica has not replayed; None without a leader, or when a node
    stays silent. The two positions are read within the same second, not at the same instant.
    """
    leader = snapshot.leader
    head = snapshot.nodes[leader.name].wal_position if leader is not None else None
    return {
        "leader": leader.name if leader is not None else None,
        "members": [_member(member, snapshot, head) for member in snapshot.members],
        "problems": list(snapshot.problems()),
    }


def _member(member: Member, snapshot: Snapshot, head: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": member.name, "role": member.role.value, "state": member.state.value}
    if member.role is Role.POSTGRES:
        row["node"] = _node(snapshot.nodes.get(member.name, NodeView()), head)
    elif member.role is Role.PGPOOL:
        backends = snapshot.backends.get(member.name)
        row["answers"] = backends is not None
        row["backends"] = {name: [view.status, view.role] for name, view in (backends or {}).items()}
    return row


def _node(node: NodeView, head: int | None) -> dict[str, Any]:
    lag = None
    if node.role == "replica" and head is not None and node.wal_position is not None:
        lag = max(0, head - node.wal_position)
    return {
        "role": node.role,
        "state": node.state,
        "timeline": node.timeline,
        "lag_bytes": lag,
        "dcs": node.dcs_reachable,
    }
