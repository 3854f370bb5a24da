"""``chaosbench report``: read, fold, write. And the same in a process of its own, after a run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from chaosbench.errors import UsageError
from chaosbench.report.content import RunContent, SeriesContent, run_content, series_content
from chaosbench.report.data import data
from chaosbench.report.junit import junit
from chaosbench.report.markdown import markdown
from chaosbench.report.reading import RunResults, read_results

NEEDED = ("jinja2", "matplotlib")
MISSING = "no report was made: it needs matplotlib and Jinja2: pip install 'chaosbench[report]'"
LONGEST_S = 300.0


def _page(content: RunContent | SeriesContent) -> str:
    require()
    from chaosbench.report.page import page

    return page(content)


FORMATS: Mapping[str, tuple[str, Callable[[RunContent | SeriesContent], str]]] = {
    "html": ("report.html", _page),
    "md": ("report.md", markdown),
    "junit": ("junit.xml", junit),
    "json": ("report.json", data),
}
"""By the name that the command line knows: the file's name, and what makes its text."""


def available() -> bool:
    """Whether what draws and writes the page is installed; it is not imported to find out."""
    return all(find_spec(name) is not None for name in NEEDED)


def require() -> None:
    """UsageError when what draws and writes the page is not installed."""
    if not available():
        raise UsageError(MISSING)


def report(path: Path, form: str, target: Path | None, figures: Path | None) -> list[Path]:
    """Write a report of a run or a series, beside it unless a target is named; returns what was written.

    A page of a series also has its trials' pages made, which it links to.
    Raises UsageError.
    """
    results = read_results(path)
    content = run_content(results) if isinstance(results, RunResults) else series_content(results)
    name, make = FORMATS[form]
    written = [_write(target or results.path / name, make(content))]
    if isinstance(content, SeriesContent) and form == "html" and target is None:
        written += [_write(trial.path / name, make(run_content(trial))) for trial in content.results.trials.values()]
    if figures is not None:
        written += _figures(content, figures)
    return written


def text(path: Path, form: str) -> str:
    """The same as text. Raises UsageError."""
    results = read_results(path)
    return FORMATS[form][1](run_content(results) if isinstance(results, RunResults) else series_content(results))


def _figures(content: RunContent | SeriesContent, directory: Path) -> list[Path]:
    require()
    from chaosbench.report.drawings import drawings

    try:
        directory.mkdir(parents=True, exist_ok=True)
        return [path for drawing in drawings(content).values() for path in drawing.write(directory)]
    except OSError as error:
        raise UsageError(f"{directory}: figures cannot be written there: {error.strerror}") from None


def _write(target: Path, content: str) -> Path:
    """Whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_text(content, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from None
    return target


async def report_apart(path: Path) -> str:
    """Make ``report.html`` in a process of its own; returns a line that says where it is, or why there is none.

    Drawing takes seconds of CPU and brings large libraries along: neither has a
    place in the process that carries the next scenario's load.
    """
    if not available():
        return MISSING
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chaosbench", "report", str(path),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LONGEST_S):
            _, said = await process.communicate()
    except TimeoutError:
        return f"no report was made within {LONGEST_S:g} s: chaosbench report {path}"
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
        return f"no report was made: {lines[-1]}"
    return f"report in {path / FORMATS['html'][0]}"
