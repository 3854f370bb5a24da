"""The blast radius: how much of the cluster may be disabled at a time. Pure, over a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaosbench.injectors import Injector
from chaosbench.model.cluster import Member, NodeView, Role, RunState, Snapshot
from chaosbench.model.faults import Permits

_SERVING = {"running", "streaming", "in archive recovery"}
"""What Patroni says of a node that takes part; one that starts or stops is out as well."""


def excess(
    injector: Injector, members: Sequence[Member], snapshot: Snapshot, disabled: Collection[str], permits: Permits
) -> str | None:
    """Why disabling these members too would be more than is allowed; None when it is not.

    disabled:  names of the members that faults in place have disabled; those that are down anyway are added
    """
    if not injector.disables:
        return None
    out = set(disabled) | {member.name for member in snapshot.members if is_down(member, snapshot)}
    hit = {member.name for member in members}
    nodes, etcds = _of(Role.POSTGRES, snapshot), _of(Role.ETCD, snapshot)
    if hit & nodes and not permits.multi and len((hit | out) & nodes) > 1:
        names = ", ".join(sorted((hit | out) & nodes))
        return f"{names} would be disabled at once: more than one PostgreSQL node needs 'allow_multi: true'"
    minority = (len(etcds) - 1) // 2
    if hit & etcds and not permits.quorum_loss and len((hit | out) & etcds) > minority:
        names = ", ".join(sorted((hit | out) & etcds))
        return f"{names} of {len(etcds)} etcd would be disabled: more than a minority needs 'allow_quorum_loss: true'"
    return None


def is_down(member: Member, snapshot: Snapshot) -> bool:
    """Whether a member is out of service now, for whatever reason."""
    if member.state is not RunState.RUNNING:
        return True
    if member.role is not Role.POSTGRES:
        return False
    return snapshot.nodes.get(member.name, NodeView()).state not in _SERVING


def _of(role: Role, snapshot: Snapshot) -> set[str]:
    return {member.name for member in snapshot.of(role)}
