"""The commands about the lab: ``lab up | down | status`` and ``heal``. What is heavy is imported late."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    # argparse gives subparsers a type only in its stubs, and only by a private name.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

T = TypeVar("T")


def add_parsers(commands: Commands) -> None:
    """Make the commands known."""
    _heal_parser(commands)
    _lab_parser(commands)


def add_lab(parser: argparse.ArgumentParser) -> None:
    """The option that names the lab."""
    parser.add_argument("--lab", type=Path, metavar="DIR", help="the lab's directory (default: infra here or above)")


def chosen_lab(options: argparse.Namespace) -> Path:
    """The lab that was named, or the one that is here."""
    from chaosbench.lab import check_lab, find_lab

    return check_lab(options.lab) if options.lab else find_lab(Path.cwd())


def say(line: str) -> None:
    """A line for the person at the terminal."""
    print(line, flush=True)  # noqa: T201 - this is the command line


def on_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end. asyncio is imported only now: that takes 40 ms, and ``--help`` needs none of it."""
    import asyncio

    return asyncio.run(work)


def _heal_parser(commands: Commands) -> None:
    heal = commands.add_parser("heal", help="undo what a run that was killed left in the lab (exit 3 if that fails)")
    add_lab(heal)
    heal.set_defaults(command=_heal)


def _lab_parser(commands: Commands) -> None:
    lab = commands.add_parser("lab", help="bring the lab up or down, or look at it")
    actions = lab.add_subparsers(required=True, metavar="ACTION")
    for name, command, text in (
        ("up", _lab_up, "start the lab and return when it is healthy"),
        ("down", _lab_down, "remove the lab's containers"),
        ("status", _lab_status, "show the members and what is wrong with them (exit 3 if something is)"),
    ):
        action = actions.add_parser(name, help=text)
        add_lab(action)
        action.set_defaults(command=command)
        if name == "down":
            action.add_argument("--volumes", action="store_true", help="remove the data too")
        if name == "up":
            action.add_argument(
                "--monitoring", action="store_true", help="start Prometheus, its exporters and Grafana as well"
            )


def _heal(options: argparse.Namespace) -> int:
    from chaosbench.rescue import heal

    return on_a_loop(heal(chosen_lab(options), say))


def _lab_up(options: argparse.Namespace) -> int:
    from chaosbench import lab

    on_a_loop(lab.up(chosen_lab(options), say))
    if options.monitoring:
        from chaosbench import monitoring

        on_a_loop(monitoring.up(chosen_lab(options), say))
    return 0


def _lab_down(options: argparse.Namespace) -> int:
    from chaosbench import lab

    on_a_loop(lab.down(chosen_lab(options), say, volumes=options.volumes))
    return 0


def _lab_status(options: argparse.Namespace) -> int:
    from chaosbench import lab

    status = on_a_loop(lab.status(chosen_lab(options)))
    say(lab.render(status))
    return status.exit_code
