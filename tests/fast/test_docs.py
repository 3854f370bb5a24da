"""The pages of docs/ against the code: keys, defaults, examples, and the injector that is taught by example."""

from __future__ import annotations

import itertools
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from chaosbench.errors import ChaosbenchError
from chaosbench.expectations import METRICS, parse_expectation
from chaosbench.injectors.healing import Patience
from chaosbench.injectors.netem import Netem
from chaosbench.injectors.selection import FORMS
from chaosbench.injectors.table import INJECTORS
from chaosbench.model.scenario import Spread, Stage, StreamSettings, Windows
from chaosbench.parameters import CustomOperation, Parameter, Statement
from chaosbench.scenarios.fault_entries import Choice, Step
from chaosbench.scenarios.loader import _Body, load
from chaosbench.scenarios.report import SUSPECT_SHARE
from chaosbench.scenarios.timing import Timing
from chaosbench.scenarios.tying import AFTERMATH_NS
from chaosbench.scenarios.validate import keys_of
from chaosbench.workload import WORKLOADS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def sections(page: str) -> dict[str, str]:
    """A page's text by heading, down to the next heading of any level."""
    parts = re.split(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The cells of a table's rows whose first cell is code."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(cell: str) -> Any:
    """What stands in a cell as code, as YAML has it."""
    found = re.fullmatch(r"`(.*)`", cell)
    assert found, f"{cell} is not code"
    return yaml.safe_load(found[1])


SCENARIOS, INJECTORS_PAGE = sections("scenarios.md"), sections("injectors.md")
FAULT_PAGES = [f"injectors/{kind}.md" for kind in INJECTORS]
FAULTS = {heading: text for page in FAULT_PAGES for heading, text in sections(page).items()}
# heading, class, and the keys that stand in the same place without being the class's own
TABLES: list[tuple[str, dict[str, str], type[Any], set[str]]] = [
    ("A scenario", SCENARIOS, _Body, {"load", "faults", "expect"}),
    ("`windows`", SCENARIOS, Windows, set()),
    ("`load`", SCENARIOS, StreamSettings, {"workload"}),
    ("Load from several processes", SCENARIOS, Spread, {"streams"}),
    ("`stages`", SCENARIOS, Stage, set()),
    ("An operation", SCENARIOS, CustomOperation, set()),
    ("A statement", SCENARIOS, Statement, set()),
    ("A parameter", SCENARIOS, Parameter, set()),
    ("`faults`", SCENARIOS, Timing, {"inject", "choose", "sequence"}),
    ("`choose`", SCENARIOS, Choice, {"inject"}),
    ("`sequence`", SCENARIOS, Step, {"inject"}),
    *((f"`{kind}`", SCENARIOS, cls, set()) for kind, cls in WORKLOADS.items() if keys_of(cls)),
    *((f"`{kind}`", FAULTS, cls, set()) for kind, cls in INJECTORS.items()),
]

# Classes none of whose keys is required by itself, but one of several is: the one that the examples stand with.
ONE_OF: dict[type[Any], set[str]] = {Netem: {"delay"}, Spread: {"workers"}}


def required(cls: type[Any]) -> set[str]:
    schema = TypeAdapter(cls).json_schema()
    return set(schema.get("required", ()))


@pytest.mark.parametrize(("heading", "page", "cls", "others"), TABLES, ids=[table[0] for table in TABLES])
def test_every_key_is_documented(heading: str, page: dict[str, str], cls: type[Any], others: set[str]):
    table = {code(row[0]): row for row in rows(page[heading])}
    assert set(table) == set(keys_of(cls)) | others
    must = {key for key, row in table.items() if row[2] == "required"} - others
    assert must == required(cls)
    examples = {key: code(row[3]) for key, row in table.items() if key not in others}
    adapter: TypeAdapter[Any] = TypeAdapter(cls)
    least = {key: examples[key] for key in {*must, *ONE_OF.get(cls, ())}}
    for key, example in examples.items():
        adapter.validate_python({**least, key: example})
    if cls is Parameter:
        return  # one key at a time: none has a default
    plain = adapter.validate_python(least)
    for field, key in zip(fields(cls), keys_of(cls), strict=True):
        default = table[key][2]
        if key in ONE_OF.get(cls, ()):
            continue
        if default.startswith("`"):
            given = adapter.validate_python({**least, key: code(default)})
            assert getattr(given, field.name) == getattr(plain, field.name), f"the default of {key}"
        elif key not in must:
            assert getattr(plain, field.name) in (None, "", (), Windows()), f"{key} has a default that is not told"


def test_every_workload_injector_target_and_metric_is_documented():
    assert [code(row[0]) for row in rows(SCENARIOS["Workloads"])] == list(WORKLOADS)
    listed = re.findall(r"^\| \[`(.+)`\]\(injectors/\1\.md\) \| .+ \| (.+) \|$", INJECTORS_PAGE["The catalogue"], re.M)
    assert dict(listed) == {
        kind: (cls.__doc__ or "").splitlines()[0].replace("``", "`") for kind, cls in INJECTORS.items()
    }
    assert sorted(path.stem for path in (DOCS / "injectors").iterdir()) == sorted(INJECTORS)
    assert [code(row[0]) for row in rows(SCENARIOS["Targets"])] == list(FORMS)
    assert [code(row[0]) for row in rows(SCENARIOS["`expect`"])] == list(METRICS)
    assert [code(row[0]) for row in rows(SCENARIOS["The file"])] == ["seed", "defaults", "scenarios"]


def test_what_becomes_of_each_fault_that_nobody_heals_is_told():
    lines = INJECTORS_PAGE["When chaosbench and its guard are both dead"].splitlines()
    told = [name for line in lines if line.startswith("| ") for name in re.findall(r"`([a-z-]+)`", line.split("|")[3])]
    assert sorted({*told}) == sorted(INJECTORS)


@pytest.mark.parametrize("row", rows(SCENARIOS["`expect`"]), ids=lambda row: row[0])
def test_the_examples_of_limits_are_good(row: list[str]):
    units = {"duration": ("s", "ms"), "share": ("share",), "rate": ("/s",), "count": ("count",)}
    metric = code(row[0])
    assert METRICS[metric].unit in units[row[1]]
    parse_expectation(metric, row[2].strip("`"))


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_yaml_of_the_pages_is_good(tmp_path: Path):
    whole, wide, sql, schedules = blocks("scenarios.md", "yaml")
    examples = [blocks(page, "yaml") for page in FAULT_PAGES]
    assert all(examples), "each fault's page has its example"
    faults = [*blocks("injectors.md", "yaml"), *itertools.chain.from_iterable(examples)]
    file = tmp_path / "f.yaml"
    load_ = {"workload": "mixed", "rate": "9/s"}
    for text in (
        whole,
        schedules,
        *(
            yaml.safe_dump({"scenarios": {"a": {"duration": "60s", **yaml.safe_load(text)}}})
            for text in (sql, wide, *blocks("distributed.md", "yaml"))
        ),
        *(
            yaml.safe_dump({"scenarios": {"a": {"duration": "600s", "load": load_, **yaml.safe_load(fault)}}})
            for fault in faults
        ),
    ):
        file.write_text(text)
        assert load(file).scenarios


async def test_the_injector_that_is_taught_works(monkeypatch: pytest.MonkeyPatch):
    module, tests = blocks("injectors.md", "python")
    taught = ModuleType("taught")
    monkeypatch.setitem(sys.modules, "taught", taught)
    room = vars(taught)
    exec(compile(module, "crash.py", "exec", dont_inherit=True), room)
    exec(compile(tests, "test_crash.py", "exec", dont_inherit=True), room)
    names = [name for name in room if name.startswith("test_")]
    assert len(names) == 2
    for name in names:
        await room[name]()


def test_numbers_in_the_definitions_are_those_of_the_code():
    text = (DOCS / "definitions.md").read_text(encoding="utf-8")
    assert f"{AFTERMATH_NS / 1e9:g} s after" in text
    assert f"{SUSPECT_SHARE:.0%}".replace("%", " %") in text
    assert f"{Patience().tries} times".replace("4", "four") in (DOCS / "injectors.md").read_text(encoding="utf-8")
    codes = {cls.exit_code for cls in (ChaosbenchError, *ChaosbenchError.__subclasses__())}
    assert all(f"| {number} |" in text for number in codes | {0, 1})


def test_every_dependency_has_its_reason():
    text = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:dependencies|dev) = \[\n(.*?)^\]", project, flags=re.MULTILINE | re.DOTALL)
    names = set(re.findall(r'^    "([A-Za-z0-9-]+)', "".join(lists), flags=re.MULTILINE))
    assert len(names) > 15
    assert names <= set(re.findall(r"`([A-Za-z0-9-]+)`", text))


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_somewhere(page: str):
    for target in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text(encoding="utf-8")):
        assert (DOCS / target).exists(), target
