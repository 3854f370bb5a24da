"""Real Chromium looks at the live page while a leader is killed, and sees what the summary says afterwards."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from browser import PHONE, Chromium, Visit

from tests.live.runs import Run, running, scenario

pytestmark = [pytest.mark.live, pytest.mark.browser]

PICTURES = Path(__file__).parents[2] / "build" / "pages"
WIDE = (1440, 1000)
LIVE_MS = 90_000
END_MS = 180_000
OTHER_LEADS = "old => [...document.querySelectorAll(`#map [data-state=leads]`)].some(one => one.dataset.member !== old)"
COUNTS = ("attempted", "ok", "failed", "unknown", "shed", "in_flight")
KILL = scenario(
    """
description: The leader's container is killed with SIGKILL and started again 30 s later.
duration: 60s
load:
  - {workload: select-only, rate: 200/s, connections: 12}
  - {workload: ledger, rate: 100/s, connections: 12}
faults:
  - {name: leader-dies, at: 8s, inject: kill, target: leader, hold: 30s}
expect:
  rto: "<= 60s"
  rpo: "<= 100"
  ok_rate: ">= 99.9%"
""",
    "failover",
)


async def picture(visit: Visit, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    await visit.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


async def members(visit: Visit, state: str) -> list[str]:
    """Members that the map paints so."""
    found = await visit.page.eval_on_selector_all(
        f"#map [data-state={state}]", "all => all.map(one => one.dataset.member)"
    )
    return list(found)


async def band(visit: Visit) -> dict[str, float]:
    """The fault's band as it is drawn over the throughput: where it begins and how wide it is, in pixels."""
    return dict(
        await visit.page.evaluate(
            """() => {
                const drawn = document.querySelector('#plot-throughput .shapelayer path').getBoundingClientRect();
                const plot = document.querySelector('#plot-throughput .xy .gridlayer, #plot-throughput .bglayer')
                    .closest('svg').getBoundingClientRect();
                return {from: drawn.left - plot.left, width: drawn.width, plot: plot.width};
            }"""
        )
    )


async def drawn(visit: Visit) -> None:
    """Wait until the charts have been drawn once more."""
    await visit.page.evaluate("delete document.querySelector('#panels').dataset.drawn")
    await visit.page.wait_for_selector("#panels[data-drawn]", timeout=LIVE_MS)


async def test_a_browser_sees_a_leader_die_and_another_take_over(
    lab_directory: Path, cluster: object, chromium: Chromium, tmp_path: Path
):
    with running(tmp_path, lab_directory, KILL) as run:
        await asyncio.to_thread(run.until, "live page:")
        async with chromium.visit(f"http://127.0.0.1:{run.port}/", WIDE) as visit:
            page = visit.page
            await page.wait_for_selector("#map [data-state=leads]", timeout=LIVE_MS)
            (before,) = await members(visit, "leads")
            await page.wait_for_selector(f"#map [data-member={before}][data-state=down]", timeout=LIVE_MS)
            await page.wait_for_selector("[data-fault=leader-dies]", timeout=LIVE_MS)
            await page.wait_for_function(
                OTHER_LEADS,
                arg=before,
                timeout=LIVE_MS,
            )
            after = (await members(visit, "leads"))[0]
            await drawn(visit)
            shaded = await band(visit)
            assert shaded["width"] > 20
            assert 0 < shaded["from"] < shaded["plot"]
            lanes = await page.text_content("#plot-lanes")
            assert lanes is not None
            assert f"leader-dies: kill {before}" in lanes
            assert after in lanes
            await picture(visit, "live-desktop")
            async with chromium.visit(f"http://127.0.0.1:{run.port}/", PHONE, "dark") as late:
                await _comes_late(late, before)
            await page.wait_for_selector("#connection:text('the run is over')", timeout=END_MS)
            await drawn(visit)
            shown = await _figures(visit)
            await picture(visit, "live-end")
            assert await visit.severe() == []
            assert visit.complaints == []
            assert visit.outside == []
        assert await asyncio.to_thread(run.ended) == 1, "it was not available for 99.9 % of the operations"
    _as_the_summary_says(shown, run, before)


async def _comes_late(late: Visit, before: str) -> None:
    """A page that is opened when all has happened shows it all, on a phone as well."""
    await late.page.wait_for_selector("[data-fault=leader-dies]", timeout=LIVE_MS)
    await drawn(late)
    lanes = await late.page.text_content("#plot-lanes")
    assert lanes is not None
    assert f"leader-dies: kill {before}" in lanes
    points = await late.page.evaluate("document.querySelector('#plot-throughput').data[1].x.length")
    assert points > 10
    assert await late.wider_than_the_window() == 0
    await picture(late, "live-phone-dark")
    assert await late.severe() == []
    assert late.complaints == []
    assert late.outside == []


async def _figures(visit: Visit) -> dict[str, Any]:
    """What the page says at the end."""
    return dict(
        await visit.page.evaluate(
            """() => ({
                totals: Object.fromEntries([...document.querySelectorAll('[data-total]')]
                    .map(cell => [cell.dataset.total, Number(cell.dataset.value)])),
                rto: JSON.parse(document.querySelector('[data-fault=leader-dies] [data-rto]').dataset.rto || 'null'),
                expectations: Object.fromEntries([...document.querySelectorAll('[data-metric]')]
                    .map(row => [row.dataset.metric, row.dataset.verdict])),
                verdict: document.querySelector('#verdict').textContent,
                leaders: [...document.querySelectorAll('#map [data-state=leads]')].map(one => one.dataset.member),
            })"""
        )
    )


def _as_the_summary_says(shown: dict[str, Any], run: Run, before: str) -> None:
    summary = run.summary("failover")
    (fault,) = summary["faults"]
    assert shown["totals"] == {name: summary["load"][name] for name in COUNTS}
    assert shown["rto"] == fault["rto_s"]
    assert shown["expectations"] == {one["metric"]: one["verdict"] for one in summary["expectations"]}
    assert shown["verdict"] == summary["verdict"]
    assert (fault["leader_before"], [fault["leader_after"]]) == (before, shown["leaders"])
    assert {one["member"] for one in summary["containers"]} >= {"pg1", "pg2", "pg3"}
    rows = [json.loads(line) for line in (run.out / "latest" / "containers.jsonl").read_text().splitlines()]
    assert len(rows) > 50
    assert rows[-1]["containers"][before]["cpu_s"] > 0


async def test_the_token_of_the_terminal_stops_the_run(
    lab_directory: Path, cluster: object, chromium: Chromium, tmp_path: Path
):
    long = scenario("duration: 120s\nload: {workload: select-only, rate: 50/s, connections: 4}", "long")
    with running(tmp_path, lab_directory, long) as run:
        await asyncio.to_thread(run.until, r"  load: 120 s")
        token = run.output.split("token ")[1].split(")")[0]
        async with chromium.visit(f"http://127.0.0.1:{run.port}/", WIDE) as visit:
            page = visit.page
            await page.fill("#token", "0" * 12)
            await page.click("#abort button")
            await page.wait_for_selector("#abort-answer:text('not the token')", timeout=LIVE_MS)
            assert run.process.poll() is None
            await page.fill("#token", token)
            await page.click("#abort button")
            await page.wait_for_selector("#abort-answer:text('Stopping')", timeout=LIVE_MS)
            await page.wait_for_selector("#connection:text('the run is over')", timeout=END_MS)
        assert await asyncio.to_thread(run.ended) == 3
    assert run.summary("long")["stopped_early"]
