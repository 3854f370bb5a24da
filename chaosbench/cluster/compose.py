"""Compose as a subprocess: whichever of its two versions is there, bounded in time, its output kept for the error."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from chaosbench.cluster.labfiles import DEFAULT_FILE, read_files
from chaosbench.errors import ClusterUnavailable

Report = Callable[[str], None]

BASE_IMAGE = "debian:trixie-slim"

MONITORING_FILE = "compose.monitoring.yaml"
_GRAFANA = ("--profile", "grafana")

FILES_LABEL = "io.chaosbench.files"
"""Carried by the lab's job ``settings``."""

_LOOK_S = 20.0
_START_S = 300.0
_BUILD_S = 3600.0
_PULL_S = 300.0
_TAIL = 15
_BEAT_S = 10.0
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Compose:
    """Compose in one lab directory. ``command`` is ``docker compose`` or ``docker-compose`` with options, in words."""

    lab: Path
    command: tuple[str, ...]

    @classmethod
    async def find(cls, lab: Path, *options: str) -> Compose:
        """The Compose that runs here, with these options; ClusterUnavailable when no engine or no Compose answers."""
        setup = f"run {lab / 'setup.sh'} once"
        if (await _run(lab, "docker", "version", seconds=_LOOK_S)).code != 0:
            raise ClusterUnavailable(f"no Docker engine answers: start it, or {setup}")
        for command in (("docker", "compose"), ("docker-compose",)):
            if (await _run(lab, *command, "version", seconds=_LOOK_S)).code == 0:
                return cls(lab, (*command, *options))
        raise ClusterUnavailable(f"neither `docker compose` nor `docker-compose` is installed: {setup}")

    @classmethod
    async def with_monitoring(cls, lab: Path) -> Compose:
        """The same for the lab as it was chosen, together with what looks on."""
        return await cls.find(lab, *_named((*read_files(lab), MONITORING_FILE)), *_GRAFANA)

    @classmethod
    async def with_everything(cls, lab: Path) -> Compose:
        """The same for whatever the lab can be made of, so that none of it is overlooked when it is removed."""
        others = _overrides(lab)
        return await cls.find(lab, *_named((DEFAULT_FILE, *others)), *(_GRAFANA if MONITORING_FILE in others else ()))

    async def missing_images(self) -> list[str]:
        """Images that the lab builds and this engine does not have yet."""
        found = await self._must("config", seconds=_LOOK_S)
        services = yaml.safe_load(found.output)["services"].values()
        images = sorted({service["image"] for service in services if "build" in service})
        present = [await _run(self.lab, "docker", "image", "inspect", image, seconds=_LOOK_S) for image in images]
        return [image for image, shown in zip(images, present, strict=True) if shown.code != 0]

    async def build(self, report: Report, *services: str) -> None:
        """Build the images of these services, or all of the lab's."""
        await self._must("build", *services, seconds=_BUILD_S, report=report)

    async def up(self, report: Report, *services: str) -> None:
        """Create and start what is not running of these, or all; it is started then, which is not yet healthy."""
        await self._must("up", "-d", "--no-build", *services, seconds=_START_S, report=report)

    async def image_of(self, service: str) -> str:
        """The image that a service runs."""
        found = await self._must("config", seconds=_LOOK_S)
        return str(yaml.safe_load(found.output)["services"][service]["image"])

    async def down(self, report: Report, *, volumes: bool) -> None:
        """Stop and remove the containers."""
        await self._must(
            "down", "--remove-orphans", *(["--volumes"] if volumes else []), seconds=_START_S, report=report
        )

    async def _must(self, *words: str, seconds: float, report: Report | None = None) -> _Ended:
        return await _must(self.lab, *self.command, *words, seconds=seconds, report=report)


async def made_of(lab: Path, project: str) -> tuple[str, ...]:
    """The files that a lab was made of when it was last brought up; none when there is none, or nobody knows."""
    words = ("docker", "inspect", "--format", f'{{{{index .Config.Labels "{FILES_LABEL}"}}}}', f"{project}-settings")
    said = await _run(lab, *words, seconds=_LOOK_S)
    return tuple(said.output.strip().split(os.pathsep)) if said.code == 0 and said.output.strip() else ()


async def have_base_image() -> bool:
    """Whether the image that every Dockerfile of the lab starts from is there."""
    return (await _run(Path.cwd(), "docker", "image", "inspect", BASE_IMAGE, seconds=_LOOK_S)).code == 0


async def have_image(image: str) -> bool:
    """Whether the engine has the image, or could pull it just now."""
    words = ("docker", "image", "inspect", image), ("docker", "pull", "--quiet", image)
    for command, seconds in zip(words, (_LOOK_S, _PULL_S), strict=True):
        if (await _run(Path.cwd(), *command, seconds=seconds)).code == 0:
            return True
    return False


async def make_base_image(lab: Path, report: Report) -> None:
    """Pull it, or make it from the machine's own package mirror."""
    await _must(lab, str((lab / "base-image.sh").absolute()), seconds=_BUILD_S, report=report)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a command ended: its exit code (None when time ran out), its output, and the last lines of everything."""

    code: int | None
    output: str
    tail: tuple[str, ...]


async def _must(lab: Path, *words: str, seconds: float, report: Report | None) -> _Ended:
    """Run a command that has to succeed; else its last lines go to ``report`` and ClusterUnavailable says which."""
    ended = await _run(lab, *words, seconds=seconds, report=report)
    if ended.code == 0:
        return ended
    if report is not None:
        for line in ended.tail:
            report(f"  | {line}")
    how = f"did not end within {seconds:g} s" if ended.code is None else f"failed (exit {ended.code})"
    raise ClusterUnavailable(f"`{' '.join(words)}` {how} in {lab}{_reason(ended.tail)}")


def _overrides(lab: Path) -> list[str]:
    return sorted(path.name for path in lab.glob("compose.*.yaml"))


def _named(files: Sequence[str]) -> list[str]:
    """Compose's options for these files."""
    return [word for file in files for word in ("-f", file)]


def _reason(tail: tuple[str, ...]) -> str:
    """The last line that names an error, or else the last line."""
    errors = [line for line in tail if line.lower().startswith("error")]
    return f": {(errors or tail)[-1]}" if tail else ""


async def _run(lab: Path, *words: str, seconds: float, report: Report | None = None) -> _Ended:
    """Run a command in the lab's directory; it never outlives this call. A long one reports how far it is."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=lab,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
    except OSError as error:
        return _Ended(127, "", (str(error),))
    code: int | None = None
    output: list[str] = []
    tail: deque[str] = deque(maxlen=_TAIL)
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            beat = group.create_task(_beat(tail, report))
            await asyncio.gather(_lines(process.stdout, output, tail), _lines(process.stderr, [], tail))
            code = await process.wait()
            beat.cancel()
    except TimeoutError:
        pass
    finally:
        await _stop(process)
    return _Ended(code, "\n".join(output), tuple(tail))


async def _lines(stream: asyncio.StreamReader | None, kept: list[str], tail: deque[str]) -> None:
    assert stream is not None
    async for raw in stream:
        line = raw.decode(errors="replace").rstrip()
        kept.append(line)
        if line:
            tail.append(line)


async def _beat(tail: deque[str], report: Report | None) -> None:
    """Now and then the command's latest line, so that minutes of work do not look like a hang."""
    while report is not None:
        await asyncio.sleep(_BEAT_S)
        if tail:
            report(f"  | {tail[-1]}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
