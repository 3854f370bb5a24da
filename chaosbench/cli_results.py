"""The commands that read results: ``report`` and ``compare``. As in ``cli.py`` what is heavy is imported late."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # argparse gives subparsers a type only in its stubs, and only by a private name.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parsers(commands: Commands) -> None:
    """Make the commands known."""
    _report_parser(commands)
    _compare_parser(commands)


def _report_parser(commands: Commands) -> None:
    report = commands.add_parser("report", help="write a report of a run or of a series of trials")
    report.add_argument("run", type=Path, metavar="RUN", help="its directory, such as runs/latest")
    report.add_argument(
        "--format", choices=("html", "md", "junit", "json"), default="html", help="what to write (default: html)"
    )
    report.add_argument("--out", metavar="FILE", help="where to (default: beside the results; - for stdout)")
    report.add_argument("--figures", type=Path, metavar="DIR", help="write each figure as SVG and PNG too")
    report.set_defaults(command=_report)


def _compare_parser(commands: Commands) -> None:
    compare = commands.add_parser("compare", help="say what differs between runs or series, and how surely")
    compare.add_argument("base", type=Path, metavar="A", help="what the others are compared with")
    compare.add_argument("others", type=Path, nargs="+", metavar="B", help="a run's or a series' directory")
    compare.add_argument("--metric", action="append", default=[], metavar="NAME", help="only this metric (repeatable)")
    compare.add_argument("--html", type=Path, metavar="FILE", help="write the comparison as a page too")
    compare.add_argument(
        "--fail-on",
        choices=("regression",),
        help="exit 1 if something is worse, 3 if there are too few trials to tell",
    )
    compare.add_argument(
        "--tolerance",
        default="0%",
        metavar="SHARE",
        help="with --fail-on: what is worse by less than this share of A's median is no regression (default: 0%%)",
    )
    compare.set_defaults(command=_compare)


def _report(options: argparse.Namespace) -> int:
    from chaosbench.report.command import report, text

    if options.out == "-":
        sys.stdout.write(text(options.run, options.format))
        return 0
    for path in report(options.run, options.format, Path(options.out) if options.out else None, options.figures):
        print(path, flush=True)  # noqa: T201 - this is the command line
    return 0


def _compare(options: argparse.Namespace) -> int:
    from rich.console import Console

    from chaosbench.compare.command import Wish, compare

    wish = Wish(
        paths=(options.base, *options.others),
        metrics=tuple(options.metric),
        html=options.html,
        fail_on_regression=options.fail_on == "regression",
        tolerance=options.tolerance,
    )
    return compare(wish, Console(highlight=False))
