"""A fault's T0 to T7 from what was observed, the phases between them, and the path that the cluster took. Pure.

T0 fault injected; T1 first client failure; T2 leader key gone; T3 new leader key; T4 promoted: a node out of recovery
on a new timeline; T5 Pgpool routes writes to it; T6 first acknowledged write intended after T1; T7 redundancy back.

What did not happen is None and so is every phase that would end or begin
there. Where several elections were needed, T3, T4 and T5 are those of the one
that the clients came back on; T2 is always the first loss of the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chaosbench.model.observation import (
    KeyChange,
    NodeChange,
    NodeState,
    Observations,
    ProxyChange,
    ProxyState,
    whole,
)
from chaosbench.model.phases import Path, Phases, Span, Step
from chaosbench.standing import Standing

T = TypeVar("T")


def phases(span: Span, seen: Observations) -> Phases:
    """Take one fault apart."""
    view = _View(span, seen)
    promotion = view.promotion()
    taken = view.taken(promotion)
    lost = next((key for key in view.keys if key.holder is None), None)
    routed = view.routed(promotion.node if promotion else view.holder_at_end, promotion)
    redundant = view.redundant()
    steps = {"t2": lost, "t3": taken, "t4": promotion, "t5": routed, "t7": redundant}
    found = Phases(
        t0_ns=span.t0_ns,
        t1_ns=span.t1_ns,
        t6_ns=span.t6_ns,
        path=view.path(promotion),
        elections=sum(key.holder is not None for key in view.keys),
        within_ns={name: step.at_ns - step.after_ns for name, step in steps.items() if step is not None},
        **{f"{name}_ns": step.at_ns if step is not None else None for name, step in steps.items()},  # type: ignore[arg-type]
    )
    return _in_order(view.judged(found), span.t6_ns, span.ack_ns)


def _in_order(found: Phases, *acked_ns: int | None) -> Phases:
    """An acknowledged write proves that its way was open: a poll that saw so a moment later is put right."""
    proofs_ns = sorted(at_ns for at_ns in acked_ns if at_ns is not None)
    t4_ns, t5_ns = found.t4_ns, found.t5_ns
    if t4_ns is None:
        return found
    t4_ns = next((at_ns for at_ns in proofs_ns if t4_ns - found.within_ns["t4"] <= at_ns < t4_ns), t4_ns)
    # One from before the promotion proves nothing. A Pgpool that knows no primary writes to its main node, which may be
    # the right one: then it routes writes there although it never says so.
    proof_ns = next((at_ns for at_ns in proofs_ns if at_ns >= t4_ns), None)
    if proof_ns is not None and (t5_ns is None or proof_ns < t5_ns):
        t5_ns = proof_ns
    return replace(found, t4_ns=t4_ns, t5_ns=t5_ns)


@dataclass(frozen=True, slots=True)
class _Moment:
    """A state of affairs that began in ``(after_ns, at_ns]``."""

    at_ns: int
    after_ns: int


def _last(found: Sequence[T]) -> T | None:
    return found[-1] if found else None


class _View:
    """The observations of one fault's span, and how things stood when it began."""

    def __init__(self, span: Span, seen: Observations) -> None:
        self.span = span
        self.seen = seen
        self.keys = [change for change in seen.keys if self._in(change)]
        self.nodes = [change for change in seen.nodes if self._in(change)]
        self.proxy = [change for change in seen.proxy if self._in(change)]
        self.nodes_before = dict.fromkeys(seen.nodes_watched, NodeState())
        for change in seen.nodes:
            if change.at_ns <= span.t0_ns:
                self.nodes_before[change.node] = change.state
        self.proxy_before = next((c.state for c in reversed(seen.proxy) if c.at_ns <= span.t0_ns), ProxyState())
        self.holder_before = next((c.holder for c in reversed(seen.keys) if c.at_ns <= span.t0_ns), None)
        self.holder_at_end = self.keys[-1].holder if self.keys else self.holder_before
        self.nodes_at_end = self.nodes_before | {change.node: change.state for change in self.nodes}
        self.proxy_at_end = self.proxy[-1].state if self.proxy else self.proxy_before

    def _in(self, change: KeyChange | NodeChange | ProxyChange) -> bool:
        return self.span.t0_ns < change.at_ns < self.span.end_ns

    def promotion(self) -> NodeChange | None:
        """The promotion that clients came back on: the last before T6, else the last of all."""
        timelines = [state.timeline for state in self.nodes_before.values() if state.timeline is not None]
        newest = max(timelines, default=None)
        found: list[NodeChange] = []
        for change in self.nodes:
            timeline = change.state.timeline
            if change.state.primary and timeline is not None and newest is not None and timeline > newest:
                newest = timeline
                found.append(change)
        t6_ns = self.span.t6_ns
        before = [change for change in found if t6_ns is None or change.after_ns < t6_ns]
        return _last(before) or _last(found)

    def taken(self, promotion: NodeChange | None) -> KeyChange | None:
        """Who took the leader key: for that promotion, or the last one where there was none."""
        takers = [key for key in self.keys if key.holder is not None]
        if promotion is not None:
            takers = [key for key in takers if key.holder == promotion.node and key.after_ns <= promotion.at_ns]
        return _last(takers)

    def routed(self, node: str | None, promotion: NodeChange | None) -> _Moment | None:
        """When Pgpool began to route writes to ``node``; from the promotion on, or after it had ceased to."""
        if node is None:
            return None
        since_ns = promotion.at_ns if promotion is not None else self.span.t0_ns
        earlier = [change.state for change in self.proxy if change.at_ns <= since_ns]
        routes = (_last(earlier) or self.proxy_before).routes_to(node)
        if routes and promotion is not None:
            return _Moment(promotion.at_ns, promotion.after_ns)
        for change in self.proxy:
            if change.at_ns <= since_ns:
                continue
            if change.state.routes_to(node) and not routes:
                return _Moment(change.at_ns, max(change.after_ns, since_ns))
            routes = change.state.routes_to(node)
        return None

    def redundant(self) -> _Moment | None:
        """When the cluster became whole for good; None when it is not, or never ceased to be."""
        back: _Moment | None = None
        for moment, is_whole in self._wholeness():
            back = moment if is_whole else None
        return back

    def _wholeness(self) -> Iterator[tuple[_Moment, bool]]:
        """Each change between whole and not whole."""
        nodes, proxy = dict(self.nodes_before), self.proxy_before
        was = whole(nodes, proxy)
        changes: list[NodeChange | ProxyChange] = sorted([*self.nodes, *self.proxy], key=lambda change: change.at_ns)
        for change in changes:
            match change:
                case NodeChange():
                    nodes[change.node] = change.state
                case ProxyChange():
                    proxy = change.state
            now = whole(nodes, proxy)
            if now != was:
                yield _Moment(change.at_ns, change.after_ns), now
            was = now

    def path(self, promotion: NodeChange | None) -> Path:
        """What the cluster did."""
        leader = promotion.node if promotion else self.holder_at_end
        if leader is not None and self.holder_before is not None and leader != self.holder_before:
            until_ns = promotion.at_ns if promotion else self.span.end_ns
            asked = any(self.span.t0_ns <= at_ns <= until_ns for at_ns in self.seen.requests)
            return Path.SWITCHOVER if asked else Path.FAILOVER
        if promotion is not None:
            return Path.DEMOTION_AND_RETURN
        node = self.holder_before
        gone = any(change.node == node and not change.state.primary for change in self.nodes)
        back = node is not None and self.nodes_at_end.get(node, NodeState()).primary
        return Path.RESTART_IN_PLACE if gone and back and self.holder_at_end == node else Path.NONE

    def judged(self, found: Phases) -> Phases:
        """With the step at which the cluster stands, if it does."""
        standing = Standing(
            self.holder_before, self.holder_at_end, bool(self.keys), self.nodes_at_end, self.proxy_at_end
        )
        if self.span.t1_ns is not None and self.span.t6_ns is None:
            step, why = standing.of_writes()
            return replace(found, hangs_at=step, why=why)
        if self.seen.nodes_watched and not whole(self.nodes_at_end, self.proxy_at_end):
            return replace(found, hangs_at=Step.REDUNDANCY, why=standing.of_redundancy())
        return found
