"""The lab: a cluster to try chaosbench on, made by Compose from a directory with a ``compose.yaml``.

Compose makes and removes the containers; whether they are a healthy cluster is
asked of the cluster itself. Nothing here is needed to run against a lab that is up.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chaosbench.clock import Clock, to_s
from chaosbench.cluster.compose import Compose, have_base_image, made_of, make_base_image
from chaosbench.cluster.docker import DockerCluster
from chaosbench.cluster.health import PATIENCE_S, await_healthy
from chaosbench.cluster.labfiles import read_files, read_project
from chaosbench.errors import ClusterUnavailable, UsageError
from chaosbench.model.cluster import BackendView, Member, NodeView, Role, RunState, Snapshot
from chaosbench.rescue import heal_before_up

Report = Callable[[str], None]
"""Takes one line of progress at a time."""

HEALTHY_S = 180.0
"""How long a started lab may take to become healthy: a replica may have to be copied anew."""

_MARK = "compose.yaml"


@dataclass(frozen=True, slots=True)
class LabStatus:
    """What ``chaosbench lab status`` shows; ``exit_code`` is 0 when nothing is wrong and 3 otherwise."""

    snapshot: Snapshot
    problems: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 healthy, 3 not."""
        return 3 if self.problems else 0


def find_lab(start: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The lab's directory: CHAOSBENCH_LAB, or ``infra`` beside or above ``start``, or ``start`` itself.

    UsageError when there is none.
    """
    if named := environ.get("CHAOSBENCH_LAB"):
        return check_lab(Path(named))
    for directory in (start, *start.absolute().parents):
        for lab in (directory / "infra", directory):
            if (lab / _MARK).is_file() and (lab / "base-image.sh").is_file():
                return lab
    raise UsageError(f"no lab at or above {start}: name its directory with --lab, or in CHAOSBENCH_LAB")


def check_lab(lab: Path) -> Path:
    """The same path if it is a lab's directory; UsageError if not."""
    if not (lab / _MARK).is_file():
        raise UsageError(f"{lab} has no {_MARK}: --lab and CHAOSBENCH_LAB take the lab's directory")
    return lab


def lab_if_any(named: Path | None) -> Path | None:
    """The lab's directory: ``named``, which must be one, or one that is found from here; None when there is none."""
    if named is not None:
        return check_lab(named)
    try:
        return find_lab(Path.cwd())
    except UsageError:
        return None


async def up(lab: Path, report: Report) -> None:
    """Bring the lab up and return when it is healthy; at once when it is already.

    UsageError when it is up and made of other files than those that are chosen now.
    ClusterUnavailable in one line when it cannot be done; Compose's own last
    words go to ``report`` before.
    """
    clock = Clock()
    began = clock.now()

    def say(line: str) -> None:
        report(f"[{to_s(clock.now() - began):5.1f} s] {line}")

    await _require_same_files(lab)
    await heal_before_up(lab, report)
    if await _is_healthy(lab):
        report("the lab is up and healthy already")
        return
    compose = await Compose.find(lab)
    if not await have_base_image():
        say("making the base image")
        await make_base_image(lab, say)
    if missing := await compose.missing_images():
        say(f"building {', '.join(missing)} (a few minutes the first time)")
    # Also when none is missing: an image made from an older checkout is no longer this lab. Nothing changed: a second.
    await compose.build(say)
    async with _if_started(lab) as cluster:
        if cluster is not None:
            await _thaw(cluster, say)
    say("starting the containers")
    await compose.up(say)
    async with DockerCluster.at(lab) as cluster:
        await await_healthy(cluster, clock, HEALTHY_S, lambda problems: say(_progress(problems)))


async def down(lab: Path, report: Report, volumes: bool = False) -> None:
    """Remove the lab's containers; with ``volumes`` its data too."""
    compose = await Compose.with_everything(lab)
    async with _if_started(lab) as cluster:
        if cluster is not None:
            await _thaw(cluster, report)
    await compose.down(report, volumes=volumes)
    report("the lab is down" + (", its data removed" if volumes else "; its data is kept (remove it with --volumes)"))


async def status(lab: Path) -> LabStatus:
    """The lab now; ClusterUnavailable when no engine answers or the lab is not up."""
    async with DockerCluster.at(lab) as cluster:
        snapshot = await cluster.snapshot(PATIENCE_S)
    return LabStatus(snapshot, snapshot.problems())


def render(status: LabStatus) -> str:
    """A table of members as they see themselves and as each Pgpool sees them, and what is wrong."""
    snapshot = status.snapshot
    pgpools = [pgpool.name for pgpool in snapshot.of(Role.PGPOOL)]
    head = ["MEMBER", "CONTAINER", "ROLE", "STATE", "TIMELINE", *(f"IN {name}".upper() for name in pgpools), "ADDRESS"]
    rows = [head, *(_row(snapshot, member, pgpools) for member in snapshot.members)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    verdict = ["healthy"] if not status.problems else ["not healthy:", *(f"  - {line}" for line in status.problems)]
    return "\n".join([*lines, "", *verdict])


def _row(snapshot: Snapshot, member: Member, pgpools: list[str]) -> list[str]:
    node = snapshot.nodes.get(member.name, NodeView(state=""))
    views = [_backend(snapshot.backends.get(pgpool, {}).get(member.name)) for pgpool in pgpools]
    role = node.role or ("?" if member.role is Role.POSTGRES else "")
    timeline = "" if node.timeline is None else str(node.timeline)
    address = next((str(port) for name, port in member.ports.items() if name in ("sql", "etcd")), "")
    return [member.name, str(member.state), role, node.state, timeline, *views, address]


def _backend(view: BackendView | None) -> str:
    return "" if view is None else f"{view.role}, {view.status}"


def _progress(problems: tuple[str, ...]) -> str:
    return f"waiting: {'; '.join(problems)}" if problems else "healthy"


@asynccontextmanager
async def _if_started(lab: Path) -> AsyncIterator[DockerCluster | None]:
    """The lab's cluster; None when it was never started, so that there are no passwords to read."""
    try:
        cluster = DockerCluster.at(lab)
    except ClusterUnavailable:
        yield None
        return
    async with cluster:
        yield cluster


async def _require_same_files(lab: Path) -> None:
    """Compose would make another lab out of this one in passing: members come and go, and their data with them."""
    chosen, there = read_files(lab), await made_of(lab, read_project(lab))
    if there not in ((), chosen):
        raise UsageError(
            f"the lab is up and made of {', '.join(there)}, and COMPOSE_FILE asks for {', '.join(chosen)}: "
            "take it down first with `chaosbench lab down`"
        )


async def _is_healthy(lab: Path) -> bool:
    try:
        return (await status(lab)).exit_code == 0
    except ClusterUnavailable:
        return False


async def _thaw(cluster: DockerCluster, report: Report) -> None:
    """Compose neither starts nor stops a frozen container."""
    try:
        members = (await cluster.snapshot()).members
    except ClusterUnavailable:
        return  # no containers yet
    for member in members:
        if member.state is RunState.PAUSED:
            report(f"thawing {member.name}")
            await cluster.unpause(member)
