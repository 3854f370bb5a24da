"""What a lab directory says of its cluster: the project's name and the passwords made at its first start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaosbench.errors import ClusterUnavailable
from chaosbench.model.cluster import Login

DEFAULT_PROJECT = "chaosbench"
DEFAULT_FILE = "compose.yaml"


@dataclass(frozen=True, slots=True)
class LabFiles:
    """Which containers are the lab's, and how to log in to them.

    project:           value of the label that every container of this lab carries
    login:             the application's login, through Pgpool and on every node
    patroni_password:  of the user ``patroni``, for the half of Patroni's REST API that changes things
    """

    project: str
    login: Login
    patroni_password: str = field(repr=False)


def read_project(lab: Path, environ: Mapping[str, str] = os.environ) -> str:
    """The lab's project name, found as Compose finds it: from the environment, or from the lab's ``.env``."""
    return read_settings(lab, environ).get("COMPOSE_PROJECT_NAME", DEFAULT_PROJECT)


def read_settings(lab: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The lab's settings as Compose takes them: its ``.env``, and over it the environment."""
    settings = lab / ".env"
    return (_pairs(settings) if settings.is_file() else {}) | dict(environ)


def read_files(lab: Path, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The Compose files that the lab is to be made of, in their order, found as Compose finds them."""
    return tuple(read_settings(lab, environ).get("COMPOSE_FILE", DEFAULT_FILE).split(os.pathsep))


def read_lab(lab: Path) -> LabFiles:
    """Read ``.env`` and ``secrets/lab.env``; ClusterUnavailable when the lab was never started."""
    path = lab / "secrets" / "lab.env"
    try:
        secrets = _pairs(path)
        return LabFiles(
            project=read_project(lab),
            login=Login(user="chaosbench", password=secrets["CHAOSBENCH_PASSWORD"], database="chaosbench"),
            patroni_password=secrets["PATRONI_RESTAPI_PASSWORD"],
        )
    except FileNotFoundError:
        raise ClusterUnavailable(f"{path} is not there yet: start the lab with `chaosbench lab up`") from None
    except PermissionError:
        raise ClusterUnavailable(f"{path} cannot be read: run as the user who owns the lab's directory") from None
    except KeyError as error:
        raise ClusterUnavailable(f"{path} has no {error.args[0]}: remove it and make the lab anew") from None


def _pairs(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
