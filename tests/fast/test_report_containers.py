"""What the containers used, in every form of a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from results_cases import failover, results, rewrite

from chaosbench.model.containers import ContainerReport, ContainerSpan
from chaosbench.report.command import text
from chaosbench.report.containers import MIB, read_containers

virtual = pytest.mark.looptime(noop_cycles=0)
SPAN = ContainerSpan(
    seconds=14.0, cpu_mean=0.25, cpu_max=0.75, memory_mean_bytes=100 * MIB, memory_max_bytes=120 * MIB, read_bytes=None,
    written_bytes=None, receive_bytes=3 * MIB, transmit_bytes=5 * MIB,
)  # fmt: skip


def use(cores: float | None, memory_mib: int) -> dict[str, float | int | None]:
    return {"cpu": cores, "memory_bytes": memory_mib * MIB}


def write(path: Path, *lines: tuple[float, dict[str, dict[str, float | int | None]]]) -> None:
    rows = [json.dumps({"at_s": at_s, "containers": containers}) for at_s, containers in lines]
    path.write_text("\n".join(rows) + '\n{"at_s": 99, "contai')


def test_looks_are_folded_into_bins_and_what_was_not_told_is_not_zero(tmp_path: Path):
    path = tmp_path / "containers.jsonl"
    write(
        path,
        (0.4, {"pg1": use(0.2, 100), "pg2": use(None, 50)}),
        (0.9, {"pg1": use(0.4, 300), "pg2": use(None, 50)}),
        (2.1, {"pg1": use(None, 0)}),
    )
    pg1, pg2 = read_containers(path, 10)
    assert (pg1.member, pg1.at_s, pg1.cores, pg1.memory_mib) == (
        "pg1",
        (0.5, 2.5),
        (pytest.approx(0.3), None),
        (200, 0),
    )
    assert (pg2.member, pg2.at_s, pg2.cores) == ("pg2", (0.5,), (None,))
    assert read_containers(tmp_path / "none", 10) == ()


def test_a_week_has_as_many_bins_as_a_page_can_show(tmp_path: Path):
    path = tmp_path / "containers.jsonl"
    write(path, *((60.0 * minute, {"pg1": use(0.5, 1)}) for minute in range(7 * 24 * 60)))
    (pg1,) = read_containers(path, 7 * 86_400)
    assert 590 <= len(pg1.at_s) <= 601


@virtual
async def test_every_form_has_them(tmp_path: Path):
    run = await results(tmp_path, failover())
    write(run / "containers.jsonl", *((float(second), {"pg1": use(0.5, 100)}) for second in range(14)))
    rewrite(run, containers=(ContainerReport(member="pg1", load=SPAN, faults={"kill-1": SPAN}),))
    page = text(run, "html")
    assert "What the containers used during the load" in page
    assert "The same from the injection of kill-1 until it was healed" in page
    assert "pg1: up to 0.50 cores and 100 MiB." in page
    assert "0.75 cores" in page and "120.0 MiB" in page
    markdown = text(run, "md")
    assert "| pg1 | 0.25 cores | 0.75 cores | 100.0 MiB | 120.0 MiB | - | - | 3.00 MiB | 5.00 MiB |" in markdown
    (folded,) = json.loads(text(run, "json"))["containers"]
    assert (folded["member"], folded["cores"]) == ("pg1", [0.5] * 14)


@virtual
async def test_a_run_without_them_has_no_such_section(tmp_path: Path):
    run = await results(tmp_path, failover())
    (run / "containers.jsonl").unlink(missing_ok=True)
    assert "What the containers used" not in text(run, "html")
    assert "## Containers" not in text(run, "md")
