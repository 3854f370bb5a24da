"""The live page as a sink: hears of everything, and never waits for a browser."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from chaosbench.clock import NS, Anchor, Clock
from chaosbench.events import Event, Kind
from chaosbench.model.cluster import Snapshot
from chaosbench.model.containers import ContainerUse
from chaosbench.recorder.recorder import Recorder
from chaosbench.sinks.containers_file import cores
from chaosbench.sinks.interval import Interval, Sampler
from chaosbench.sinks.page.cluster import cluster_map
from chaosbench.sinks.page.feed import Feed
from chaosbench.sinks.page.guard import new_token
from chaosbench.sinks.page.history import History, Point, Use
from chaosbench.sinks.page.routes import Routes
from chaosbench.sinks.page.story import Story
from chaosbench.sinks.steps import gently

PERCENTS = (50, 90, 99, 99.9)
QUIET_NS = 3 * NS // 2
"""Without a tick for so long the load is not running, and the page goes on by itself."""

STALE_NS = 3 * NS
"""A container of which nothing was told for so long has no figures."""

REASONS_NAMED = 10
FAREWELL_S = 2.0
"""How long browsers are waited for at the end, so that they see the verdict."""

_UNSHOWN = frozenset({Kind.GENERATOR_SUSPECT})
"""Kinds of which there may be many: the next tick shows them."""

log = logging.getLogger(__name__)


class PageSink:
    """The page of one run. Use :meth:`running`; ``routes`` go to the server, ``token`` to the terminal."""

    name = "page"

    def __init__(
        self,
        clock: Clock,
        anchor: Anchor,
        out: Path,
        abort: Callable[[], None],
        containers: Callable[[], Mapping[str, ContainerUse]] = dict,
    ) -> None:
        self.token = new_token()
        self._clock = clock
        self._containers = containers
        self._out = out
        self._story = Story(anchor)
        self._history = History()
        self._sampler = Sampler()
        self._feed = Feed(self._state, lambda: self._history)
        self._snapshot: Snapshot | None = None
        self._before: Mapping[str, ContainerUse] = {}
        self._used: dict[str, Use] = {}
        self._point_ns = clock.now()
        self._due: Recorder | None = None
        self._digesting: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._routes = Routes(self._feed, out, self.token, abort)

    @property
    def routes(self) -> tuple[web.AbstractRouteDef, ...]:
        """What the server has to answer."""
        return self._routes.table()

    def look(self, snapshot: Snapshot) -> None:
        """Somebody looked at the cluster; what they saw is drawn with the next news."""
        self._snapshot = snapshot

    def on_event(self, event: Event) -> None:
        """Fold it in, and tell the browsers."""
        self._story.event(event)
        if event.kind is Kind.SCENARIO_STARTED:
            self._history.clear()
            self._feed.restart()
        elif event.kind is Kind.SCENARIO_FINISHED:
            reading = asyncio.create_task(self._read_result(Path(event.data["directory"])))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)
        if event.kind not in _UNSHOWN:
            self._feed.publish()

    def on_tick(self, recorder: Recorder) -> None:
        """Have one more point made, with the load. Raises what went wrong with an earlier one."""
        if self._digesting is not None and self._digesting.done():
            self._digesting.result()
        self._due = recorder
        if self._digesting is None or self._digesting.done():
            self._digesting = asyncio.create_task(self._digest())

    async def _digest(self) -> None:
        """Look at the recorder piece by piece, the load runs in between; if it was ticked meanwhile, once more."""
        while (recorder := self._due) is not None:
            self._due = None
            now_ns = self._clock.now()
            interval = await gently(self._sampler.steps(recorder, now_ns))
            await asyncio.sleep(0)
            await gently(self._story.tick(recorder, interval))
            await asyncio.sleep(0)
            self._add(now_ns, interval, recorder.backlog, self._story.view.in_flight)

    def close(self) -> None:
        """Nothing more is told."""
        self._feed.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Go on while no load runs, for the length of the block; at its end, wait until browsers saw the end."""
        going_on = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            going_on.cancel()
            await asyncio.gather(going_on, return_exceptions=True)
            await self._farewell()
            await self._let_go()

    async def _farewell(self) -> None:
        tasks = {*self._reading, *([self._digesting] if self._digesting is not None else [])}
        if tasks:
            await asyncio.wait(tasks, timeout=FAREWELL_S)
        self._feed.publish()
        self._feed.close()
        end_ns = self._clock.now() + round(FAREWELL_S * NS)
        while self._feed.watched and self._clock.now() < end_ns:
            await self._clock.sleep(0.02)

    async def _let_go(self) -> None:
        """Leave no task behind."""
        tasks = {*self._reading, *([self._digesting] if self._digesting is not None else [])}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _go_on(self) -> None:
        """Before and after the load nobody ticks, but containers work and the cluster changes."""
        while True:
            await self._clock.sleep(1.0)
            now_ns = self._clock.now()
            if now_ns - self._point_ns >= QUIET_NS:
                if self._snapshot is not None:
                    self._story.look(self._snapshot, now_ns)
                self._add(now_ns, None, None, None)

    def _add(self, now_ns: int, interval: Interval | None, backlog: int | None, in_flight: int | None) -> None:
        load = interval.load if interval is not None else None
        point = Point(
            at_ms=self._story.ms(now_ns),
            seconds=interval.seconds if interval is not None else (now_ns - self._point_ns) / NS,
            offered=load.offered if load is not None else None,
            ok=load.ok if load is not None else None,
            errors=_errors(interval) if interval is not None else {},
            percentiles=load.response.percentiles_ms(PERCENTS) if load is not None else (None,) * len(PERCENTS),
            backlog=backlog,
            in_flight=in_flight,
            containers=self._shares(now_ns),
        )
        self._point_ns = now_ns
        self._feed.publish(self._history.add(point))

    def _shares(self, now_ns: int) -> dict[str, Use]:
        """What each container uses. The engine tells it about once a second and so do we: what has just been told
        stands for a second in which nothing was.
        """
        uses = self._containers()
        for name, use in sorted(uses.items()):
            before = self._before.get(name)
            if before is None or use.wall_ns != before.wall_ns:
                self._used[name] = (cores(use, before), use.memory_bytes)
        self._before = dict(uses)
        return {name: use for name, use in self._used.items() if now_ns - self._before[name].at_ns < STALE_NS}

    def _state(self) -> str:
        state = self._story.state(self._clock.now())
        state["map"] = cluster_map(self._snapshot) if self._snapshot is not None else None
        return json.dumps(state, separators=(",", ":"), default=str)

    async def _read_result(self, directory: Path) -> None:
        """What the summary says: the page's last word has to be the summary's."""
        try:
            name, summary = await asyncio.to_thread(_summary_of, directory, self._out)
            self._story.result(name, _shown(summary))
        except (OSError, ValueError) as error:  # nothing was measured, or the disk is full: the verdict is told anyway
            log.debug("no summary to show: %s", error)
        self._feed.publish()


