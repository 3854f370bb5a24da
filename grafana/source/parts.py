"""What the dashboards are put together from: a board with its variables and marks, and panels with their queries.

Every query passes through :class:`Query`, so that a test can ask a real Prometheus each of them. A query that may well
find nothing says why, in ``empty``; all others must find something while a scenario with a fault runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import barchart, common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import histogram as histogram_panel
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model

SOURCE = model.DataSourceRef(type_val="prometheus", uid="chaosbench-prometheus")
SHOWN = 'chaosbench_scenario_info{run=~"$run",scenario=~"$scenario"}'
"""One series while a scenario runs that is chosen above the dashboard; none otherwise."""
SLOW = "5s"
"""How often everything but chaosbench itself is scraped."""
ALL = ".*"

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"


def during(expression: str) -> str:
    """The expression as long as a chosen scenario runs."""
    return f"({expression}) and on() {SHOWN}"


@dataclass(frozen=True, slots=True)
class Query:
    """A question to Prometheus.

    legend:   what each answer is called; ``{{label}}`` stands for a label's value
    instant:  only the answer at the end of the time range
    slow:     it asks about what is scraped every 5 s, not every 2 s
    empty:    why it may find nothing although all is well; empty when it must find something
    """

    expression: str
    legend: str = ""
    instant: bool = False
    slow: bool = False
    empty: str = ""

    def target(self, number: int) -> prometheus.Dataquery:
        """As Grafana has it; the first one is A."""
        built = prometheus.Dataquery().expr(self.expression).legend_format(self.legend).ref_id(chr(ord("A") + number))
        built = built.datasource(SOURCE)
        if self.slow:
            built = built.interval(SLOW)
        return built.instant() if self.instant else built.range()


@dataclass(slots=True)
class Board:
    """One dashboard while it is made; rows are filled from left to right, 24 units wide."""

    name: str
    title: str
    description: str
    since: str = "now-15m"
    refresh: str = "5s"
    queries: list[tuple[str, Query]] = field(default_factory=list)
    variables: list[tuple[str, str, str]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    _built: dashboard.Dashboard = field(init=False)

    def __post_init__(self) -> None:
        self._built = (
            dashboard.Dashboard(self.title)
            .uid(f"chaosbench-{self.name}")
            .description(self.description)
            .tags(["chaosbench"])
            .time(self.since, "now")
            .refresh(self.refresh)
            .timezone("browser")
            .readonly()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(dashboard.DashboardLink("chaosbench").type("dashboards").tags(["chaosbench"]).keep_time(True))
        )

    def variable(self, name: str, label: str, metric: str) -> None:
        """A choice above the dashboard: the values that the label ``label`` of the metric has; all to begin with."""
        built = (
            dashboard.QueryVariable(name)
            .label(name)
            .datasource(SOURCE)
            .query(f"label_values({metric}, {label})")
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_DESC if name == "run" else model.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(ALL)
            .current(model.VariableOption(selected=True, text="All", value="$__all"))
        )
        self._built.with_variable(built)
        self.variables.append((name, label, metric))

    def mark(self, name: str, color: str, query: Query, title: str, text: str) -> None:
        """Shade the time in which the query finds something."""
        self._built.annotation(
            dashboard.AnnotationQuery()
            .name(name)
            .datasource(SOURCE)
            .enable(True)
            .icon_color(color)
            .expr(query.expression)
        )
        self.queries.append((f"marks: {name}", query))
        # The SDK's model stops at what all data sources share; these three are the Prometheus data source's own.
        self.marks.append({"titleFormat": title, "textFormat": text, "step": "2s"})

    def row(self, title: str) -> None:
        """A heading; what follows stands below it."""
        self._built.with_row(dashboard.Row(title))

    def panel(self, built: Any, title: str, text: str, queries: tuple[Query, ...], width: int, height: int) -> None:
        """Add a panel of any kind; ``text`` is shown at its information sign."""
        built = built.title(title).description(text).datasource(SOURCE).span(width).height(height)
        for number, query in enumerate(queries):
            built = built.with_target(query.target(number))
            self.queries.append((title, query))
        self._built.with_panel(built)

    def json(self) -> dict[str, Any]:
        """The dashboard as Grafana reads it, without the marks' own fields."""
        return self._built.build().to_json()


