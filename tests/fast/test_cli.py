"""The command line: exit codes, and one line for the person instead of a traceback."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from chaosbench import __version__
from chaosbench.cli import main
from chaosbench.expectations import METRICS
from chaosbench.injectors.table import INJECTORS
from chaosbench.model.trials import SeriesRecord
from chaosbench.results import RunDirectory
from chaosbench.scenarios.series_files import SeriesDirectory
from chaosbench.workload import WORKLOADS

GOOD = "scenarios:\n  a:\n    duration: 20s\n    load: {workload: mixed, rate: 10/s}\n  b:\n"
GOOD += "    description: second\n    duration: 30s\n    load: {workload: ledger, clients: 1}\n"
GOOD += "    faults: [{at: 1s, inject: pause, target: etcd, hold: 2s}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "f.yaml"
    path.write_text(GOOD)
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int) -> tuple[str, str]:
    """What a command wrote to stdout and stderr; it must end with this exit code."""
    try:
        found = main([str(argument) for argument in arguments])
    except SystemExit as error:  # argparse
        found = error.code if isinstance(error.code, int) else 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert found == code, out + err
    return out, err


def complaint(capsys: pytest.CaptureFixture[str], *arguments: object, code: int) -> str:
    """The one line on stderr of a command that fails."""
    out, err = said(capsys, *arguments, code=code)
    assert out == ""
    assert len(err.splitlines()) == 1, err
    return err


def test_help_tells_of_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]):
    out, _ = said(capsys, "--help", code=0)
    assert all(word in out for word in ("run", "check", "list", "lab", "exit codes: 0"))


@pytest.mark.parametrize(
    "command", ["run", "check", "list", "report", "compare", "lab", "lab up", "lab down", "lab status"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]):
    assert "usage: chaosbench" in said(capsys, *command.split(), "--help", code=0)[0]


def test_version(capsys: pytest.CaptureFixture[str]):
    assert said(capsys, "--version", code=0)[0] == f"chaosbench {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["walk"], ["lab"], ["run", "x", "--seed", "y"], ["check"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    _, err = said(capsys, *arguments, code=2)
    assert "usage: chaosbench" in err


def test_check_of_a_good_file(file: Path, capsys: pytest.CaptureFixture[str]):
    assert said(capsys, "check", file, code=0)[0] == f"{file}: good, 2 scenarios: a, b\n"


def test_check_of_a_bad_file_has_a_line_for_each_problem(file: Path, capsys: pytest.CaptureFixture[str]):
    file.write_text(GOOD.replace("duration: 20s", "duraton: 20s").replace("2s}", "2}"))
    out, err = said(capsys, "check", file, code=2)
    assert out == ""
    assert [line.split(": ", 1)[0] for line in err.splitlines()] == [f"{file}:2:3", f"{file}:3:5", f"{file}:9:52"]


@pytest.mark.parametrize("command", ["run", "check", "list"])
def test_a_file_that_is_not_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert "no such file" in complaint(capsys, command, tmp_path / "no.yaml", code=2)


def test_run_of_an_unknown_scenario(file: Path, capsys: pytest.CaptureFixture[str]):
    assert "no scenario is called 'c'" in complaint(capsys, "run", file, "--only", "c", code=2)


def test_run_without_a_lab(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert "has no compose.yaml" in complaint(capsys, "run", file, "--lab", tmp_path, code=2)


def test_a_lab_that_was_never_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "compose.yaml").write_text("")
    assert "chaosbench lab up" in complaint(capsys, "lab", "status", "--lab", tmp_path, code=3)


def test_list_names_everything_there_is(capsys: pytest.CaptureFixture[str]):
    out, _ = said(capsys, "list", code=0)
    names = {line.split()[0] for line in out.splitlines() if line.startswith("  ") and not line.startswith("   ")}
    assert names == {*INJECTORS, *WORKLOADS, *METRICS}


@pytest.mark.parametrize(("what", "table"), [("injectors", INJECTORS), ("workloads", WORKLOADS), ("metrics", METRICS)])
def test_list_of_one_kind(what: str, table: dict[str, object], capsys: pytest.CaptureFixture[str]):
    out, _ = said(capsys, "list", what, code=0)
    assert [line.split()[0] for line in out.splitlines()[1:] if not line.startswith("   ")] == list(table)


def test_list_tells_what_an_injector_needs_also_without_a_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "compose.yaml").write_text("")
    out, _ = said(capsys, "list", "injectors", "--lab", tmp_path, code=0)
    lines = [line.strip() for line in out.splitlines()]
    after = {line.split()[0]: told for line, told in pairwise(lines)}
    assert after["kill"] == "needs: nothing but the engine"
    assert after["netem"].startswith("needs: helper, netem; can this machine do it: not asked: no lab is up (")
    assert "is not there yet" in after["netem"]


def test_list_with_a_lab_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert "has no compose.yaml" in complaint(capsys, "list", "--lab", tmp_path, code=2)


def test_list_of_a_file(file: Path, capsys: pytest.CaptureFixture[str]):
    out, _ = said(capsys, "list", file, code=0)
    assert out.splitlines() == ["a  20 s  ", "b  30 s  second", "    1 s  pause-etcd"]


def test_an_interrupt_is_no_traceback(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chaosbench.scenarios.loader.load", interrupted)
    assert said(capsys, "check", file, code=130) == ("", "")


def test_run_of_nothing(capsys: pytest.CaptureFixture[str]):
    assert "name a scenario file" in complaint(capsys, "run", code=2)


def test_trials_that_there_are_not(file: Path, capsys: pytest.CaptureFixture[str]):
    assert "no trial 1 of 'a': it has no trials" in complaint(capsys, "run", file, "--trial", 1, code=2)
    file.write_text(GOOD.replace("  b:\n", "    trials: 3\n  b:\n"))
    for number in (0, 4):
        said_ = complaint(capsys, "run", file, "--only", "a", "--trial", number, code=2)
        assert f"no trial {number} of 'a': it has trials 1 to 3" in said_


def series(directory: Path, file: Path) -> Path:
    record = SeriesRecord(
        chaosbench="0",
        file=str(file),
        scenario="a",
        seed=7,
        numbers=(1, 2),
        started_at="",
        scenario_file=file.read_text(),
    )
    return SeriesDirectory.begin(RunDirectory(directory), record).path


def test_resuming_what_cannot_be_resumed(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    nowhere = tmp_path / "nowhere"
    assert "nothing to resume" in complaint(capsys, "run", "--resume", nowhere, code=2)
    found = series(tmp_path, file)
    assert "leave --only and --trial out" in complaint(capsys, "run", "--resume", found, "--only", "a", code=2)
    assert "seed 7, not 8" in complaint(capsys, "run", "--resume", found, "--seed", 8, code=2)
    file.write_text(GOOD.replace("10/s", "11/s"))
    assert "first at line 4" in complaint(capsys, "run", "--resume", found, code=2)
    file.unlink()
    assert "no such file" in complaint(capsys, "run", "--resume", found, code=2)


def test_resuming_finds_its_file_and_then_needs_a_lab(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = series(tmp_path, file)
    assert "has no compose.yaml" in complaint(capsys, "run", "--resume", found, "--lab", tmp_path, code=2)
