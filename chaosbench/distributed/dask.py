"""Workers by Dask distributed: a local cluster of processes, or those of a scheduler that is there already.

Dask starts the processes, tells which there are and carries a task to each: one
coroutine, which runs on the worker's own loop for as long as the load. While it
runs, the coordinator talks to it over Dask's own connections, without the
scheduler in between. Dask also notices that a process has died.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import dask.config
from distributed import Client, KilledWorker, LocalCluster, get_worker

import chaosbench
from chaosbench.clock import Clock
from chaosbench.distributed.members import Link
from chaosbench.distributed.share_run import ShareRun
from chaosbench.distributed.wire import Answer, Plan, Question
from chaosbench.errors import ClusterUnavailable

START_S = 30.0
"""How long workers may take to come up, a scheduler to answer, a task to begin."""
_LOOK_S = 0.005
_SAY_S = 2.0

_SETTINGS = {
    "distributed.admin.event-loop": "uvloop",
    # A share is never begun anew elsewhere: its operations in flight would be forgotten.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.profile.enabled": False,
    # Dask's own look at how late its loop is, 50 times a second for each of its parts: the engine looks already.
    "distributed.admin.tick.interval": "1s",
    "distributed.comm.timeouts.connect": "2s",
    "distributed.comm.retry.count": 0,
}


class LocalCrew:
    """So many worker processes on this machine, started for the block and ended with it."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    @asynccontextmanager
    async def links(self) -> AsyncIterator[Sequence[Link]]:
        """Start them."""
        with dask.config.set(_SETTINGS):
            cluster = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=self._workers,
                processes=True,
                threads_per_worker=1,
                asynchronous=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
                silence_logs=50,
            )
            try:
                await _up(cluster, self._workers)
                async with _linked(cluster.scheduler_address, self._workers, ours=True) as links:
                    yield links
            finally:
                await cluster.close()  # type: ignore[misc]


async def _up(cluster: Any, workers: int) -> None:
    try:
        async with asyncio.timeout(START_S):
            await cluster
    except (OSError, TimeoutError) as error:
        why = str(error) or f"not within {START_S:g} s"
        raise ClusterUnavailable(f"{workers} worker processes did not come up: {why}") from None


class SchedulerCrew:
    """The workers of a scheduler that is there already, on whatever machines they are; all of them, or so many."""

    def __init__(self, address: str, workers: int | None) -> None:
        self._address = address
        self._workers = workers

    @asynccontextmanager
    async def links(self) -> AsyncIterator[Sequence[Link]]:
        """Reach them."""
        with dask.config.set(_SETTINGS):
            async with _linked(self._address, self._workers, ours=False) as links:
                yield links


@asynccontextmanager
async def _linked(scheduler: str, workers: int | None, *, ours: bool) -> AsyncIterator[Sequence[Link]]:
    # It warns of every worker that goes, and would do so in the middle of the live view.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = await Client(  # type: ignore[no-untyped-call]
            scheduler, asynchronous=True, timeout=START_S, set_as_default=False
        )
    except (OSError, TimeoutError) as error:
        raise ClusterUnavailable(f"no Dask scheduler answers at {scheduler}: {error}") from None
    try:
        try:
            await client.wait_for_workers(workers or 1, timeout=START_S)
            there = sorted(await client.nthreads())
        except (OSError, TimeoutError):
            raise ClusterUnavailable(
                f"the Dask scheduler at {scheduler} has not got {workers or 1} workers within {START_S:g} s; "
                f"start them with: dask worker {scheduler} --nthreads 1"
            ) from None
        links = [_DaskLink(client, address, ours=ours) for address in there[:workers]]
        try:
            yield links
        finally:
            for link in links:
                await link.close()
    finally:
        await client.close()


class _DaskLink:
    """One worker; its task and the handler by which the task is reached have a name of their own."""

    def __init__(self, client: Any, address: str, *, ours: bool) -> None:
        self._ours = ours
        self.address = address
        self._client = client
        self._name = f"chaosbench-{uuid4().hex}"
        self._ending: asyncio.Future[BaseException | None] | None = None

    async def start(self, plan: Plan) -> None:
        """Submit the task and wait until it can be asked."""
        future = self._client.submit(
            carry,
            self._name,
            plan,
            self._ours,
            key=self._name,
            workers=[self.address],
            allow_other_workers=False,
            pure=False,
        )
        self._ending = asyncio.ensure_future(_end_of(future))
        ready = asyncio.ensure_future(self._client.run(reachable, self._name, workers=[self.address]))
        try:
            async with asyncio.timeout(START_S):
                await asyncio.wait({ready, self._ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            await asyncio.gather(ready, return_exceptions=True)
        if (why := await self.gone()) is not None:
            raise OSError(f"{self.address}: {why}")

    async def ask(self, question: Question) -> Answer:
        """One exchange."""
        answer = await self._client.rpc(self.address).__getattr__(self._name)(question=pickle.dumps(question))
        if not isinstance(answer, bytes):
            raise OSError("the worker closes")
        found = pickle.loads(answer)  # noqa: S301 - whoever may run tasks may run code: Dask's own rule
        assert isinstance(found, Answer)
        return found

    async def gone(self) -> str | None:
        """What Dask says of the task's end; or of the worker, for a scheduler may wait for it to come back."""
        if self._ending is None or self._ending.cancelled():
            return None
        if not self._ending.done():
            return None if await self._there() else "its process is gone"
        error = self._ending.exception() or self._ending.result()
        if error is None:
            return "its task has ended"
        return "its process is gone" if isinstance(error, KilledWorker) else f"{type(error).__name__}: {error}"

    async def _there(self) -> bool:
        """Whether the scheduler still knows the worker; also when the scheduler does not say."""
        try:
            async with asyncio.timeout(_SAY_S):
                return self.address in await self._client.nthreads()
        except (OSError, TimeoutError):
            return True

    async def close(self) -> None:
        """Wait for nothing any more; a task that waits for a lost worker to come back is not to begin anew."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.gather(self._ending, return_exceptions=True)  # with it goes the last one who wants the task


async def _end_of(future: Any) -> BaseException | None:
    """The error by which a task ended; None when it ended well. Keeps the future, and with it the task, alive."""
    error: BaseException | None = await future.exception()
    return error


async def carry(name: str, plan: Plan, ours: bool) -> None:
    """(Worker) The task: this worker's share of the load. ``ours``: the process was started for it."""
    if ours:
        # A terminal or systemd tells all of a run's processes; it is the coordinator who then ends the load.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    if plan.version != chaosbench.__version__:
        raise RuntimeError(f"this worker has chaosbench {chaosbench.__version__}, the coordinator {plan.version}")
    run = ShareRun(plan, Clock())

    async def answer(question: bytes) -> bytes:
        return pickle.dumps(run.ask(pickle.loads(question)))  # noqa: S301 - from the coordinator

    handlers = get_worker().handlers
    handlers[name] = answer
    try:
        await run.run()
    finally:
        del handlers[name]


async def reachable(name: str, dask_worker: Any) -> None:
    """(Worker) Return once the task of that name can be asked; TimeoutError if that takes too long."""
    for _ in range(round(START_S / _LOOK_S)):
        if name in dask_worker.handlers:
            return
        await asyncio.sleep(_LOOK_S)
    raise TimeoutError(f"no task {name} within {START_S:g} s")
