"""What looks on while chaosbench runs: Prometheus, its exporters and Grafana, beside a lab that is up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from chaosbench.cluster.compose import MONITORING_FILE, Compose, have_image
from chaosbench.cluster.labfiles import read_settings
from chaosbench.errors import ClusterUnavailable, UsageError

Report = Callable[[str], None]

BUILT = ("prometheus", "postgres-exporter", "pgpool-exporter")
GRAFANA = "grafana"
READY_S = 60.0
_ASK_S = 2.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the two that people open listen, without a scheme."""

    prometheus: str
    grafana: str

    @classmethod
    def of(cls, lab: Path) -> Addresses:
        """As the lab's ``.env`` has them, or the environment instead."""
        settings = read_settings(lab, os.environ)
        host = settings["MONITORING_ADDRESS"]
        return cls(f"{host}:{settings['PROMETHEUS_PORT']}", f"{host}:{settings['GRAFANA_PORT']}")


async def up(lab: Path, report: Report) -> None:
    """Start it and return when Prometheus answers; the lab itself must be up.

    Without Grafana's image, the only one that is not built from the lab's files,
    everything else runs and one line says so. ClusterUnavailable when it cannot be done.
    """
    if not (lab / MONITORING_FILE).is_file():
        raise UsageError(f"{lab} has no {MONITORING_FILE}: there is no monitoring for this lab")
    compose = await Compose.with_monitoring(lab)
    report("building the monitoring image (a minute the first time)")
    await compose.build(report, "prometheus")
    image = await compose.image_of(GRAFANA)
    with_grafana = await have_image(image)
    await compose.up(report, *BUILT, *([GRAFANA] if with_grafana else []))
    addresses = Addresses.of(lab)
    await _ready(f"http://{addresses.prometheus}/-/ready")
    report(f"Prometheus: http://{addresses.prometheus}")
    if with_grafana:
        await _ready(f"http://{addresses.grafana}/api/health")
        password = lab / "secrets" / "monitoring.env"
        report(f"Grafana: http://{addresses.grafana}, user admin, GRAFANA_PASSWORD of {password}")
    else:
        report(
            f"no Grafana: the image {image} is not on this engine and cannot be pulled; all the rest runs without it"
        )


async def _ready(url: str) -> None:
    """Wait until it answers with 200; ClusterUnavailable when it does not."""
    try:
        async with asyncio.timeout(READY_S), aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_ASK_S)) as session:
            answered = await _answers(session, url)
            while not answered:
                await asyncio.sleep(0.2)
                answered = await _answers(session, url)
    except TimeoutError:
        raise ClusterUnavailable(f"{url} does not answer within {READY_S:g} s: see the container's log") from None


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