def lines(
    board: Board, title: str, text: str, *queries: Query, unit: str = "short", width: int = 12, **more: Any
) -> None:
    """Lines over time; ``stacked=True`` piles them up, ``log=True`` gives a logarithmic axis."""
    built = (
        timeseries.Panel()
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if more.get("stacked") else 8)
        .show_points(kinds.VisibilityMode.NEVER)
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
        .legend(_legend("max", "lastNotNull"))
    )
    if more.get("stacked"):
        built = built.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL))
    if more.get("log"):
        scale = common.ScaleDistributionConfig().type(kinds.ScaleDistribution.LOG).log(10)
        built = built.scale_distribution(scale)
    if more.get("points"):
        built = built.draw_style(kinds.GraphDrawStyle.POINTS).show_points(kinds.VisibilityMode.ALWAYS).point_size(8)
    board.panel(built, title, text, queries, width, more.get("height", 8))


def states(board: Board, title: str, text: str, *queries: Query, width: int = 12, **values: tuple[str, str]) -> None:
    """Bars over time, one a series, coloured by value: ``v0=("down", RED)`` names the value 0."""
    options = {
        name[1:]: model.ValueMappingResult(text=words, color=color, index=number)
        for number, (name, (words, color)) in enumerate(values.items())
    }
    built = (
        statetimeline.Panel()
        .mappings([model.ValueMap(options=options)])
        .merge_values(True)
        .show_value(kinds.VisibilityMode.AUTO)
        .row_height(0.85)
        .line_width(0)
        .fill_opacity(70)
        .legend(common.VizLegendOptions().show_legend(False))
    )
    board.panel(built, title, text, queries, width, 7)


def figure(board: Board, title: str, text: str, query: Query, unit: str = "short", width: int = 4, **more: Any) -> None:
    """One number. ``bad=1`` paints it red from 1 on."""
    steps = [model.Threshold(value=None, color=GREEN)]
    if "bad" in more:
        steps.append(model.Threshold(value=more["bad"], color=RED))
    built = (
        stat.Panel()
        .unit(unit)
        .thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
        .color_mode(kinds.BigValueColorMode.VALUE)
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .text_mode(more.get("text_mode", kinds.BigValueTextMode.AUTO))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .no_value(more.get("none", "-"))
    )
    board.panel(built, title, text, (query,), width, 4)


def bars(board: Board, title: str, text: str, *queries: Query, x: str, unit: str = "s", width: int = 24) -> None:
    """Stacked bars, one for each value of the label ``x``; what is stacked are the values of the label ``phase``."""
    across = model.DataTransformerConfig(id_val="labelsToFields", options={"mode": "columns", "valueLabel": "phase"})
    together = model.DataTransformerConfig(id_val="merge", options={})
    built = (
        barchart.Panel()
        .unit(unit)
        .x_field(x)
        .stacking(kinds.StackingMode.NORMAL)
        .orientation(kinds.VizOrientation.AUTO)
        .line_width(1)
        .fill_opacity(80)
        .gradient_mode(kinds.GraphGradientMode.NONE)
        .legend(_legend())
        .with_transformation(across)
        .with_transformation(together)
    )
    board.panel(built, title, text, queries, width, 9)


def spread(board: Board, title: str, text: str, query: Query, unit: str = "s", width: int = 12) -> None:
    """How often which value: the answers' last values in buckets that Grafana chooses."""
    reduce = model.DataTransformerConfig(id_val="reduce", options={"reducers": ["lastNotNull"]})
    built = (
        histogram_panel.Panel().unit(unit).combine(True).fill_opacity(60).legend(_legend()).with_transformation(reduce)
    )
    board.panel(built, title, text, (query,), width, 8)


def _legend(*calcs: str) -> common.VizLegendOptions:
    built = common.VizLegendOptions().show_legend(True).placement(kinds.LegendPlacement.BOTTOM)
    return built.display_mode(kinds.LegendDisplayMode.LIST).calcs(list(calcs))


def choices(board: Board) -> None:
    """The choices of every dashboard."""
    board.variable("run", "run", "chaosbench_scenario_info")
    board.variable("scenario", "scenario", 'chaosbench_scenario_info{run=~"$run"}')
    board.variable("workload", "workload", "chaosbench_offered_total")
    board.variable("node", "member", "patroni_postgres_running")


def marks(board: Board) -> None:
    """Faults and error windows, on every dashboard."""
    faults = Query("max by (fault, injector, target) (chaosbench_fault_active == 1)")
    board.mark("Faults", RED, faults, "{{fault}}", "{{injector}} {{target}}")
    windows = Query(
        "max by (class) (chaosbench_error_window_open == 1)",
        empty="a fault that clients do not notice opens no window",
    )
    board.mark("Error windows", YELLOW, windows, "{{class}} errors", "error window: {{class}}")
