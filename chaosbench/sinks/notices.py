"""What befell the machine that measures: a full disk, results deleted for room, a wall clock that was set. Bounded."""

from __future__ import annotations

from collections.abc import Callable

from chaosbench.events import Event, Kind
from chaosbench.recorder.recorder import Recorder
from chaosbench.rolling import News, Rolled
from chaosbench.sinks.wording import say

TEXTS_KEPT = 20
"""Notices that the summary repeats word for word; later ones are counted."""


class Notices:
    """Folds events; :meth:`warnings` is what the summary says of them.

    ``full``      files that cannot be written now
    ``lost``      lines that were given up, by file
    ``removed``   closed parts that were deleted
    ``steps``     steps of the wall clock
    """

    name = "notices"

    def __init__(self) -> None:
        self.full: dict[str, bool] = {}
        self.lost: dict[str, int] = {}
        self.removed = 0
        self.steps = 0
        self._texts: list[str] = []
        self._more = 0

    def on_event(self, event: Event) -> None:
        """Take one in."""
        data = event.data
        match event.kind:
            case Kind.DISK_FULL:
                self.full[data["file"]] = True
                self.lost.setdefault(data["file"], 0)
            case Kind.DISK_ROOM:
                self.full[data["file"]] = False
                self.lost[data["file"]] = self.lost.get(data["file"], 0) + data["lost"]
            case Kind.PARTS_REMOVED:
                self.removed += len(data["parts"])
            case Kind.CLOCK_STEPPED:
                self.steps += 1
            case _:
                return
        saying = say(event)
        if saying is not None and len(self._texts) < TEXTS_KEPT:
            self._texts.append(saying.text)
        else:
            self._more += 1

    def on_tick(self, recorder: Recorder) -> None:
        """Ticks say nothing of this."""

    def close(self) -> None:
        """There is nothing to close."""

    def warnings(self) -> tuple[str, ...]:
        """The first of them in words, and how many came after."""
        more = (f"{self._more} more of these: see events.jsonl",) if self._more else ()
        return (*self._texts, *more)


class FilesTold:
    """Tells of the run's files at each tick: a disk that is full, or has room again; parts that were deleted."""

    name = "files"

    def __init__(self, rolled: Rolled, say: Callable[..., None]) -> None:
        self._rolled = rolled
        self._say = say

    def on_event(self, event: Event) -> None:
        """Files are looked at when there is time."""

    def on_tick(self, recorder: Recorder) -> None:
        """Tell what has happened since the last."""
        for news in self._rolled.news():
            self._tell(news)

    def close(self) -> None:
        """Tell the rest."""
        for news in self._rolled.news():
            self._tell(news)

    def _tell(self, news: News) -> None:
        match news.what:
            case "full":
                self._say(Kind.DISK_FULL, file=news.file, error=news.why)
            case "room":
                lasted_s = round((news.until_ns - news.since_ns) / 1e9, 3)
                self._say(Kind.DISK_ROOM, file=news.file, since_ns=news.since_ns, duration_s=lasted_s, lost=news.lost)
            case _:
                self._say(Kind.PARTS_REMOVED, parts=list(news.parts), reason=news.why)
