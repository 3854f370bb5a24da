"""The command line. Nothing heavy is imported before it is known what is wanted: ``--help`` stays quick."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chaosbench import __version__, cli_lab, cli_results
from chaosbench.cli_lab import add_lab, chosen_lab, on_a_loop, say
from chaosbench.errors import ChaosbenchError

if TYPE_CHECKING:
    from chaosbench.scenarios.scenario import Scenario

    # argparse gives subparsers a type only in its stubs, and only by a private name.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

METRICS_PORT = 9180
INTERRUPTED = 130
"""The exit code after Ctrl+C, as shells have it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code (see :mod:`chaosbench.errors`)."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except ChaosbenchError as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is the command line
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us is gone (`| head`): let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chaosbench",
        description="What do the clients of a PostgreSQL high-availability cluster live through when its parts break?",
        epilog="exit codes: 0 all expectations met, 1 one failed, 2 wrong usage or scenario file, 3 not determined",
    )
    parser.add_argument("--version", action="version", version=f"chaosbench {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _run_parser(commands)
    _check_parser(commands)
    _plan_parser(commands)
    _list_parser(commands)
    cli_results.add_parsers(commands)
    _export_parser(commands)
    cli_lab.add_parsers(commands)
    return parser


def _run_parser(commands: Commands) -> None:
    run = commands.add_parser("run", help="run scenarios against the lab")
    run.add_argument(
        "file", type=Path, nargs="?", help="scenario file, such as scenarios.yaml (with --resume: the series' own)"
    )
    run.add_argument("--only", action="append", default=[], metavar="NAME", help="only this scenario (repeatable)")
    run.add_argument("--seed", type=int, help="seed of every random choice (default: the file's, or a random one)")
    run.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="where results go (default: runs)")
    run.add_argument("--trial", type=int, metavar="N", help="only trial N of a scenario with trials, with its own seed")
    run.add_argument("--resume", type=Path, metavar="DIR", help="go on with the series or soak there; auto: the newest")
    run.add_argument(
        "--dry-run", action="store_true", help="check everything, show whom the faults would hit, touch nothing"
    )
    run.add_argument("--keep-going", action="store_true", help="go on after a scenario that left the cluster broken")
    run.add_argument(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help=f"port on 127.0.0.1 for Prometheus metrics, 0 for none (default: {METRICS_PORT} if it is free)",
    )
    run.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="AGE|SIZE",
        help="delete closed parts of long files that are older (7d), or the oldest beyond a total (2GB); repeatable",
    )
    run.add_argument(
        "--samples",
        action="store_true",
        help="keep one row an operation in samples.parquet (needs chaosbench[samples])",
    )
    add_lab(run)
    run.set_defaults(command=_run)


def _check_parser(commands: Commands) -> None:
    check = commands.add_parser("check", help="say what is wrong with a scenario file")
    check.add_argument("file", type=Path)
    check.set_defaults(command=_check)


def _plan_parser(commands: Commands) -> None:
    plan = commands.add_parser("plan", help="print when which fault will come, from the seed alone")
    plan.add_argument("file", type=Path)
    plan.add_argument("--only", action="append", default=[], metavar="NAME", help="only this scenario (repeatable)")
    plan.add_argument("--seed", type=int, help="as for `run` (default: the file's, or a random one)")
    plan.add_argument("--trial", type=int, metavar="N", help="only trial N of a scenario with trials")
    plan.add_argument("--json", action="store_true", help="as JSON, times in seconds")
    plan.set_defaults(command=_plan)


def _list_parser(commands: Commands) -> None:
    listing = commands.add_parser("list", help="list injectors, workloads, metrics, or the scenarios of a file")
    listing.add_argument("what", nargs="?", default="all", help="injectors, workloads, metrics, or a scenario file")
    add_lab(listing)
    listing.set_defaults(command=_list)


def _export_parser(commands: Commands) -> None:
    export = commands.add_parser("export", help="write a run's operations as a history for Jepsen's checkers")
    export.add_argument("run", type=Path, metavar="RUN", help="a run's directory, such as runs/latest")
    export.add_argument(
        "--edn",
        nargs="?",
        const="set",
        choices=("set", "elle"),
        required=True,
        help="write history.edn: as operations on a set (the default), or as transactions for Elle",
    )
    export.set_defaults(command=_export)


def _run(options: argparse.Namespace) -> int:
    from chaosbench.scenarios.asked import asked

    file, scenarios, series = asked(
        options.file, tuple(options.only), options.trial, options.resume, options.seed, options.out
    )

    if options.dry_run:
        seed = options.seed if series is None else series.record.seed
        return on_a_loop(_rehearse(scenarios, _seed(seed, file.seed), options))
    if options.samples:
        from chaosbench.sinks.samples_file import require_pyarrow

        require_pyarrow()

    import asyncio

    import uvloop
    from rich.console import Console

    from chaosbench.daemon import Request, run
    from chaosbench.rolling import keep_of

    request = Request(
        file=file,
        scenarios=scenarios,
        seed=options.seed if series is None else series.record.seed,
        out=options.out,
        lab=chosen_lab(options),
        metrics_port=METRICS_PORT if options.metrics_port is None else options.metrics_port,
        metrics_required=options.metrics_port is not None,
        samples=options.samples,
        keep_going=options.keep_going,
        trial=options.trial,
        resume=series,
        keep=keep_of(options.keep),
    )
    try:
        return uvloop.run(run(request, Console(highlight=False)))
    except asyncio.CancelledError:  # the second signal
        return INTERRUPTED


async def _rehearse(scenarios: Sequence[Scenario], seed: int, options: argparse.Namespace) -> int:
    from chaosbench.cluster.docker import DockerCluster
    from chaosbench.scenarios.rehearsal import rehearse

    async with DockerCluster.at(chosen_lab(options)) as cluster:
        return await rehearse(scenarios, cluster, seed, options.trial, say)


def _seed(*given: int | None) -> int:
    """The first that is given, or a random one."""
    return next((seed for seed in given if seed is not None), secrets.randbelow(2**31))


def _plan(options: argparse.Namespace) -> int:
    from chaosbench.scenarios.asked import asked
    from chaosbench.scenarios.plan_table import as_json, table, trials_of

    file, scenarios, _ = asked(options.file, tuple(options.only), options.trial, None, options.seed, Path())
    seed = _seed(options.seed, file.seed)
    if options.json:
        say(as_json(scenarios, seed, options.trial))
        return 0
    for plan in (plan for each in scenarios for plan in trials_of(each, seed, options.trial)):
        say("\n".join(table(*plan)))
    return 0


def _check(options: argparse.Namespace) -> int:
    from chaosbench.scenarios.loader import load

    file = load(options.file)
    say(f"{options.file}: good, {len(file.scenarios)} scenarios: {', '.join(s.name for s in file.scenarios)}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from chaosbench.export import export_edn
    from chaosbench.history import Form

    say(str(export_edn(options.run, Form(options.edn), lambda line: print(line, file=sys.stderr))))  # noqa: T201
    return 0


def _list(options: argparse.Namespace) -> int:
    from chaosbench.catalogue import listing
    from chaosbench.lab import lab_if_any

    for line in listing(options.what, lab_if_any(options.lab)):
        say(line)
    return 0
