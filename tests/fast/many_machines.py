"""The coordinator's side of the many-machine test, run inside a network namespace of its own.

    python tests/fast/many_machines.py SCHEDULER HOST PID-FILE

A server for the load listens at HOST; the workers of the scheduler come from
other namespaces. Half-way, the process that the file names is killed. Prints
what was found as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import uvloop
from ledgerserver import listening
from test_distributed_processes import Wide

from chaosbench.distributed.dask import SchedulerCrew
from chaosbench.scenarios.report import counted


async def main(scheduler: str, host: str, victim: int) -> dict[str, object]:
    async with listening(host) as server:
        wide = Wide(SchedulerCrew(scheduler, 2), server, rate="200/s", connections=4)
        async with wide.loaded():
            await asyncio.sleep(1.5)
            peers = {backend.peer for backend in server.connections}
            os.kill(victim, signal.SIGKILL)
            async with asyncio.timeout(15):
                await wide.told.wait()
            await asyncio.sleep(0.5)
        wide.accounted()
        counts = counted(wide.recorder.operations())
        return {
            "peers": sorted(peers),
            "attempted": counts.attempted,
            "ok": counts.ok,
            "unknown": counts.unknown,
            "workers": [
                [one.address, one.clock_offset_s, one.clock_uncertainty_ms, one.lost_why]
                for one in wide.engine.report()
            ],
        }


if __name__ == "__main__":
    asked, here, file = sys.argv[1:]
    print(json.dumps(uvloop.run(main(asked, here, int(Path(file).read_text())))))
