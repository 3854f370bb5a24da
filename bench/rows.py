"""The table of all benchmarks, in the order in which they are run and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from bench.cost import above_bare, against_peers
from bench.directory import directory
from bench.memory import memory
from bench.open_loop import open_loop
from bench.results import Row
from bench.stall import stall
from bench.startup import startup
from bench.surroundings import Lab
from bench.throughput import throughput
from bench.watching import watching
from bench.wide import wide

ON_THE_LAB: Mapping[str, Callable[[Lab, bool], Iterator[Row]]] = {
    "select-only-pgpool": lambda lab, quick: throughput(lab, lab.pgpool, "select-only", quick),
    "select-only-node": lambda lab, quick: throughput(lab, lab.node, "select-only", quick),
    "tpcb-like-pgpool": lambda lab, quick: throughput(lab, lab.pgpool, "tpcb-like", quick),
    "tpcb-like-node": lambda lab, quick: throughput(lab, lab.node, "tpcb-like", quick),
    "cpu": above_bare,
    "cpu-peers": against_peers,
    "open-loop": open_loop,
    "run-directory": directory,
}
ALONE: Mapping[str, Callable[[bool], Iterator[Row]]] = {
    "stall": stall,
    "watching": watching,
    "startup": startup,
    "memory": memory,
    "wide": wide,
}
NAMES = (*ON_THE_LAB, *ALONE)
