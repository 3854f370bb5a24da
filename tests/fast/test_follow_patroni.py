"""The reconciler beside Pgpool, round by round, against a Pgpool that keeps its books as the real one does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "infra" / "pgpool" / "follow_patroni.py"
NAMES = ["pg1", "pg2", "pg3"]
LEADER = 0


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The program as a module, with its own directory."""
    spec = spec_from_file_location("follow_patroni", SOURCE)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "follow_patroni", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RUN", tmp_path)
    return module


class Pgpool:
    """Its nodes, and the status file, which is not written when the last node goes down."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.up = [True] * len(NAMES)
        self.primary: int | None = None
        self.orders: list[str] = []
        self.carries_out = True
        self.write()

    def write(self) -> None:
        if any(self.up):
            (self.run / "pgpool_status").write_text("".join("up\n" if up else "down\n" for up in self.up))

    def status_and_role(self, node: int) -> tuple[str, str]:
        return "up" if self.up[node] else "down", "primary" if self.primary == node else "standby"

    def take(self, step: Any) -> None:
        self.orders.append(f"{step.action} {step.node}")
        if not self.carries_out:
            return
        if step.action == "promote":
            if not self.up[step.node]:
                return  # accepted on the wire, refused in the log
            self.primary, self.up = step.node, [node == step.node for node in range(len(NAMES))]
        else:
            self.up[step.node] = step.action == "attach"
            self.primary = LEADER if self.up[LEADER] else None  # it searches among the nodes that are up
        self.write()

    def lose_all(self) -> None:
        """The health check takes the nodes out one after the other."""
        for node in (1, 2, 0):
            self.up[node] = False
            self.write()
        self.primary = None


class Rounds:
    """The reconciler, a quarter of a second a round, with pg1 the leader."""

    def __init__(self, follow: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(follow.time, "monotonic", lambda: self.now)
        self.follow = follow
        self.pgpool = Pgpool(follow.RUN)
        self.reconciler = follow.Reconciler(NAMES, self.pgpool)
        for node, prober in enumerate(self.reconciler.probers):
            prober.member = follow.Member(prober.member.name, leads=node == LEADER, streams=node != LEADER, timeline=1)

    def go(self, seconds: float) -> Iterator[bool]:
        for _ in range(round(seconds / 0.25)):
            self.now += 0.25
            for prober in self.reconciler.probers:
                prober.member = replace(prober.member, seen=self.now, asked=self.now)
            yield self.reconciler.round()

    def agree_within(self, seconds: float) -> bool:
        return any(self.go(seconds))


@pytest.fixture
def rounds(follow: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Rounds:
    return Rounds(follow, monkeypatch)


def test_a_leader_becomes_primary_and_the_others_come_in(rounds: Rounds):
    assert rounds.agree_within(3)
    assert rounds.pgpool.orders == ["promote 0", "attach 1", "attach 2"]


def test_every_node_is_lost_between_the_look_and_the_order(rounds: Rounds):
    """As on a machine so busy that a whole new lab takes its time: the promote is accepted, and then refused."""
    take = rounds.pgpool.take

    def lost_at_the_first(step: Any) -> None:
        rounds.pgpool.take = take  # type: ignore[method-assign]
        rounds.pgpool.lose_all()
        take(step)

    rounds.pgpool.take = lost_at_the_first  # type: ignore[method-assign]
    assert rounds.agree_within(5)
    assert rounds.pgpool.orders == ["promote 0", "attach 0", "attach 1", "attach 2"]


def test_every_node_is_lost_later_on(rounds: Rounds):
    assert rounds.agree_within(3)
    list(rounds.go(20))
    rounds.pgpool.lose_all()
    assert rounds.agree_within(15), "the file still says that pg1 is up; Pgpool itself is asked every ten seconds"


def test_an_order_to_promote_that_waits_is_not_given_again(rounds: Rounds):
    """Each one that is carried out ends every session: a busy Pgpool would end them as often as it was asked."""
    rounds.pgpool.carries_out = False
    assert not rounds.agree_within(15)
    assert rounds.pgpool.orders == ["promote 0"]
    list(rounds.go(2))
    assert rounds.pgpool.orders == ["promote 0"] * 2
