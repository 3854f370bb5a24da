"""One measurement of this project's own side, in a process of its own.

    python -m bench.child NAME '{"...": ...}'

The arguments are the fields of the dataclass that the measurement takes, as
JSON; what it returns is printed as JSON. ``calling`` is the other end. A
process imports its own measurement alone: what others bring along, Dask above
all, would be in its memory too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

import uvloop
from pydantic import TypeAdapter

CHILDREN: Mapping[str, tuple[str, str, str]] = {
    "engine": ("load", "Load", "engine"),
    "bare": ("load", "Load", "bare"),
    "alternating": ("alternating", "Turns", "alternating"),
    "open-loop": ("open_loop", "Steady", "steady"),
    "stalled-engine": ("stall", "Stalled", "engine"),
    "stalled-bare": ("stall", "Stalled", "bare"),
    "memory": ("memory", "Stretch", "stretch"),
    "wide": ("wide", "Carried", "carried"),
}
"""Of each the module, the dataclass that it is asked with, and the coroutine function that measures."""


def main() -> None:
    """Measure, and print what was found."""
    module, asked, measurement = CHILDREN[sys.argv[1]]
    found = import_module(f"bench.{module}")
    arguments = TypeAdapter(getattr(found, asked)).validate_json(sys.argv[2])
    print(TypeAdapter(object).dump_json(uvloop.run(getattr(found, measurement)(arguments))).decode())


if __name__ == "__main__":
    main()
