"""Prometheus and Grafana come by or they do not: a run asks nothing of them, and ends in time without them."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path

from sinks_cases import Bench, event

from chaosbench.clock import NS
from chaosbench.events import Kind
from chaosbench.sinks.prometheus import PrometheusSink

PACKAGE = Path(__file__).parents[2] / "chaosbench"
LOOKING_ON = {"monitoring.py", "lab.py", "cli_lab.py"}
"""What brings the monitoring up and down, by Compose."""


def test_nothing_of_a_run_knows_where_prometheus_or_grafana_are():
    named = re.compile(
        r"PROMETHEUS_PORT|GRAFANA_PORT|MONITORING_ADDRESS|:9090|:3000|pushgateway|remote_write", re.IGNORECASE
    )
    found = {path.name for path in PACKAGE.rglob("*.py") if named.search(path.read_text(encoding="utf-8"))}
    assert found <= LOOKING_ON
    code = "import sys, chaosbench.daemon; print('chaosbench.monitoring' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "False\n"


async def test_a_scraper_that_hangs_or_vanishes_holds_nobody_up():
    bench, sink = Bench(), PrometheusSink(0)
    await sink.start()
    loop = asyncio.get_running_loop()
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    hanging = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(3)]
    try:
        for one in hanging[:2]:  # they ask, and never read the answer
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            one.sendall(request)
            await asyncio.sleep(0.1)
        hanging[2].sendall(request)
        hanging[2].close()  # it asked, and is gone
        longest = 0.0
        for second in range(20):
            began = loop.time()
            bench.now_ns += NS
            bench.ok(10)
            sink.on_event(event(Kind.LEADER_CHANGED, second))
            sink.on_tick(bench.recorder)
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - began)
        assert longest < 1.0, "the loop went on"
        began = loop.time()
        await sink.last_look()
        assert loop.time() - began < 3.0, "whoever came by twice is waited for, and not for long"
    finally:
        began = loop.time()
        await sink.stop()
        for one in hanging:
            one.close()
    assert loop.time() - began < 5.0
