"""The report's pages in a real browser: they ask for nothing, hinder nobody, and tell what the files tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import DESKTOP, PHONE, Chromium
from fakes import in_virtual_time
from pydantic import TypeAdapter
from results_cases import failover, observed, results, rewrite
from rich.console import Console

from chaosbench.compare.command import Wish, compare
from chaosbench.model.report import Summary
from chaosbench.report.command import report
from chaosbench.results import SUMMARY

HOSTILE = "<script>document.title = 'owned'</script> ]]> \x07"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run's page, a series' and a comparison's."""
    out = tmp_path_factory.mktemp("pages")

    async def runs() -> tuple[Path, Path]:
        return await results(out / "a", failover()), await results(out / "b", failover(3), delay=2.0)

    run, series = in_virtual_time(runs())
    observed(run)
    rewrite(run, warnings=(HOSTILE,), description=HOSTILE, environment={"pgpool.name": HOSTILE, "kernel": "6"})
    report(run, "html", None, None)
    report(series, "html", None, None)
    with (out / "said").open("w") as said:
        compare(Wish(paths=(series, run), html=out / "compare.html"), Console(file=said))
    return {"run": run / "report.html", "series": series / "report.html", "compare": out / "compare.html"}


pytestmark = pytest.mark.browser


@pytest.mark.parametrize("which", ["run", "series", "compare"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_page_is_whole_quiet_and_open_to_all(
    chromium: Chromium, made: dict[str, Path], which: str, scheme: str
):
    async with chromium.visit(made[which], DESKTOP, scheme) as visit:  # type: ignore[arg-type]
        assert visit.complaints == []
        assert visit.requested == [made[which].resolve().as_uri()]
        assert await visit.severe() == []
        assert await visit.page.locator("script").count() == 0


@pytest.mark.parametrize("which", ["run", "series", "compare"])
async def test_a_page_fits_a_phone(chromium: Chromium, made: dict[str, Path], which: str):
    async with chromium.visit(made[which], PHONE) as visit:
        assert await visit.wider_than_the_window() == 0
        assert await visit.page.locator("figure .narrow svg").first.is_visible()
        assert not await visit.page.locator("figure .wide svg").first.is_visible()
        size = await visit.page.evaluate(
            "Math.min(...[...document.querySelectorAll('figure .narrow text')]"
            ".map(t => t.getBoundingClientRect().height))"
        )
        assert size > 8, "text in figures can be read"


async def test_the_page_tells_what_the_summary_tells(chromium: Chromium, made: dict[str, Path]):
    summary = TypeAdapter(Summary).validate_json((made["run"].parent / SUMMARY).read_bytes())
    (fault,) = summary.faults
    async with chromium.visit(made["run"], scripts=False) as visit:
        said = await visit.page.inner_text("body")
        first = await visit.page.locator("header").inner_text()
        assert first.startswith("FAIL")
        assert f"{fault.rto_s:.2f} s" in first
        for word in ("rto <= 5s", f"{summary.load.attempted:,} attempted", "detection", "Definitions", "kernel"):
            assert word in said
        figures = visit.page.get_by_role("img", name="Timeline of the measurement")
        assert await figures.count() == 1
        drawn = await figures.text_content()
        assert drawn is not None
        assert all(word in drawn for word in ("kill-1", "pg1", "pg2", "write errors"))
        assert await visit.page.locator("table:not(:has(th[scope=col]))").count() == 0


async def test_nothing_from_outside_becomes_markup(chromium: Chromium, made: dict[str, Path]):
    async with chromium.visit(made["run"]) as visit:
        assert await visit.page.title() == "FAIL: test · chaosbench"
        assert "<script>document.title" in await visit.page.inner_text("body")


async def test_colours_follow_the_readers_scheme(chromium: Chromium, made: dict[str, Path]):
    seen = []
    for scheme in ("light", "dark"):
        async with chromium.visit(made["run"], DESKTOP, scheme) as visit:  # type: ignore[arg-type]
            seen.append(
                await visit.page.evaluate(
                    "[getComputedStyle(document.documentElement).backgroundColor,"
                    " getComputedStyle(document.querySelector('figure .wide text')).fill]"
                )
            )
    assert seen[0] != seen[1]
    assert seen[0][0] == seen[1][1] or seen[0][1] != seen[1][1], "figures change with the page"


async def test_paper_is_white_and_nothing_stays_folded(chromium: Chromium, made: dict[str, Path]):
    async with chromium.visit(made["run"], PHONE, "dark") as visit:
        await visit.page.emulate_media(media="print", color_scheme="dark")
        assert (
            await visit.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            == "rgb(255, 255, 255)"
        )
        assert await visit.page.locator("figure .wide svg").first.is_visible()
        assert await visit.page.locator("pre").is_visible()
        assert (await visit.page.pdf(format="A4")).startswith(b"%PDF")


async def test_a_series_leads_to_its_trials(chromium: Chromium, made: dict[str, Path]):
    async with chromium.visit(made["series"]) as visit:
        await visit.page.get_by_role("link", name="trial 3").click()
        await visit.page.wait_for_url("**/trial-03/report.html")
        assert "test" in await visit.page.inner_text("h1")
