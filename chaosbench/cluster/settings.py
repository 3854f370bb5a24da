"""What the parts of a cluster are set to: Patroni's and Pgpool's settings, the containers' limits, versions.

Names are dotted, ``patroni.ttl`` or ``limits.pg1.memory``, so that two runs can be laid side by side. No password is
among them, nor what is different in every lab without meaning anything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from chaosbench.model.cluster import Address

_SECRET = ("password", "passwd", "authkey", "secret", "conninfo", "pgpass", "recovery_1st_stage", "key_file")
_SECONDS = 2.0
_CPU = 1_000_000_000


def is_secret(name: str) -> bool:
    """Whether a setting of this name could give a password away."""
    return any(word in name.lower() for word in _SECRET)


def flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    """Every leaf of nested settings under its dotted name; what could be a secret is left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(f"{prefix}.{key}", inner)
    elif value is not None and not is_secret(prefix):
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def limits(member: str, host_config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A container's limits as the engine tells them; one that is not limited says so."""
    memory, cpus = host_config.get("Memory") or 0, (host_config.get("NanoCpus") or 0) / _CPU
    if not cpus and host_config.get("CpuQuota", 0) > 0:
        cpus = host_config["CpuQuota"] / (host_config.get("CpuPeriod") or 100_000)
    yield f"limits.{member}.cpus", f"{cpus:g}" if cpus else "none"
    yield f"limits.{member}.memory", f"{memory / 2**20:g} MiB" if memory else "none"


async def of_patroni(http: aiohttp.ClientSession, address: Address) -> dict[str, str]:
    """Patroni's version and its dynamic configuration; empty when it does not answer."""
    said = await _json(http, f"http://{address}/patroni")
    found = dict(flat("patroni", await _json(http, f"http://{address}/config")))
    version = said.get("patroni", {}).get("version")
    return found | ({"version.patroni": str(version)} if version else {})


async def of_etcd(http: aiohttp.ClientSession, address: Address) -> dict[str, str]:
    """Etcd's version; empty when it does not answer."""
    version = (await _json(http, f"http://{address}/version")).get("etcdserver")
    return {"version.etcd": str(version)} if version else {}


async def _json(http: aiohttp.ClientSession, url: str) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(_SECONDS), http.get(url) as response:
            found = await response.json(content_type=None)
    except (TimeoutError, aiohttp.ClientError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
