"""``intervals.hlog`` read back, in bins of one length: a run of a minute by the second, a soak of a week by the hour.

HdrHistogram_py decodes one interval in 1 to 3 ms, because it allocates and copies
every cell; a week has millions of intervals. The encoding is a short one, so it
is read here straight into the bin, cell by cell that counted; a test holds it to
the library's own decoder.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chaosbench.errors import UsageError
from chaosbench.histogram import CELLS, Histogram
from chaosbench.rolling.reading import lines_of

_MOST_BINS = 600
_SILENCE_S = 0.5
_TAG = "Tag="
_COOKIES = (0x1C849304, 0x1C849303)
_OUTER, _INNER = struct.Struct(">II"), struct.Struct(">IIIIqqd")


@dataclass(slots=True)
class Bin:
    """One stretch of time, in seconds since the measurement began, and by tag what ended in it."""

    start_s: float
    end_s: float
    by_tag: dict[str, Histogram] = field(default_factory=dict)

    @property
    def length_s(self) -> float:
        """How long the stretch is."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Intervals:
    """The bins in order, without a gap between them; and by tag, such as ``write-all-response``, all together."""

    bins: list[Bin] = field(default_factory=list)
    totals: dict[str, Histogram] = field(default_factory=dict)


def bin_width(seconds: float) -> float:
    """How long a bin of a measurement of so many seconds is: a second, or more where a page could not show all."""
    return max(1.0, seconds / _MOST_BINS)


def read_intervals(path: Path, seconds: float, tags: Collection[str] = ()) -> Intervals:
    """The log of a measurement of so many seconds; only these tags, if any are named.

    UsageError when a line is not what chaosbench writes. The last line may have
    been cut short when the run was killed; it is then left out.
    """
    width = bin_width(seconds)
    found = Intervals()
    for tag, start_s, end_s, most_us, encoded in _parsed(path, lines_of(path)):
        if tags and tag not in tags:
            continue
        into = (
            _bin(found.bins, start_s, end_s, width).by_tag.setdefault(tag, Histogram()),
            found.totals.setdefault(tag, Histogram()),
        )
        try:
            _count(encoded, most_us, into)
        except (ValueError, zlib.error, struct.error) as error:
            raise UsageError(f"{path}: an interval of {tag} at {start_s:g} s cannot be read: {error}") from None
    return found


def _bin(bins: list[Bin], start_s: float, end_s: float, width: float) -> Bin:
    """The bin of an interval: the last one, or a new one. Where nothing ended at all, an empty one lies between."""
    reached_s = bins[-1].end_s if bins else 0.0
    if bins and end_s <= reached_s:
        return bins[-1]  # another tag of the same tick
    if start_s > reached_s + _SILENCE_S:
        bins.append(Bin(reached_s, start_s))
    if not bins or bins[-1].length_s + (end_s - start_s) / 2 > width:
        bins.append(Bin(start_s, end_s))
    bins[-1].end_s = end_s
    return bins[-1]


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, float, float, int, str]]:
    """Times count from the start of the measurement, also in a soak that went on: its own downtime is no part of it."""
    for number, line in enumerate(lines, start=1):
        if not line.startswith(_TAG):
            continue
        try:
            tag, start, length, most_ms, encoded = line.rstrip("\n").split(",")
            yield (
                tag.removeprefix(_TAG),
                float(start),
                float(start) + float(length),
                round(float(most_ms) * 1000),
                encoded,
            )
        except ValueError:
            raise UsageError(f"{path}:{number}: not a line of an interval log") from None


def _count(encoded: str, most_us: int, into: tuple[Histogram, ...]) -> None:
    """Add an encoded interval to histograms."""
    for cell, count in _cells(encoded):
        for histogram in into:
            histogram.counts[cell] += count
    for histogram in into:
        histogram.max_us = max(histogram.max_us, most_us)


def _cells(encoded: str) -> Iterator[tuple[int, int]]:
    """HdrHistogram's V2 encoding: the cells that counted. A negative number is a run of cells that did not."""
    try:
        packed = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    outer, length = _OUTER.unpack_from(packed)
    payload = zlib.decompress(packed[_OUTER.size : _OUTER.size + length])
    inner, size, *_ = _INNER.unpack_from(payload)
    if (outer & ~0xF0, inner & ~0xF0) != (_COOKIES[0] & ~0xF0, _COOKIES[1] & ~0xF0):
        raise ValueError("not HdrHistogram's encoding, version 2")
    cell = 0
    for number in _numbers(payload[_INNER.size : _INNER.size + size]):
        if number < 0:
            cell -= number
            continue
        if cell >= CELLS:
            raise ValueError("more cells than a histogram of 60 s at two digits has")
        if number:
            yield cell, number
        cell += 1


def _numbers(coded: bytes) -> Iterator[int]:
    """ZigZag LEB128: seven bits a byte, lowest first, all eight in a ninth; the last bit of the result is the sign."""
    value = shift = 0
    for byte in coded:
        if shift == 56:
            value |= byte << 56
        else:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte & 0x80:
                continue
        yield (value >> 1) ^ -(value & 1)
        value = shift = 0
