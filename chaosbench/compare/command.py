"""``chaosbench compare``: read, compare, show; then the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaosbench.compare import wording
from chaosbench.compare.results import Comparison, Sample, comparison, sample
from chaosbench.compare.settings import Difference, differences
from chaosbench.errors import UsageError
from chaosbench.expectations import METRICS
from chaosbench.report.reading import read_results
from chaosbench.units import parse_ratio

REGRESSION, UNDETERMINED = 1, 3


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person asked for; the first path is what the others are compared with."""

    paths: tuple[Path, ...]
    metrics: tuple[str, ...] = ()
    html: Path | None = None
    fail_on_regression: bool = False
    tolerance: str = "0%"


def compare(wish: Wish, console: Console) -> int:
    """Show the comparison; returns the exit code. UsageError when something cannot be read or written."""
    for name in wish.metrics:
        if name not in METRICS:
            raise UsageError(f"no metric is called {name!r}: see `chaosbench list metrics`")
    try:
        tolerance = parse_ratio(wish.tolerance)
    except ValueError as error:
        raise UsageError(f"--tolerance: {error}") from None
    samples = [sample(read_results(path), name) for path, name in zip(wish.paths, _names(wish.paths), strict=True)]
    for one, path in zip(samples, wish.paths, strict=True):
        if not one.summaries:
            raise UsageError(f"{path}: no trial of this series is done yet")
    settings = differences([one.summaries[0] for one in samples])
    found = [comparison(samples[0], other, wish.metrics) for other in samples[1:]]
    _show(samples, settings, found, tolerance, console)
    if wish.html is not None:
        _write(wish.html, settings, found, samples, tolerance)
        console.print(f"  page in {wish.html}", soft_wrap=True)
    return _exit_code(found, tolerance) if wish.fail_on_regression else 0


def _exit_code(found: list[Comparison], tolerance: float) -> int:
    if any(one.regressions(tolerance) for one in found):
        return REGRESSION
    return UNDETERMINED if any(one.single for one in found) else 0


def _names(paths: tuple[Path, ...]) -> list[str]:
    """What each directory is called; with as much of the path before it as tells them apart."""
    names = [path.resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _show(
    samples: list[Sample], settings: tuple[Difference, ...], found: list[Comparison], tolerance: float, console: Console
) -> None:
    console.print()
    for letter, one in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", samples, strict=False):
        console.print(f"  {letter}  {one.name} ({len(one.summaries)} {_runs(one)})", soft_wrap=True)
    console.print(Text("\n  what is set differently" if settings else "\n  nothing is set differently", "bold"))
    if settings:
        table = _table("setting", *("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(samples)]))
        for row in settings:
            table.add_row(f"    {row.name}", *(Text(value) for value in row.values))
        console.print(table)
    for pair in found:
        console.print(Text(f"\n  {pair.b.name} (B) against {pair.a.name} (A)", "bold"), soft_wrap=True)
        table = _table(*wording.HEADS)
        for result in pair.rows:
            name, *rest = wording.cells(result)
            table.add_row(f"    {name}", *rest)
        console.print(table)
        for note in wording.notes(pair):
            console.print(Text(f"  {note}", "dim"), soft_wrap=True)
    console.print()
    for pair in found:
        console.print(wording.summary(pair, tolerance), soft_wrap=True)


def _runs(one: Sample) -> str:
    return "run" if len(one.summaries) == 1 else "trials"


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(f"    {first}", no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _write(
    target: Path, settings: tuple[Difference, ...], found: list[Comparison], samples: list[Sample], tolerance: float
) -> None:
    from chaosbench.report.command import require

    require()
    from chaosbench.compare.page import page

    try:
        target.write_text(page(samples, settings, found, tolerance), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from None
