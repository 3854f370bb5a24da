"""One lab for all live tests: brought up if it is not, whole before each test, left up afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import pytest_asyncio

from chaosbench import lab
from chaosbench.clock import Clock
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import await_healthy
from chaosbench.model.cluster import Member, RunState


def docker(*words: str) -> str:
    """Ask the engine through its own client, so that chaosbench is checked from outside."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def container_state(container_id: str) -> str:
    """``running``, ``paused`` or ``exited``, as Docker's client tells it."""
    return docker("inspect", "--format", "{{.State.Status}}", container_id)


def sql(member: Member, statement: str) -> str:
    """Ask a node as its superuser, from inside its own container."""
    return docker("exec", "-u", "postgres", member.container_id, "psql", "-XAtqc", statement)


def helpers_of(member: Member) -> list[str]:
    """Helper containers of the member's lab, whoever they stand beside; another lab may have its own meanwhile."""
    lab_label = docker("inspect", "--format", '{{index .Config.Labels "io.chaosbench.lab"}}', member.container_id)
    labels = ("--filter", f"label=io.chaosbench.lab={lab_label}", "--filter", "label=io.chaosbench.role=helper")
    return docker("ps", "--all", *labels, "--format", "{{.Names}}").split()


def patroni_leader(container_id: str) -> str:
    """Who leads, as one member's Patroni tells it from the DCS."""
    address = docker("port", container_id, "8008")
    with urlopen(f"http://{address}/cluster", timeout=10) as response:
        members = json.load(response)["members"]
    return next((member["name"] for member in members if member["role"] == "leader"), "")


@pytest.fixture(scope="session")
def lab_directory() -> Path:
    """The directory of a lab that is up."""
    directory = lab.find_lab(Path(__file__).parent, os.environ)
    asyncio.run(lab.up(directory, print))
    return directory


@pytest_asyncio.fixture
async def cluster(lab_directory: Path) -> AsyncIterator[DockerCluster]:
    """The lab's cluster, healthy; whatever the test leaves frozen or stopped is brought back."""
    async with DockerCluster.at(lab_directory) as cluster:
        await await_healthy(cluster, Clock(), 120)
        yield cluster
        for member in (await cluster.snapshot()).members:
            if member.state is RunState.PAUSED:
                await cluster.unpause(member)
            elif member.state is not RunState.RUNNING:
                await cluster.start(member)