def _summary_of(directory: Path, out: Path) -> tuple[str, dict[str, Any]]:
    """A scenario's directory by its name among the results, and its summary."""
    name = str(directory.resolve().relative_to(out.resolve()))
    return name, json.loads((directory / "summary.json").read_bytes())


def _errors(interval: Interval) -> dict[str, float]:
    """Errors a second by reason: the most frequent of the run by name, the rest together."""
    named = {pair for pair, _ in interval.total_reasons.most_common(REASONS_NAMED)}
    rates: Counter[str] = Counter()
    for (outcome, reason), count in interval.reasons.items():
        words = f"{outcome.value} {reason}".strip() if (outcome, reason) in named else "others"
        rates[words] += count / interval.seconds  # type: ignore[assignment]  # Counter adds floats as well
    return dict(rates)


def _shown(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a summary that the page shows."""
    ledger = summary["ledger"]
    return {
        "verdict": summary["verdict"],
        "why": summary["why"],
        "load": summary["load"],
        "response_ms": summary["latency_ms"]["response"],
        "expectations": [
            {"limit": one["text"], **{key: one[key] for key in ("metric", "value", "unit", "verdict", "why")}}
            for one in summary["expectations"]
        ],
        "faults": [
            {key: one[key] for key in ("name", "member", "rto_s", "write_gap_s", "leader_before", "leader_after")}
            | {"phases": {key: one["phases"][key] for key in _PHASES} if one["phases"] else None}
            for one in summary["faults"]
        ],
        "ledger": {key: ledger[key] for key in ("acked", "lost", "checked", "note")} if ledger else None,
    }


_PHASES = ("path", "detection_s", "election_s", "promotion_s", "proxy_s", "client_s", "redundancy_s", "why")
