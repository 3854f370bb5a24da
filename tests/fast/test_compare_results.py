"""Two results compared: settings, figures, regressions, exit codes."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import in_virtual_time
from results_cases import YAML, failover, results, rewrite
from rich.console import Console

from chaosbench.cli import main
from chaosbench.compare.command import Wish, compare
from chaosbench.compare.results import Judgement, comparison, sample
from chaosbench.compare.settings import differences
from chaosbench.compare.wording import notes
from chaosbench.errors import UsageError
from chaosbench.expectations import METRICS
from chaosbench.model.report import Verdict
from chaosbench.report.reading import read_results

pytestmark = pytest.mark.looptime(noop_cycles=0)


def told(*paths: Path, **wish: Any) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=160)
    code = compare(Wish(paths=paths, **wish), console)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


def judged(a: Path, b: Path, *only: str) -> dict[str, Judgement]:
    found = comparison(sample(read_results(a), "a"), sample(read_results(b), "b"), only)
    return {row.metric: row.judgement for row in found.rows}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Five trials of a fast cluster and five of a slow one."""
    out = tmp_path_factory.mktemp("pair")

    async def both() -> tuple[Path, Path]:
        fast = await results(out / "a", failover(5, duration=24.0), delay=2.0)
        return fast, await results(out / "b", failover(5, duration=24.0), delay=5.0)

    return in_virtual_time(both())


async def test_a_slower_failover_is_a_regression_and_a_faster_one_is_none(pair: tuple[Path, Path]):
    fast, slow = pair
    assert judged(fast, slow)["rto"] is Judgement.WORSE
    assert judged(slow, fast)["rto"] is Judgement.BETTER
    assert judged(fast, slow)["ok_rate"] is Judgement.WORSE, "more is better of this one"
    code, said = told(fast, slow, fail_on_regression=True)
    assert code == 1
    assert "REGRESSION" in said
    assert "expectation rto <= 5s" in said or "rto" in said
    assert told(slow, fast, fail_on_regression=True)[0] == 0
    assert told(fast, slow)[0] == 0, "only who asks is failed"


async def test_a_difference_within_the_tolerance_is_no_regression(pair: tuple[Path, Path]):
    fast, slow = pair
    assert told(fast, slow, fail_on_regression=True, metrics=("write_window",), tolerance="10%")[0] == 1
    found = comparison(sample(read_results(fast), "a"), sample(read_results(slow), "b"), ("throughput",))
    assert found.regressions(0.0) and not [one for one in found.regressions(0.9) if one == "throughput"]


async def test_the_same_against_itself_differs_in_nothing(pair: tuple[Path, Path]):
    fast, _ = pair
    assert Judgement.WORSE not in judged(fast, fast).values()
    code, said = told(fast, fast, fail_on_regression=True)
    assert code == 0
    assert "nothing is set differently" in said


async def test_an_expectation_is_broken_only_if_it_was_always_met_before(pair: tuple[Path, Path]):
    fast, slow = (sample(read_results(path), "x") for path in pair)
    assert "rto <= 5s" not in comparison(fast, fast).broken
    broken = comparison(fast, slow).broken
    first, *others = fast.summaries
    failed = tuple(replace(one, verdict=Verdict.FAIL) for one in first.expectations)
    sometimes = replace(fast, summaries=(replace(first, expectations=failed), *others))
    assert broken and comparison(sometimes, slow).broken == (), "one trial of A did not meet it either"


async def test_single_runs_allow_no_statement(tmp_path: Path):
    fast = await results(tmp_path / "a", failover(), delay=2.0)
    slow = await results(tmp_path / "b", failover(), delay=4.0)
    assert set(judged(fast, slow).values()) == {Judgement.UNSURE}
    code, said = told(fast, slow, fail_on_regression=True)
    assert code == 3
    assert "a single run on a side allows no statement of confidence" in said


async def test_three_against_three_says_that_it_cannot_show_anything(pair: tuple[Path, Path]):
    few = [replace(one, summaries=one.summaries[:3]) for one in (sample(read_results(path), "x") for path in pair)]
    found = comparison(*few)
    assert {row.judgement for row in found.rows} == {Judgement.SAME}
    assert any("samples that do not overlap at all have p = 0.10" in note for note in notes(found))


async def test_one_lost_row_is_worse_however_few_runs_there_are(tmp_path: Path):
    kept = await results(tmp_path / "a", failover())
    lost = tmp_path / "b"
    shutil.copytree(kept, lost)
    ledger = rewrite(lost).ledger
    assert ledger is not None
    rewrite(lost, ledger=replace(ledger, lost=1, lost_ids=(7,)))
    assert judged(kept, lost)["rpo"] is Judgement.WORSE
    code, said = told(kept, lost, fail_on_regression=True)
    assert code == 1
    assert "REGRESSION" in said and "rpo" in said


async def test_writes_that_never_come_back_are_worse_than_any_that_do(tmp_path: Path):
    back = await results(tmp_path / "a", failover(), delay=2.0)
    gone = tmp_path / "b"
    shutil.copytree(back, gone)
    (fault,) = rewrite(gone).faults
    rewrite(gone, faults=(replace(fault, rto_s=None, t6_s=None, recovered=False),))
    assert judged(back, gone)["rto"] is Judgement.WORSE
    assert "1 never" in told(back, gone)[1]


async def test_latencies_of_a_suspect_generator_are_not_counted(pair: tuple[Path, Path]):
    fast = sample(read_results(pair[0]), "a")
    first, *others = fast.summaries
    late = replace(first, generator=replace(first.generator, suspect=True))
    doubted = replace(fast, summaries=(late, *others))
    assert len(doubted.values(METRICS["p99"])) == len(fast.values(METRICS["p99"])) - 1
    assert doubted.values(METRICS["rto"]) == fast.values(METRICS["rto"]), "an outage of seconds stands all the same"


async def test_settings_are_laid_side_by_side(tmp_path: Path):
    one = await results(tmp_path / "a", failover())
    other = tmp_path / "b"
    shutil.copytree(one, other)
    cluster = {"patroni.ttl": "20", "limits.pg1.cpus": "1", "limits.pg2.cpus": "1"}
    a = rewrite(one, environment=cluster)
    changed = YAML.format(trials=1).replace("duration: 20s", "duration: 30s").replace("scale: 1", "scale: 10")
    b = rewrite(other, environment={"patroni.ttl": "30", "limits.pg1.cpus": "1"}, scenario_file=changed)
    assert {row.name: row.values for row in differences([a, b])} == {
        "members": ("pg1, pg2", "pg1"),
        "scenario.scale": ("1", "10"),
        "scenario.duration": ("20s", "30s"),
        "patroni.ttl": ("20", "30"),
        "limits.pg2.cpus": ("1", "-"),
    }


async def test_what_cannot_be_compared_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = await results(tmp_path / "a", failover())
    capsys.readouterr()
    for arguments in ([str(run), str(tmp_path)], [str(run), str(run), "--metric", "speed"]):
        assert main(["compare", *arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
    with pytest.raises(UsageError, match="--tolerance"):
        told(run, run, tolerance="much")
