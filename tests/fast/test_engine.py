"""A container engine that is not there, or frozen, is told in one line and in time; so is a refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from chaosbench.cluster import containers
from chaosbench.cluster.containers import LAB_LABEL, Engine
from chaosbench.errors import ClusterUnavailable, FaultError, TargetError
from chaosbench.model.cluster import Address, RunState

pytestmark = pytest.mark.asyncio


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where chaosbench looks for the engine."""
    path = str(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    return path


def shown(name: str = "lab-pg1", lab: str = "lab", state: str = "running") -> dict[str, object]:
    """What inspect answers, as far as it is read; a container that does not run has no ports in force."""
    binding = {"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": "15431"}], "9/udp": None}
    return {
        "Id": f"id-of-{name}",
        "Name": f"/{name}",
        "State": {"Status": state},
        "Config": {"Labels": {LAB_LABEL: lab} if lab else None},
        "HostConfig": {"PortBindings": binding},
        "NetworkSettings": {"Ports": binding if state == "running" else {}},
    }


def told(what: object, status: int = 200) -> web.Response:
    """An answer with the engine's exact content type."""
    return web.Response(body=json.dumps(what).encode(), status=status, content_type="application/json")


class FakeEngine:
    """Enough of the engine's API for one container; ``verbs`` are those it was asked to do."""

    def __init__(self, **container: str) -> None:
        self.container = shown(**container)
        self.verbs: list[str] = []
        self.refuse = False

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path
        if path == "/version":
            return told({"ApiVersion": "1.41"})
        if path.endswith("/containers/json"):
            assert json.loads(request.query["filters"]) == {"label": [f"{LAB_LABEL}=lab"]}
            return told([{"Id": self.container["Id"]}])
        if path.endswith("/json"):
            known = str(self.container["Id"]) in path
            return told(self.container) if known else told({"message": "no"}, status=404)
        self.verbs.append(path.rsplit("/", 1)[1])
        return told({"message": "port is taken"}, status=500) if self.refuse else web.Response(status=204)


@asynccontextmanager
async def served(engine: FakeEngine, socket: str) -> AsyncIterator[Engine]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", engine.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    ours = Engine("lab")
    try:
        yield ours
    finally:
        await ours.close()
        await runner.cleanup()


async def act(engine: Engine, verb: str, container_id: str) -> None:
    await engine.act(verb, container_id, lambda container, _: getattr(container, verb)())


async def test_no_engine(socket: str):
    engine = Engine()
    with pytest.raises(
        ClusterUnavailable, match="no answer from the Docker engine: is the Docker engine running"
    ) as caught:
        await engine.labelled()
    assert "\n" not in str(caught.value)
    await engine.close()


async def test_no_socket_anywhere(monkeypatch: pytest.MonkeyPatch):
    def nowhere() -> None:
        assert None, "how aiodocker fails where it finds no socket"

    monkeypatch.setattr(containers.aiodocker, "Docker", nowhere)
    with pytest.raises(ClusterUnavailable, match="no Docker engine found"):
        await Engine().labelled()


@pytest.mark.parametrize(
    "ask", [Engine.labelled, lambda engine: engine.inspect("1"), lambda engine: act(engine, "kill", "1")]
)
async def test_a_frozen_engine(socket: str, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Engine], object]):
    monkeypatch.setattr(containers, "_LOOK_S", 0.1)
    server = await asyncio.start_unix_server(lambda reader, writer: None, socket)
    engine = Engine()
    with pytest.raises(ClusterUnavailable, match=r"no answer from the Docker engine within 0\.1 s"):
        async with asyncio.timeout(5):
            await ask(engine)
    await engine.close()
    server.close()


async def test_containers_and_their_ports(socket: str):
    async with served(FakeEngine(), socket) as engine:
        (container,) = await engine.labelled()
    assert (container.name, container.state) == ("lab-pg1", RunState.RUNNING)
    assert container.ports == {5432: Address("127.0.0.1", 15431)}


async def test_ports_of_a_stopped_container_are_those_it_was_made_with(socket: str):
    async with served(FakeEngine(state="exited"), socket) as engine:
        (container,) = await engine.labelled()
    assert container.ports == {5432: Address("127.0.0.1", 15431)}
    assert container.state is RunState.EXITED


@pytest.mark.parametrize("verb", ["kill", "start", "pause", "unpause"])
async def test_a_labelled_container_is_acted_on(socket: str, verb: str):
    fake = FakeEngine()
    async with served(fake, socket) as engine:
        await act(engine, verb, "id-of-lab-pg1")
    assert fake.verbs == [verb]


@pytest.mark.parametrize("lab", ["", "another"])
@pytest.mark.parametrize("verb", ["kill", "start", "pause", "unpause"])
async def test_any_other_container_is_not_touched(socket: str, verb: str, lab: str):
    fake = FakeEngine(name="database-of-somebody", lab=lab)
    async with served(fake, socket) as engine:
        with pytest.raises(TargetError, match=r"database-of-somebody .* touches only containers that carry its label"):
            await act(engine, verb, "id-of-database-of-somebody")
    assert fake.verbs == []


async def test_a_container_that_is_gone(socket: str):
    async with served(FakeEngine(), socket) as engine:
        with pytest.raises(TargetError, match="container 0000 is gone"):
            await act(engine, "kill", "0000")


async def test_the_engines_refusal_in_its_own_words(socket: str):
    fake = FakeEngine()
    fake.refuse = True
    async with served(fake, socket) as engine:
        with pytest.raises(FaultError, match="docker start lab-pg1: port is taken"):
            await act(engine, "start", "id-of-lab-pg1")
