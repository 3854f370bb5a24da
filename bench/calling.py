"""How a measurement is started in a process of its own, and how its answer is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from bench.surroundings import ROOT
from chaosbench.errors import UndeterminedError

Answer = TypeVar("Answer")
_LAST_WORDS = 400
_GOODBYE_S = 10.0
GOOD = frozenset({0})


def call(name: str, asked: object, answer: type[Answer], environment: Mapping[str, str], timeout: float) -> Answer:
    """Let ``bench.child`` measure ``name``. UndeterminedError when it fails or takes more than ``timeout`` seconds."""
    arguments = TypeAdapter(type(asked)).dump_json(asked).decode()
    said = output([sys.executable, "-m", "bench.child", name, arguments], environment, timeout)
    try:
        return TypeAdapter(answer).validate_json(said)
    except ValidationError:
        raise UndeterminedError(f"{name} answered what cannot be read: {said[-_LAST_WORDS:]}") from None


def output(command: list[str], environment: Mapping[str, str], timeout: float, good: frozenset[int] = GOOD) -> str:
    """What a program prints; UndeterminedError with its last words when it fails or takes too long.

    good:  exit codes that are no failure
    """
    shown = " ".join(command[:4])
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UndeterminedError(f"{shown} did not end within {timeout:g} s") from None
    if done.returncode not in good:
        raise UndeterminedError(f"{shown} failed: {(done.stderr or done.stdout).strip()[-_LAST_WORDS:]}")
    return done.stdout


@contextmanager
def stand_in() -> Iterator[int]:
    """The stalling server in a process of its own; its port."""
    command = [sys.executable, "-m", "bench.stand_in"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            assert server.stdin is not None
            server.stdin.close()  # it ends when nobody holds its other end any more
            try:
                server.wait(_GOODBYE_S)
            except subprocess.TimeoutExpired:
                server.kill()
