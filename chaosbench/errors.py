"""Every error that chaosbench raises on purpose, and the exit code it leads to.

::

    ChaosbenchError
    ├── UsageError                 exit 2   the request itself is wrong
    │   ├── ScenarioFileError               one or more problems in the YAML file
    │   └── TargetError                     no such target, or not chaosbench's to touch
    ├── UndeterminedError          exit 3   the question could not be answered
    │   ├── ClusterUnavailable              no engine, no lab, never healthy
    │   └── PreflightError                  something the run needs is missing
    └── FaultError                          one fault; the run goes on without it
        ├── InjectionError                  the fault could not be put in place
        └── HealError                       the fault could not be undone; carries a command to paste
"""

from __future__ import annotations

from dataclasses import dataclass


class ChaosbenchError(Exception):
    """Root of the tree; its text is one line meant for the person at the terminal."""

    exit_code = 3


class UsageError(ChaosbenchError):
    """The request is wrong and can be corrected by whoever made it."""

    exit_code = 2


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a scenario file: where it stands and what to write instead."""

    line: int
    column: int
    message: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class ScenarioFileError(UsageError):
    """The scenario file cannot be used; ``problems`` has one entry per mistake."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class TargetError(UsageError):
    """A target resolves to nothing, or to a container without chaosbench's label."""


class UndeterminedError(ChaosbenchError):
    """The run could not answer its question; nobody's expectation failed."""


class ClusterUnavailable(UndeterminedError):
    """Docker, the lab or one of its parts does not answer, or never became healthy."""


class PreflightError(UndeterminedError):
    """A check made before anything was touched says that the run cannot work."""


class FaultError(ChaosbenchError):
    """Something went wrong with one fault."""


class InjectionError(FaultError):
    """The fault could not be put in place."""


class HealError(FaultError):
    """The fault could not be undone by chaosbench.

    ``remedy`` is a command that a person can paste into a shell.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; to heal by hand: {remedy}")
        self.remedy = remedy
