"""One `chaosbench run` in a process of its own, as a person starts it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

PATIENCE = 240


class Run:
    """One `chaosbench run` in a process of its own."""

    def __init__(self, directory: Path, lab: Path, yaml: str, *options: str) -> None:
        self.file = directory / "scenarios.yaml"
        self.file.write_text(yaml)
        self.out = directory / "runs"
        words = [sys.executable, "-m", "chaosbench", "run", str(self.file), "--lab", str(lab), "--out", str(self.out)]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [*words, "--metrics-port", str(self.port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def until(self, pattern: str) -> None:
        """Read the output until a line matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if re.search(pattern, line):
                return
        pytest.fail(f"no line matches {pattern!r} in:\n{self.output}")

    def metrics(self) -> str:
        """The page for Prometheus."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as page:
            return page.read().decode()

    def ended(self) -> int:
        """Wait for the end; the exit code."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        self.output += out or ""
        print(self.output)
        return self.process.returncode

    def summary(self, scenario: str = "*") -> dict[str, Any]:
        (path,) = self.out.glob(f"*-{scenario}/summary.json")
        return json.loads(path.read_text())


@contextmanager
def running(directory: Path, lab: Path, yaml: str, *options: str) -> Iterator[Run]:
    run = Run(directory, lab, yaml, *options)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGINT)
            run.process.communicate(timeout=PATIENCE)


def scenario(body: str, name: str = "it") -> str:
    return f"seed: 7\ndefaults:\n  warm_up: 1s\n  recovery: 60s\nscenarios:\n  {name}:\n" + "".join(
        f"    {line}\n" for line in body.strip().splitlines()
    )
