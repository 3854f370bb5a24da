"""The systemd unit and the compose service: what they start exists, what they say is known, no fault can hit them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosbench import cli
from chaosbench.rolling import Keep, keep_of

INFRA = Path(__file__).parents[2] / "infra"
UNIT = INFRA / "soak" / "chaosbench-soak.service"

# systemd.unit(5), systemd.service(5), systemd.exec(5), systemd.kill(5), systemd.resource-control(5) of systemd 252.
KNOWN = {
    "Unit": "Description Documentation Wants After StartLimitIntervalSec StartLimitBurst",
    "Service": """
        Type NotifyAccess User SupplementaryGroups ExecStart ExecStopPost StateDirectory WorkingDirectory Environment
        TimeoutStartSec WatchdogSec Restart RestartSec RestartPreventExitStatus KillMode KillSignal TimeoutStopSec
        LimitRTPRIO LimitNOFILE MemoryMax OOMScoreAdjust NoNewPrivileges CapabilityBoundingSet ProtectSystem
        ReadWritePaths ProtectHome PrivateDevices ProtectClock ProtectHostname ProtectKernelTunables
        ProtectKernelModules ProtectKernelLogs ProtectControlGroups RestrictNamespaces RestrictSUIDSGID
        RestrictAddressFamilies LockPersonality SystemCallArchitectures SystemCallFilter UMask
        """,
    "Install": "WantedBy",
}


def directives() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if section := re.fullmatch(r"\[(\w+)\]", line):
            found[section[1]] = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[list(found)[-1]][key] = value
    return found


def test_every_directive_is_known():
    assert {section: set(keys) for section, keys in directives().items()} == {
        section: set(words.split()) for section, words in KNOWN.items()
    }


def test_systemd_itself_takes_the_unit(tmp_path: Path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine (Debian package systemd)")
    here = tmp_path / UNIT.name
    here.write_text(re.sub(r"/opt/chaosbench/\.venv/bin/chaosbench", "/bin/true", UNIT.read_text(encoding="utf-8")))
    verified = subprocess.run([analyze, "verify", str(here)], capture_output=True, text=True, timeout=30)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_unit_lets_chaosbench_do_what_it_must():
    service = directives()["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "process", "the guard outlives the run that it heals for"
    assert {"AF_UNIX", "AF_INET"} <= set(service["RestrictAddressFamilies"].split()), "Docker's socket, PostgreSQL"
    assert service["ReadWritePaths"] == "/tmp", "the lock"
    assert service["SupplementaryGroups"] == "docker"
    assert "PrivateTmp" not in service


def options(command: str) -> list[str]:
    """The command without --resume auto, which names a run by itself."""
    words = shlex.split(command)
    at = words.index("--resume")
    assert words[at + 1] == "auto"
    return words[:at] + words[at + 2 :]


def test_the_command_of_the_unit_is_one_that_chaosbench_takes():
    words = options(directives()["Service"]["ExecStart"])
    parsed = cli._parser().parse_args(words[1:])
    assert (parsed.command, parsed.out) == (cli._run, Path("/var/lib/chaosbench/runs"))
    assert keep_of(parsed.keep) == Keep(age=30 * 86_400.0)
    assert cli._parser().parse_args(shlex.split(directives()["Service"]["ExecStopPost"])[1:]).command


def test_the_command_of_the_compose_service_is_one_that_chaosbench_takes():
    command = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", soak()["command"])
    parsed = cli._parser().parse_args(options(command))
    assert (parsed.file, parsed.lab, parsed.out) == (Path("/scenarios/soak.yaml"), Path("/lab"), Path("/runs"))


def soak() -> dict[str, Any]:
    whole = yaml.safe_load((INFRA / "compose.soak.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = whole["services"]["soak"]
    return found


def test_no_fault_can_hit_the_service():
    assert "labels" not in soak()
    assert "io.chaosbench" not in (INFRA / "soak" / "Dockerfile").read_text(encoding="utf-8")


def test_the_service_reaches_the_engine_and_what_outlives_it():
    volumes = soak()["volumes"]
    assert isinstance(volumes, list)
    inside = {str(volume).split(":")[-1 if not str(volume).endswith(":ro") else -2] for volume in volumes}
    assert inside == {"/var/run/docker.sock", "/lab", "/scenarios", "/runs", "/state", "/tmp"}
    assert soak()["network_mode"] == "host"


def test_compose_takes_the_file():
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not on this machine")
    files = [word for name in ("compose.yaml", "compose.soak.yaml") for word in ("-f", name)]
    checked = subprocess.run([compose, *files, "config", "-q"], cwd=INFRA, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")
