"""How every figure looks, and how it is written: as SVG inside a page, or as SVG and PNG for print.

Inside a page colours are the page's own (``var(--read)``), so that one drawing serves light and dark. Each figure is
drawn twice, for a wide and for a narrow window, because text that is shrunk to a phone's width cannot be read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDE, NARROW = 9.4, 4.0
_PNG_DPI = 300


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours by what they mean. On paper they differ in lightness as well, so that grey still tells them apart."""

    text: str = "#1c2330"
    faint: str = "#6a7385"
    grid: str = "#dfe3ea"
    paper: str = "#ffffff"
    read: str = "#1b6ca8"
    write: str = "#c2570c"
    fault: str = "#8a8f9c"
    bad: str = "#b3261e"
    leader: str = "#4f6d7a"
    detection: str = "#14304f"
    election: str = "#3f7cac"
    promotion: str = "#9cc5e3"
    proxy: str = "#e8a33d"
    client: str = "#f6dfae"
    rest: str = "#b9bec8"

    @property
    def phases(self) -> dict[str, str]:
        """The colour of each phase; of what no phase accounts for too."""
        names = ("detection", "election", "promotion", "proxy", "client")
        return {name: getattr(self, name) for name in names} | {"not taken apart": self.rest}


PRINT = Ink()
_NAMES = tuple(Ink.__dataclass_fields__)
_PAGE = Ink(**{name: f"#0badc{number:x}" for number, name in enumerate(_NAMES)})
"""Colours that mean nothing; each is replaced by the page's own of that name."""

HATCHES = {
    "detection": "",
    "election": "////",
    "promotion": "",
    "proxy": "\\\\\\\\",
    "client": "....",
    "not taken apart": "xx",
}

Draw = Callable[[Figure, Ink, bool], None]
"""Draws on an empty figure; the last argument tells whether the window is narrow."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that can be drawn at any size.

    key:      its file's name
    title:    what a person calls it
    told:     the same in words, for who does not see it
    heights:  inches, wide and narrow
    """

    key: str
    title: str
    told: str
    draw: Draw
    heights: tuple[float, float]

    def page_svgs(self) -> tuple[str, str]:
        """For a page: wide and narrow."""
        return self._page_svg(narrow=False), self._page_svg(narrow=True)

    def _page_svg(self, *, narrow: bool) -> str:
        with _style(_PAGE, narrow=narrow):
            figure = self._figure(_PAGE, narrow=narrow)
            return _inline(_svg(figure), f"{self.key}-{'n' if narrow else 'w'}", self.title, self.told)

    def write(self, directory: Path) -> Iterator[Path]:
        """For a thesis: ``key.svg`` and ``key.png``, drawn wide. Raises OSError."""
        with _style(PRINT, narrow=False):
            figure = self._figure(PRINT, narrow=False)
            svg, png = directory / f"{self.key}.svg", directory / f"{self.key}.png"
            svg.write_text(_svg(figure), encoding="utf-8")
            yield svg
            figure.savefig(png, dpi=_PNG_DPI, facecolor=PRINT.paper, metadata={"Title": self.title, "Software": None})
            yield png

    def _figure(self, ink: Ink, *, narrow: bool) -> Figure:
        figure = Figure(figsize=(NARROW if narrow else WIDE, self.heights[narrow]), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, hspace=0.02)  # type: ignore[union-attr, call-arg]
        self.draw(figure, ink, narrow)
        return figure


@contextmanager
def _style(ink: Ink, *, narrow: bool) -> Iterator[None]:
    size = 8.5 if narrow else 9.0
    settings = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": size,
        "axes.titlesize": size,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": size,
        "axes.edgecolor": ink.faint,
        "axes.labelcolor": ink.text,
        "axes.titlecolor": ink.text,
        "axes.facecolor": "none",
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": ink.grid,
        "grid.linewidth": 0.6,
        "text.color": ink.text,
        "xtick.color": ink.faint,
        "ytick.color": ink.faint,
        "xtick.labelcolor": ink.text,
        "ytick.labelcolor": ink.text,
        "xtick.labelsize": size - 0.5,
        "ytick.labelsize": size - 0.5,
        "legend.frameon": False,
        "legend.fontsize": size - 0.5,
        "legend.handlelength": 2.2,
        "figure.facecolor": "none",
        "hatch.linewidth": 0.6,
        "hatch.color": ink.paper,
        "svg.fonttype": "none",
        "svg.hashsalt": "chaosbench",
        "axes.unicode_minus": False,
    }
    with matplotlib.rc_context(settings):  # type: ignore[arg-type]
        yield


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


_IDS = re.compile(r'\bid="([^"]+)"|url\(#([^)]+)\)|xlink:href="#([^"]+)"')


def _inline(svg: str, prefix: str, title: str, told: str) -> str:
    """A whole SVG file as an element of a page: no prologue, ids of its own, the page's colours, told in words."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = _IDS.sub(lambda m: m[0].replace(m[1] or m[2] or m[3], f"{prefix}-{m[1] or m[2] or m[3]}"), body)
    for name in _NAMES:
        body = body.replace(getattr(_PAGE, name), f"var(--{name})")
    head = re.search(r'viewBox="([^"]+)"', body)
    assert head is not None
    inner = body[body.index(">") + 1 :]
    labels = f"<title id='{prefix}-title'>{escape(title)}</title><desc id='{prefix}-desc'>{escape(told)}</desc>"
    return (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{head[1]}" role="img" '
        f"aria-labelledby='{prefix}-title' aria-describedby='{prefix}-desc'>{labels}{inner}"
    )


def above(axes: Axes, columns: int) -> None:
    """The legend over the axes, where it hides nothing."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.0), ncols=columns, borderaxespad=0.2, columnspacing=1.2)
