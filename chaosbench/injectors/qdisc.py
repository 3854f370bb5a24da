"""One queueing discipline at the root of each of a member's interfaces, told by its handle from any other's.

It acts on what the member sends, to whomever. Where an interface has one that
somebody chose, it is left alone, and the fault refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from chaosbench.cluster import Cluster
from chaosbench.errors import InjectionError
from chaosbench.injectors import beside
from chaosbench.model.cluster import Member
from chaosbench.model.faults import Before

_KERNELS_OWN = "0:"
"""The handle of what the kernel put there by itself, and puts there again when another is taken away."""


async def look(cluster: Cluster, member: Member) -> Before:
    """The member's interfaces, and a handle for what is to come; InjectionError when one is not free."""
    shown = await cluster.assist(member, beside.helper("tc -j qdisc show"))
    if not shown.ok:
        raise InjectionError(f"the interfaces of {member.name} cannot be seen: {shown.output.strip()}")
    interfaces = [one for one in json.loads(shown.output or "[]") if one["dev"] != "lo"]
    for one in interfaces:
        if one["handle"] != _KERNELS_OWN:
            raise InjectionError(
                f"{one['dev']} of {member.name} has a queueing discipline already ({one['kind']} {one['handle']})"
            )
    if not interfaces:
        raise InjectionError(f"{member.name} has no network interface now")
    token = beside.token()
    return {
        "token": token,
        "handle": f"{0x1000 + int(token, 16) % 0x7000:x}:",
        "interfaces": sorted({one["dev"] for one in interfaces}),
        "started": await beside.since(cluster, member),
    }


def change(before: Before, discipline: str) -> beside.Change:
    """As scripts: the ``discipline`` in tc's words, on every interface."""
    handle, interfaces = before["handle"], before["interfaces"]
    add = [f"tc qdisc add dev {dev} root handle {handle} {discipline} || exit 1" for dev in interfaces]
    undo = [_undo(dev, handle) for dev in interfaces]
    return beside.Change(apply="\n".join(add), undo=" && ".join(undo), shows=_shows(interfaces, handle))


def _undo(dev: str, handle: str) -> str:
    shown = f"shown=$(tc qdisc show dev {dev} root)"
    return f'{shown} && case "$shown" in *" {handle} "*) tc qdisc del dev {dev} root handle {handle} ;; esac'


def _shows(interfaces: Sequence[str], handle: str) -> str:
    """There as long as one interface has it: healed is only what has none."""
    lines = [
        f'shown=$(tc qdisc show dev {dev} root) || exit 2; case "$shown" in *" {handle} "*) exit 0 ;; esac'
        for dev in interfaces
    ]
    return "; ".join([*lines, "exit 1"])
