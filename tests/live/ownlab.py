"""A lab of a test's own, beside the usual one: another project, other ports, other files; gone afterwards."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaosbench import lab
from chaosbench.cluster.labfiles import read_project

INFRA = Path(__file__).parents[2] / "infra"
PORTS_APART = 2000
"""How far its ports are from the usual lab's."""


@contextmanager
def own_lab(directory: Path, name: str, *overrides: str, **settings: str) -> Iterator[Path]:
    """The lab's directory, the lab being up and healthy: what ``infra`` has, with these overrides and settings."""
    here = directory / "infra"
    shutil.copytree(INFRA, here, ignore=shutil.ignore_patterns("secrets"))
    (here / "secrets").mkdir()
    chosen = {"COMPOSE_PROJECT_NAME": f"chaosbench-{name}", "COMPOSE_FILE": ":".join(("compose.yaml", *overrides))}
    env = here / ".env"
    env.write_text(_changed(env.read_text(), chosen | settings))
    with pytest.MonkeyPatch.context() as environment:
        for key in re.findall(r"^(\w+)=", env.read_text(), flags=re.MULTILINE):
            environment.delenv(key, raising=False)  # it would win over the file
        assert read_project(here) == chosen["COMPOSE_PROJECT_NAME"], "never the usual lab"
        try:
            asyncio.run(lab.up(here, print))
            yield here
        finally:
            asyncio.run(lab.down(here, print, volumes=True))


def _changed(text: str, settings: dict[str, str]) -> str:
    def line(match: re.Match[str]) -> str:
        key, value = match[1], match[2]
        moved = str(int(value) + PORTS_APART) if key.endswith("_PORT") else value
        return f"{key}={settings.get(key, moved)}"

    return re.sub(r"^(\w+)=(.*)$", line, text, flags=re.MULTILINE)
