"""Text with a unit to a number, as it stands in YAML: ``90s``, ``1m30s``, ``1000/s``, ``5%``, ``64MB``.

Each parser raises ``ValueError`` whose text says what to write instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo

STORED: Mapping[str, bool] = {"stored": True}
"""Context of a validation: plain numbers are chaosbench's own, in base units, not somebody's who forgot the unit."""

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|m|h|d)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB)")
_BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)")
_BUDGET = re.compile(r"([1-9]\d{0,3})\s*/\s*(m|h|d)")
UNTIL_STOPPED = "until stopped"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``count`` in any ``seconds``."""

    count: int
    seconds: float

    def __str__(self) -> str:
        units = {60.0: "m", 3600.0: "h", 86400.0: "d"}
        return f"{self.count}/{units[self.seconds]}"


def parse_duration(value: object) -> float:
    """Seconds from ``90s``, ``250ms``, ``1m30s``, ``7d``; a bare 0 needs no unit."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
        return 0.0
    text = str(value).strip().replace(" ", "")
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{value!r} is not a duration: write a number with a unit (us, ms, s, m, h, d), as in 30s")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def parse_lasting(value: object) -> float:
    """A duration, or infinity from ``until stopped``."""
    if value == UNTIL_STOPPED:
        return math.inf
    seconds = parse_duration(value)
    if not math.isfinite(seconds):
        raise ValueError("write a number, not inf")
    return seconds


def lasting(seconds: float) -> str:
    """A duration in seconds, as it is told; infinity is ``until stopped``."""
    return f"{seconds:g} s" if math.isfinite(seconds) else UNTIL_STOPPED


def finite(seconds: float) -> float | None:
    """For JSON, which knows no infinity: None."""
    return seconds if math.isfinite(seconds) else None


def parse_budget(value: object) -> Budget:
    """At most so many in so many seconds, from ``6/h``, ``20/d`` or ``2/m``."""
    match = _BUDGET.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is no budget: write a whole number per m, h or d, as in 6/h")
    return Budget(int(match[1]), _SECONDS[match[2]])


def parse_rate(value: object) -> float:
    """Operations a second from ``1000/s``, ``60/m`` or ``3600/h``."""
    match = _RATE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a rate: write a number per unit of time, as in 1000/s")
    return float(match[1]) / _SECONDS[match[2]]


def parse_ratio(value: object) -> float:
    """A share between 0 and 1 from ``80%`` or ``0.8``."""
    text = str(value).strip()
    try:
        ratio = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f"{value!r} is not a share: write 0% to 100%, or 0 to 1")
    return ratio


def parse_size(value: object) -> int:
    """Bytes from ``64MB``; as in PostgreSQL a kB is 1024 bytes."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a size: write a number with a unit (B, kB, MB, GB), as in 64MB")
    return round(float(match[1]) * _BYTES[match[2]])


def parse_throughput(value: object) -> int:
    """Bytes a second from ``4MB/s``."""
    text = str(value).strip()
    if not text.endswith("/s"):
        raise ValueError(f"{value!r} is not a throughput: write a size per second, as in 4MB/s")
    return parse_size(text.removesuffix("/s"))


def or_stored(parse: Callable[[object], float]) -> Callable[[object, ValidationInfo], float]:
    """The parser for text from YAML, which lets a plain number pass where it is chaosbench's own: see ``STORED``."""

    def read(value: object, info: ValidationInfo) -> float:
        if info.context == STORED and isinstance(value, (int, float)):
            return float(value)
        return parse(value)

    return read


Seconds = Annotated[float, BeforeValidator(or_stored(parse_duration)), Field(json_schema_extra={"unit": "s"})]
Lasting = Annotated[float, BeforeValidator(or_stored(parse_lasting)), Field(json_schema_extra={"unit": "s"})]
Rate = Annotated[float, BeforeValidator(or_stored(parse_rate)), Field(gt=0, le=1_000_000)]
Ratio = Annotated[float, BeforeValidator(or_stored(parse_ratio))]
Size = Annotated[int, BeforeValidator(or_stored(parse_size)), Field(gt=0)]
Throughput = Annotated[int, BeforeValidator(or_stored(parse_throughput)), Field(gt=0)]
