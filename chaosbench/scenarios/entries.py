"""The entries under ``load``.

An entry mixes the keys of the stream with those of its workload: each class's
fields are its keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any, TypeVar

from chaosbench.model.scenario import Spread, StreamSettings
from chaosbench.scenarios.document import Document, Path_, closest
from chaosbench.scenarios.scenario import Stream
from chaosbench.scenarios.validate import build, keys_of
from chaosbench.workload import WORKLOADS

M = TypeVar("M")
C = TypeVar("C")


def load_of(raw: Any, path: Path_, document: Document) -> tuple[Spread | None, tuple[Stream, ...]]:
    """What stands under ``load``: streams, or a mapping of who carries them and ``streams``."""
    keys = {*keys_of(Spread), "streams"}
    misplaced = sorted(keys & set(raw)) if isinstance(raw, dict) else []
    if not misplaced:
        return None, streams_of(raw, path, document)
    if "workload" in raw:
        document.add((*path, misplaced[0]), f"{misplaced[0]}: write load: {{workers: 2, streams: [{{workload: ...}}]}}")
        return None, ()
    spread = build(Spread, {key: raw[key] for key in raw if key != "streams"}, path, document, known=("streams",))
    inside = (*path, "streams") if "streams" in raw else path
    streams = streams_of(raw.get("streams"), inside, document)
    if spread is not None:
        _check_spread(spread, streams, path, document)
    return spread, streams


def _check_spread(spread: Spread, streams: tuple[Stream, ...], path: Path_, document: Document) -> None:
    """Whether there is something to be shared out for every worker, and Dask to do it with."""
    key = "workers" if spread.workers is not None else "scheduler"
    if find_spec("distributed") is None:
        document.add((*path, key), f"{key}: load from several processes needs pip install 'chaosbench[distributed]'")
    for stream in streams:
        least = spread.workers or 1
        for what, number in stream.divisible:
            if number < least:
                said = (
                    f"{key}: {least} workers cannot share the {number} {what} of {stream.name!r}; write fewer workers"
                )
                document.add((*path, key), said)


def streams_of(raw: Any, path: Path_, document: Document) -> tuple[Stream, ...]:
    """What stands under ``load``: one entry or a list of them."""
    entries = raw if isinstance(raw, list) else [raw] if raw is not None else []
    if not entries:
        document.add(path, "'load' is missing; without load there is nothing to measure")
    streams: list[Stream] = []
    for index, entry in enumerate(entries):
        where = (*path, index) if isinstance(raw, list) else path
        stream = _stream(entry, where, document)
        if stream is None:
            continue
        if any(stream.name == other.name for other in streams):
            document.add(where, f"two streams are called {stream.name!r}; give one a 'name' of its own")
        streams.append(stream)
    return tuple(streams)


def _stream(entry: Any, path: Path_, document: Document) -> Stream | None:
    picked = chosen(entry, "workload", WORKLOADS, path, document)
    if picked is None:
        return None
    kind, rest = picked
    settings, workload = both(StreamSettings, WORKLOADS[kind], rest, path, document, "workload")
    if settings is None or workload is None:
        return None
    _check_load_model(settings, rest, path, document)
    return Stream(name=settings.name or kind, workload=workload, settings=settings)


def _check_load_model(settings: StreamSettings, given: dict[str, Any], path: Path_, document: Document) -> None:
    if (settings.rate is None) == (settings.clients is None):
        document.add(path, "give either 'rate' (open loop, as in 1000/s) or 'clients' (closed loop, as in 32)")
        return
    others = ("think",) if settings.rate is not None else ("arrivals", "stages", "connections", "backlog", "deadline")
    model, key = ("an open", "rate") if settings.rate is not None else ("a closed", "clients")
    for other in others:
        if other in given:
            document.add((*path, other), f"{other!r} has no meaning with {key!r} ({model} loop)")


def both(
    mine: type[M], other: type[C], entry: dict[str, Any], path: Path_, document: Document, key: str
) -> tuple[M | None, C | None]:
    """An entry's two halves: the keys that every entry has, and those of the class that ``key`` names."""
    keys = keys_of(mine)
    ours = {name: value for name, value in entry.items() if name in keys}
    rest = {name: value for name, value in entry.items() if name not in keys}
    return build(mine, ours, path, document), build(other, rest, path, document, known=(key, *keys))


def chosen(
    entry: Any, key: str, table: Mapping[str, Any], path: Path_, document: Document
) -> tuple[str, dict[str, Any]] | None:
    """The entry's kind, and its other keys."""
    if not isinstance(entry, dict) or key not in entry:
        slip = get_close_matches(key, map(str, entry), n=1) if isinstance(entry, dict) else []
        hint = f"did you mean it by {slip[0]!r}?" if slip else f"write one of: {', '.join(table)}"
        document.add((*path, *slip), f"{key!r} is missing; {hint}")
        return None
    kind = entry[key]
    if not isinstance(kind, str) or kind not in table:
        document.add((*path, key), f"{key}: {kind!r} is not known{closest(str(kind), list(table))}")
        return None
    return kind, {k: v for k, v in entry.items() if k != key}
