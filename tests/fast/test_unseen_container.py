"""A container that runs without its engine knowing: the engine was asked to start it while it was going down."""

from __future__ import annotations

from typing import Any

import pytest

from chaosbench.cluster.deeds import Deeds
from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed, Helper, Member, Role, RunState

MEMBER = Member(name="pg2", role=Role.POSTGRES, container_id="42ee" * 16, state=RunState.EXITED)


class Lost(Deeds):
    """Refuses to start the container until somebody has ended what runs."""

    def __init__(self, refusal: str) -> None:
        self.refusal = refusal
        self.done: list[Any] = []
        self.ended = False

    async def _start(self, member: Member) -> None:
        self.done.append("start")
        if not self.ended:
            raise FaultError(f"docker start {member.name}: {self.refusal}")

    async def assist(self, member: Member, helper: Helper, timeout: float = 20.0) -> Executed:
        self.done.append(helper)
        self.ended = True
        return Executed(0, "")


async def test_what_runs_unseen_is_ended_and_the_container_started():
    engine = Lost("id already in use")
    await engine.start(MEMBER)
    first, helper, last = engine.done
    assert (first, last) == ("start", "start")
    assert helper.host and helper.capabilities == ("KILL",)
    assert helper.command[-1] == MEMBER.container_id, "nothing but this container's processes is meant"


async def test_any_other_refusal_is_told():
    engine = Lost("no such image")
    with pytest.raises(FaultError, match="no such image"):
        await engine.start(MEMBER)
    assert engine.done == ["start"]
