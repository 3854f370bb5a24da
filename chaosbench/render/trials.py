"""A series on a terminal: verdict first, then each trial, then each metric's spread."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from chaosbench.model.report import Verdict
from chaosbench.model.trials import MetricSpread, TrialsReport
from chaosbench.statistics_spread import FEWEST

_STYLE = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow"}
_INDENT = " " * 4
_COLUMNS = ("median", "q1", "q3", "min", "max", "95 % interval", "n")


def show(report: TrialsReport, console: Console) -> None:
    """Print a series. Lines are left to the terminal to wrap, so that a file or a pipe gets them whole."""
    for part in _parts(report):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(report: TrialsReport) -> Iterator[RenderableType]:
    yield Text()
    of = "1 trial" if len(report.trials) == 1 else f"{len(report.trials)} trials"
    line = Text.assemble((report.verdict.value.upper(), _STYLE[report.verdict]), f"  {report.scenario}, {of}")
    yield line.append(f": {report.why}") if report.why else line
    for trial in report.trials:
        why = f"  {trial.why}" if trial.why else ""
        yield Text.assemble(
            f"  trial {trial.number:<3}",
            (f"{trial.verdict.value.upper():<8}", _STYLE[trial.verdict]),
            (f"seed {trial.seed}, faults {trial.phase_offset_s:.3f} s later", "dim"),
            why,
        )
    for fault, metrics in _groups(report):
        yield _table(f"fault {fault}" if fault else "over the trials", metrics)
    most = max((metric.spread.n for metric in report.metrics), default=0)
    if 1 < most < FEWEST:
        most_held = f"{1 - 2 / 2**most:.2%}".replace("%", " %")
        note = f"95 % cannot be had of fewer than {FEWEST} trials: an interval of {most} holds {most_held} at most"
        yield Text(f"  {note}", "dim")
    yield Text()


def _groups(report: TrialsReport) -> Iterator[tuple[str | None, list[MetricSpread]]]:
    """The scenario's metrics, then each fault's; of an only fault not what the metrics have said already."""
    plain = {metric.metric: metric for metric in report.metrics if metric.fault is None}
    yield None, list(plain.values())
    faults = dict.fromkeys(metric.fault for metric in report.metrics if metric.fault is not None)
    for fault in faults:
        mine = [metric for metric in report.metrics if metric.fault == fault]
        said = plain if len(faults) == 1 else {}
        new = [one for one in mine if one.metric not in said or said[one.metric].values != one.values]
        if new:
            yield fault, new


def _table(title: str, metrics: list[MetricSpread]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(_INDENT + title, min_width=20, no_wrap=True)
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for metric in metrics:
        found, unit = metric.spread, "" if metric.unit in ("count", "share") else f" {metric.unit}"
        figures = [number(value, metric.unit) for value in (found.median, found.q1, found.q3, found.min, found.max)]
        interval = "-" if found.low is None else f"{number(found.low, metric.unit)}..{number(found.high, metric.unit)}"
        table.add_row(f"{_INDENT}{metric.metric}{unit}", *figures, interval, str(found.n))
    return table


def number(value: float | None, unit: str) -> str:
    """A figure with about three digits, a share in percent, a dash when there is none."""
    if value is None:
        return "-"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "count" and value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:,.0f}"
