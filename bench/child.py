"""One measurement of this project's own side, in a process of its own.

    python -m bench.child NAME '{"...": ...}'

The arguments are the fields of the dataclass that the measurement takes, as
JSON; what it returns is printed as JSON. ``calling`` is the other end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import uvloop
from pydantic import TypeAdapter

from bench import alternating, load, memory, open_loop, stall, wide

CHILDREN: Mapping[str, tuple[type[Any], Callable[[Any], Coroutine[Any, Any, object]]]] = {
    "engine": (load.Load, load.engine),
    "bare": (load.Load, load.bare),
    "alternating": (alternating.Turns, alternating.alternating),
    "open-loop": (open_loop.Steady, open_loop.steady),
    "stalled-engine": (stall.Stalled, stall.engine),
    "stalled-bare": (stall.Stalled, stall.bare),
    "memory": (memory.Stretch, memory.stretch),
    "wide": (wide.Carried, wide.carried),
}


def main() -> None:
    """Measure, and print what was found."""
    asked, measurement = CHILDREN[sys.argv[1]]
    arguments = TypeAdapter(asked).validate_json(sys.argv[2])
    print(TypeAdapter(object).dump_json(uvloop.run(measurement(arguments))).decode())


if __name__ == "__main__":
    main()
