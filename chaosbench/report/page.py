"""``report.html``: one file with everything in it. It asks nothing of any machine and needs no script."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import chaosbench
from chaosbench.model.report import Summary
from chaosbench.report import wording
from chaosbench.report.containers import HEADS, container_rows, rows_in_faults
from chaosbench.report.content import RunContent, SeriesContent
from chaosbench.report.drawings import drawings
from chaosbench.report.figures.sheet import Drawing

_GROUPS = {"postgresql": "PostgreSQL", "patroni": "Patroni", "pgpool": "Pgpool", "limits": "Limits of the containers"}


def page(content: RunContent | SeriesContent) -> str:
    """The whole page of a run, or of a series."""
    figures = {key: figure(drawing) for key, drawing in drawings(content).items()}
    if isinstance(content, RunContent):
        summary = content.results.summary
        return render(
            "run.html.j2",
            figures=figures,
            summary=summary,
            settings=settings(summary),
            steps=_steps(content),
            container_heads=HEADS,
            containers=container_rows(summary),
            containers_in_faults=rows_in_faults(summary),
        )
    results = content.results
    first = next(iter(results.trials.values()), None)
    return render(
        "series.html.j2",
        figures=figures,
        report=results.report,
        trials=results.trials,
        scenario_file=results.scenario_file,
        settings=settings(first.summary) if first else {},
    )


def render(template: str, **values: Any) -> str:
    """A template with the words that all of them know."""
    environment = Environment(
        loader=PackageLoader("chaosbench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(
        **values, say=wording, version=chaosbench.__version__, quantity=wording.quantity, none=wording.NONE
    )


def figure(drawing: Drawing) -> Markup:
    """A drawing as an element, once for a wide window and once for a narrow one."""
    wide, narrow = drawing.page_svgs()
    # What stands in them was escaped when they were drawn.
    return Markup(f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div>') + Markup(  # noqa: S704
        "<figcaption>{}</figcaption></figure>"
    ).format(drawing.title)


def settings(summary: Summary) -> dict[str, list[tuple[str, str]]]:
    """What the figures were measured with, by whom it belongs to; versions first."""
    found: dict[str, list[tuple[str, str]]] = {"Versions and machine": [("seed", str(summary.seed))]}
    for name, value in summary.environment.items():
        if not value:
            continue  # Pgpool names some eighty settings that are set to nothing
        owner, _, rest = name.partition(".")
        if rest and owner in _GROUPS:
            found.setdefault(_GROUPS[owner], []).append((rest, value))
        else:
            found["Versions and machine"].append((rest if owner == "version" else name, value))
    return found


def _steps(content: RunContent) -> dict[str, list[tuple[str, str]]]:
    """By fault, its steps; those reached at the same instant share a cell."""
    found = {}
    for fault, steps in content.timeline.steps.items():
        grouped = groupby(steps, key=lambda step: round(step[1], 3))
        found[fault] = [(", ".join(name for name, _ in group), f"{at_s:.3f} s") for at_s, group in grouped]
    return found
