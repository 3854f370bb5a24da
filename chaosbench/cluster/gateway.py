"""etcd's JSON gateway: the few calls that chaosbench makes of it.

Keys and values travel in base64, 64-bit numbers as text, and what is zero is left out.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from chaosbench.errors import UndeterminedError
from chaosbench.model.cluster import Address, Member

_NO_LIMIT = aiohttp.ClientTimeout(total=None)


class EtcdSilent(UndeterminedError):
    """A member refused, broke off or did not answer in time."""


class Compacted(UndeterminedError):
    """The revision to resume from is gone; ``revision`` is the oldest that is left."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"etcd has forgotten everything before revision {revision}")
        self.revision = revision


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as etcd has it; ``value`` is None for one that was deleted. ``lease`` is 0 for none."""

    key: str
    value: str | None
    revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """The answer to a range: the keys, and etcd's revision when it answered."""

    revision: int
    keys: tuple[KeyValue, ...]


class Gateway:
    """One etcd member. Every call ends within its timeout, in seconds, and raises EtcdSilent when it fails."""

    def __init__(self, http: aiohttp.ClientSession, address: Address) -> None:
        self._http = http
        self._url = f"http://{address}"

    async def range(self, first: str, past: str, timeout: float, *, keys_only: bool = False) -> Range:
        """Keys from ``first`` up to, not including, ``past``, as this member has them: it needs no quorum to answer."""
        body = {"key": _encoded(first), "range_end": _encoded(past), "serializable": True, "keys_only": keys_only}
        said = await self._post("/v3/kv/range", body, timeout)
        return Range(_number(said["header"], "revision"), tuple(_key_value(kv) for kv in said.get("kvs", ())))

    async def time_to_live(self, lease: int, timeout: float) -> int:
        """Whole seconds that a lease has left, rounded down by etcd; -1 for one that is gone."""
        return _number(await self._post("/v3/lease/timetolive", {"ID": str(lease)}, timeout), "TTL")

    async def member_and_leader(self, timeout: float) -> tuple[int, int]:
        """The member's own id, and the id of the member that leads (0 for none)."""
        said = await self._post("/v3/maintenance/status", {}, timeout)
        return _number(said["header"], "member_id"), _number(said, "leader")

    async def watch(
        self, first: str, past: str, revision: int, timeout: float
    ) -> AsyncGenerator[tuple[KeyValue, ...], None]:
        """Changes from ``revision`` on. First comes an empty tuple: the watch is in place.

        Only getting there is bounded by ``timeout``; after that it may be silent for as
        long as nothing changes, or as the member is frozen: watch for that elsewhere.
        """
        create = {"key": _encoded(first), "range_end": _encoded(past), "start_revision": str(revision)}
        try:
            async with asyncio.timeout(timeout) as patience:
                async with self._http.post(
                    f"{self._url}/v3/watch", json={"create_request": create}, timeout=_NO_LIMIT
                ) as response:
                    if response.status != 200:
                        raise EtcdSilent(f"{self._url}/v3/watch answered {response.status}")
                    async for line in response.content:
                        patience.reschedule(None)
                        yield _events(json.loads(line))
        except TimeoutError:
            raise EtcdSilent(f"{self._url} did not begin to watch within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            raise EtcdSilent(f"{self._url}: {error or type(error).__name__}") from error
        raise EtcdSilent(f"{self._url} ended the watch")

    async def _post(self, path: str, body: Mapping[str, object], timeout: float) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(timeout), self._http.post(self._url + path, json=body) as response:
                said: Mapping[str, Any] = await response.json()
                if response.status != 200:
                    raise EtcdSilent(f"{self._url}{path} answered {response.status}: {said.get('error', '')}")
                return said
        except TimeoutError:
            raise EtcdSilent(f"{self._url} did not answer within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EtcdSilent(f"{self._url}: {error or type(error).__name__}") from error


async def leader_of(http: aiohttp.ClientSession, members: Sequence[Member], timeout: float) -> str | None:
    """The member that says it leads; None when none does within the timeout, or several do."""
    asked = [member for member in members if "etcd" in member.ports]
    answers = await asyncio.gather(
        *(Gateway(http, member.ports["etcd"]).member_and_leader(timeout) for member in asked), return_exceptions=True
    )
    leaders: list[str] = []
    for member, answer in zip(asked, answers, strict=True):
        if isinstance(answer, EtcdSilent):
            continue
        if isinstance(answer, BaseException):
            raise answer
        if answer[0] == answer[1]:
            leaders.append(member.name)
    return leaders[0] if len(leaders) == 1 else None


def _events(said: Mapping[str, Any]) -> tuple[KeyValue, ...]:
    if "error" in said:
        raise EtcdSilent(f"etcd broke the watch off: {said['error']}")
    result = said["result"]
    if "compact_revision" in result:
        raise Compacted(_number(result, "compact_revision"))
    if result.get("canceled"):
        raise EtcdSilent(f"etcd refused the watch: {result.get('cancel_reason', '')}")
    return tuple(_key_value(event["kv"], event.get("type") == "DELETE") for event in result.get("events", ()))


def _key_value(kv: Mapping[str, Any], deleted: bool = False) -> KeyValue:
    value = None if deleted else _decoded(kv.get("value", ""))
    return KeyValue(_decoded(kv["key"]), value, _number(kv, "mod_revision"), _number(kv, "lease"))


def _number(said: Mapping[str, Any], name: str) -> int:
    return int(said.get(name, 0))


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return b64decode(text).decode(errors="replace")
