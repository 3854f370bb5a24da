"""The lab without an engine: where it is, what it says when something is missing, how its status reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from chaosbench import lab
from chaosbench.cluster.compose import Compose, made_of
from chaosbench.cluster.labfiles import read_files, read_lab, read_project
from chaosbench.errors import ClusterUnavailable, UsageError
from chaosbench.lab import LabStatus, find_lab, render
from chaosbench.model.cluster import Address, RunState
from tests.fast.test_snapshot import HEALTHY


@pytest.fixture
def lab_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "checkout" / "infra"
    (directory / "secrets").mkdir(parents=True)
    (directory / "compose.yaml").touch()
    (directory / "base-image.sh").touch()
    (directory / ".env").write_text("# a comment\n\nCOMPOSE_PROJECT_NAME=mine\n")
    return directory


def test_the_lab_is_found_from_anywhere_in_the_checkout(lab_directory: Path):
    deep = lab_directory.parent / "tests" / "fast"
    deep.mkdir(parents=True)
    assert find_lab(lab_directory.parent, {}) == lab_directory
    assert find_lab(deep, {}) == lab_directory
    assert find_lab(lab_directory, {}) == lab_directory


def test_the_environment_names_another(lab_directory: Path, tmp_path: Path):
    assert find_lab(tmp_path, {"CHAOSBENCH_LAB": str(lab_directory)}) == lab_directory
    with pytest.raises(UsageError, match=r"has no compose\.yaml"):
        find_lab(lab_directory, {"CHAOSBENCH_LAB": str(tmp_path)})


def test_no_lab(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no lab at or above .*--lab"):
        find_lab(tmp_path, {})


def test_a_lab_that_was_never_started(lab_directory: Path):
    with pytest.raises(ClusterUnavailable, match=r"lab\.env is not there yet: start the lab with `chaosbench lab up`"):
        read_lab(lab_directory)


def test_passwords_are_read_and_not_shown(lab_directory: Path):
    (lab_directory / "secrets" / "lab.env").write_text("CHAOSBENCH_PASSWORD=s3cret\nPATRONI_RESTAPI_PASSWORD=hidden\n")
    files = read_lab(lab_directory)
    assert (files.project, files.login.password, files.patroni_password) == ("mine", "s3cret", "hidden")
    assert "s3cret" not in repr(files)
    assert "hidden" not in repr(files)


def test_a_secrets_file_that_lacks_one(lab_directory: Path):
    (lab_directory / "secrets" / "lab.env").write_text("CHAOSBENCH_PASSWORD=s3cret\n")
    with pytest.raises(ClusterUnavailable, match=r"lab\.env has no PATRONI_RESTAPI_PASSWORD"):
        read_lab(lab_directory)


def test_the_project_is_the_one_that_compose_takes(lab_directory: Path, tmp_path: Path):
    assert read_project(lab_directory, {}) == "mine"
    assert read_project(lab_directory, {"COMPOSE_PROJECT_NAME": "other"}) == "other"
    assert read_project(tmp_path, {}) == "chaosbench"


def test_the_files_are_those_that_compose_takes(lab_directory: Path, tmp_path: Path):
    assert read_files(tmp_path, {}) == ("compose.yaml",)
    (lab_directory / ".env").write_text("COMPOSE_FILE=compose.yaml:compose.etcd3.yaml\n")
    assert read_files(lab_directory, {}) == ("compose.yaml", "compose.etcd3.yaml")
    assert read_files(lab_directory, {"COMPOSE_FILE": "compose.yaml"}) == ("compose.yaml",)


def test_status_of_a_healthy_lab():
    pg1 = replace(
        HEALTHY.members[0], ports={"sql": Address("127.0.0.1", 15431), "patroni": Address("127.0.0.1", 18081)}
    )
    status = LabStatus(replace(HEALTHY, members=(pg1, *HEALTHY.members[1:])), ())
    lines = render(status).splitlines()
    assert status.exit_code == 0
    assert lines[0].split() == ["MEMBER", "CONTAINER", "ROLE", "STATE", "TIMELINE", "IN", "PGPOOL1", "ADDRESS"]
    assert lines[1].split() == ["pg1", "running", "leader", "running", "3", "primary,", "up", "127.0.0.1:15431"]
    assert lines[4].split() == ["etcd1", "running"]
    assert lines[-1] == "healthy"


def test_status_of_a_broken_lab():
    frozen = replace(HEALTHY.members[3], state=RunState.PAUSED)
    snapshot = replace(HEALTHY, members=(*HEALTHY.members[:3], frozen, HEALTHY.members[4]), backends={}, nodes={})
    status = LabStatus(snapshot, snapshot.problems())
    text = render(status)
    assert status.exit_code == 3
    assert "etcd1    paused" in text
    assert text.endswith("not healthy:\n  - etcd1 is paused\n  - no leader\n  - pgpool1 does not answer")


# A stand-in for both `docker` and Compose: prints to both streams, fails as told by its first word.
STAND_IN = r"""#!/bin/sh
[ "$1" != compose ] || shift
case "$1" in
    config) printf 'services: {a: {image: "there:1", build: .}, b: {image: "missing:1", build: .}, c: {image: x}}\n' ;;
    image) test "$3" = there:1 ;;
    inspect) test "$4" = mine-settings && echo compose.yaml:compose.etcd3.yaml ;;
    -f) echo "$@" >>down.log ;;
    up) echo 'Creating pg1 ... error'; printf 'ERROR: port is taken\nEncountered errors\n' >&2; exit 1 ;;
    build) echo 'Step 1/9'; exec sleep 60 ;;
