"""What is left of faults that are over: of a soak's their reports, otherwise all that was seen of the newest."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter
from test_run import Rig, kill, pause, scenario
from test_soak import Soaking, often, soak

from chaosbench.clock import loop_clock
from chaosbench.model.report import FaultReport
from chaosbench.model.scenario import Windows
from chaosbench.outcome import OpClass, Outcome
from chaosbench.recorder.recorder import Recorder
from chaosbench.scenarios import keeping
from chaosbench.scenarios.fault_table import KEPT, FaultTable
from chaosbench.scenarios.faults import FaultRecord
from chaosbench.scenarios.plan import planned
from chaosbench.scenarios.scenario import ScheduledFault
from chaosbench.scenarios.telling import Telling

pytestmark = pytest.mark.looptime(noop_cycles=0)
REPORT: TypeAdapter[FaultReport] = TypeAdapter(FaultReport)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int]]:
    """Once a second: the faults that are over and remembered, and how many outages the recorder follows."""
    found: list[tuple[list[str], int]] = []

    class Watched(Telling):
        def tick(self) -> tuple[FaultReport, ...]:
            over = super().tick()
            remembered = [record.plan.name for record in self._faults.records if record.told]
            found.append((remembered, len(self._recorder.outages)))
            return over

    monkeypatch.setattr(keeping, "Telling", Watched)
    return found


async def test_of_a_fault_of_a_soak_its_report_is_left_and_it_is_the_last_word(
    tmp_path: Path, looks: list[tuple[list[str], int]]
):
    summary = await Soaking(tmp_path).soak(soak(often(40.0), duration=400.0))
    assert len(summary.faults) > 5
    assert not any(remembered for remembered, _ in looks)
    assert min(outages for _, outages in looks[30:]) == 0, "between faults nobody follows each acknowledgement"
    told = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert told == [json.loads(REPORT.dump_json(fault)) for fault in summary.faults]


async def test_one_that_may_still_have_caused_what_the_next_is_asked_about_is_left_with_that_one(
    tmp_path: Path, looks: list[tuple[list[str], int]]
):
    first = ScheduledFault.once("first", 10.0, pause("replica", hold="20s"))
    second = ScheduledFault.once("second", 35.0, pause("leader", hold="2s"))
    summary = await Soaking(tmp_path).soak(soak(first, second, duration=90.0))
    assert [fault.injecting_at_s for fault in summary.faults] == [10.0, 35.0]
    assert (["first"], 1) in looks, "what began within 15 s of its end may be either's"
    assert looks[-1] == ([], 0)


async def test_otherwise_the_newest_are_looked_at_once_more(looks: list[tuple[list[str], int]]):
    rig = Rig()
    assert KEPT > 70
    faults = tuple((5.0 * number, kill("replica", hold="1s")) for number in range(1, 71))
    summary = await rig.run(*faults, duration=400.0)
    assert len(looks[-1][0]) == len(summary.faults) == 70
    assert scenario(*faults).soak is False


async def test_an_error_window_that_is_still_open_when_its_fault_is_told_stays_that_faults():
    clock = loop_clock()
    recorder = Recorder(clock, Windows(), lambda event: None)
    tally = recorder.tally("load", "select", OpClass.READ)
    plan = next(planned(scenario((0.0, kill())), 1))
    record = FaultRecord(plan, outage=recorder.watch(clock.now()))
    await asyncio.sleep(1)
    recorder.bad(tally, Outcome.FAILED, "57P01", clock.now(), clock.now(), clock.now())
    bench: Any = SimpleNamespace(anchor=None, hub=None, directory=None)
    faults: Any = SimpleNamespace(records=[record])
    Telling(faults, recorder, None, bench, FaultTable(), 0)._tied([record])  # type: ignore[arg-type]
    (window,) = recorder.windows()
    assert (window.closed, window.fault) == (False, plan.name)
