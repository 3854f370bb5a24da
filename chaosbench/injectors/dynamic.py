"""Patroni's dynamic configuration, changed and put back key by key.

It is one for the whole cluster and lies in the DCS, so any member can be asked.
A key that was absent is put back as absent, which Patroni spells null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.model.cluster import Member, Role, RunState

Settings = Mapping[str, Any]


async def read(cluster: Cluster, member: Member) -> dict[str, Any]:
    """The whole configuration now. FaultError when no member tells it."""
    text = await _ask(cluster, member, "GET", None)
    found: dict[str, Any] = json.loads(text)
    return found


async def patch(cluster: Cluster, member: Member, settings: Settings) -> None:
    """Lay ``settings`` over the configuration; null takes a key away. InjectionError in Patroni's words if refused."""
    await _ask(cluster, member, "PATCH", settings)


def earlier(wanted: Settings, now: Settings) -> dict[str, Any]:
    """What would turn a configuration that ``wanted`` was laid over back into ``now``. Pure."""
    return {key: _earlier(value, now.get(key)) for key, value in wanted.items()}


def _earlier(wanted: Any, now: Any) -> Any:
    if isinstance(wanted, Mapping) and isinstance(now, Mapping):
        return earlier(wanted, now)
    return now


def differs(settings: Settings, now: Settings) -> bool:
    """Whether laying ``settings`` over ``now`` would change anything. Pure."""
    for key, value in settings.items():
        other = now.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            if differs(value, other):
                return True
        elif value != other:
            return True
    return False


def by_hand(member: Member, settings: Settings) -> str:
    """A shell command that lays ``settings`` over the configuration."""
    text = json.dumps(settings).replace("'", "'\\''")
    return f"echo '{text}' | docker exec -i {member.container_id[:12]} patronictl edit-config --force --apply -"


async def _ask(cluster: Cluster, member: Member, method: str, body: Settings | None) -> str:
    """The member itself, or else any other that runs: what the first of them answers."""
    trouble = ""
    others = [other for other in (await cluster.snapshot()).of(Role.POSTGRES) if other.name != member.name]
    for one in (member, *others):
        if await cluster.state(one) is not RunState.RUNNING:
            continue
        try:
            status, text = await cluster.patroni(one, method, "/config", body)
        except FaultError as error:
            trouble = str(error)
            continue
        if status == 200:
            return text
        trouble = f"Patroni on {one.name} answered {status}: {text}"
        if status < 500:
            raise InjectionError(trouble)
    raise FaultError(trouble or "no PostgreSQL member runs, so nobody can be asked for the configuration")