esac
"""


@pytest.fixture
def compose(lab_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    docker = lab_directory / "docker"
    docker.write_text(STAND_IN)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{lab_directory}:/usr/bin:/bin")
    return Compose(lab_directory, ("docker",))


@pytest.mark.asyncio
async def test_only_images_that_are_missing_are_built(compose: Compose):
    assert await compose.missing_images() == ["missing:1"]


@pytest.mark.asyncio
async def test_composes_error_is_one_line_and_its_last_words_are_reported(compose: Compose):
    said: list[str] = []
    with pytest.raises(
        ClusterUnavailable, match=r"`docker up -d --no-build` failed \(exit 1\) in .*: ERROR: port"
    ) as caught:
        await compose.up(said.append)
    assert "\n" not in str(caught.value)
    assert sorted(said) == ["  | Creating pg1 ... error", "  | ERROR: port is taken", "  | Encountered errors"]


@pytest.mark.asyncio
async def test_a_command_that_hangs_is_ended(compose: Compose, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chaosbench.cluster.compose._BUILD_S", 0.2)
    with pytest.raises(ClusterUnavailable, match=r"`docker build` did not end within 0\.2 s in .*: Step 1/9"):
        await compose.build(lambda line: None)


@pytest.mark.asyncio
async def test_a_long_command_tells_how_far_it_is(compose: Compose, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chaosbench.cluster.compose._BUILD_S", 0.5)
    monkeypatch.setattr("chaosbench.cluster.compose._BEAT_S", 0.1)
    said: list[str] = []
    with pytest.raises(ClusterUnavailable):
        await compose.build(said.append)
    assert said.count("  | Step 1/9") > 2


@pytest.mark.asyncio
async def test_no_engine_names_the_script_that_helps(lab_directory: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(lab_directory))
    with pytest.raises(ClusterUnavailable, match=r"no Docker engine answers: start it, or run .*setup\.sh once"):
        await lab.up(lab_directory, lambda line: None)


@pytest.mark.asyncio
async def test_a_lab_that_is_up_is_not_made_into_another_one(
    compose: Compose, lab_directory: Path, monkeypatch: pytest.MonkeyPatch
):
    assert await made_of(lab_directory, "mine") == ("compose.yaml", "compose.etcd3.yaml")
    assert await made_of(lab_directory, "another") == (), "it is not there"
    with pytest.raises(
        UsageError,
        match=r"is up and made of compose\.yaml, compose\.etcd3\.yaml, and COMPOSE_FILE asks for compose\.yaml: "
        "take it down first with `chaosbench lab down`",
    ):
        await lab.up(lab_directory, lambda line: None)
    monkeypatch.setenv("COMPOSE_FILE", "compose.yaml:compose.etcd3.yaml")
    with pytest.raises(ClusterUnavailable, match=r"base-image\.sh"):  # the next step
        await lab.up(lab_directory, lambda line: None)


@pytest.mark.asyncio
async def test_whatever_the_lab_was_made_of_is_taken_down(compose: Compose, lab_directory: Path):
    for name in ("compose.etcd3.yaml", "compose.monitoring.yaml"):
        (lab_directory / name).touch()
    await lab.down(lab_directory, lambda line: None, volumes=True)
    said = (lab_directory / "down.log").read_text().splitlines()[-1]
    assert said == (
        "-f compose.yaml -f compose.etcd3.yaml -f compose.monitoring.yaml --profile grafana "
        "down --remove-orphans --volumes"
    )


@pytest.mark.asyncio
async def test_what_looks_on_comes_beside_the_lab_as_it_was_chosen(
    compose: Compose, lab_directory: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COMPOSE_FILE", "compose.yaml:compose.clock.yaml")
    words = (await Compose.with_monitoring(lab_directory)).command
    files = ("-f", "compose.yaml", "-f", "compose.clock.yaml", "-f", "compose.monitoring.yaml")
    assert words[-8:] == (*files, "--profile", "grafana")


INFRA = Path(__file__).parents[2] / "infra"


def test_whatever_the_lab_can_be_made_of_is_told_where_it_is_chosen():
    others = {path.name for path in INFRA.glob("compose*.yaml")} - {"compose.monitoring.yaml", "compose.soak.yaml"}
    told = (INFRA / "README.md").read_text().partition("## What it is made of")[2].partition("\n## ")[0]
    assert {line.split("`")[1] for line in told.splitlines() if line.startswith("| `")} == others
    settings = (INFRA / ".env").read_text()
    assert all(name in settings for name in others)


def test_three_etcd_members_know_each_other_and_are_known_to_all():
    services = yaml.safe_load((INFRA / "compose.etcd3.yaml").read_text())["services"]
    usual = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]
    names = ("etcd1", "etcd2", "etcd3")
    cluster = ",".join(f"{name}=http://{name}:2380" for name in names)
    assert {services[name]["environment"]["ETCD_INITIAL_CLUSTER"] for name in names} == {cluster}
    asks = {name for name, service in usual.items() if "ETCD_HOSTS" in service.get("environment", {})}
    hosts = {name: services[name]["environment"]["ETCD_HOSTS"] for name in asks}
    assert hosts == dict.fromkeys(("settings", "pg1", "pg2", "pg3"), "etcd1:2379,etcd2:2379,etcd3:2379")
    first = {**usual["etcd1"], "volumes": services["etcd1"]["volumes"]}
    for name in names[1:]:
        others = {**services[name], "environment": {**services[name]["environment"]}}
        del others["environment"]["ETCD_INITIAL_CLUSTER"]
        alike = json.loads(json.dumps(others).replace(name, "etcd1").replace(name.upper(), "ETCD1"))
        alike["environment"]["ETCD_INITIAL_CLUSTER"] = usual["etcd1"]["environment"]["ETCD_INITIAL_CLUSTER"]
        assert alike == first
