"""SQL from inside a PostgreSQL member's own container, as its superuser: single statements, and sessions that are held.

By ``psql`` over the socket, so it works whatever the network does. A held
session goes by its application name, by which it is found and ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chaosbench.cluster import Cluster
from chaosbench.errors import FaultError, InjectionError
from chaosbench.injectors import background
from chaosbench.injectors.background import MARGIN_S
from chaosbench.model.cluster import Member, RunState

POSTGRES = "postgres"

_CONTROL = "chaosbench-control"
_DOWN = ("No such file or directory", "Connection refused", "the database system is")
_STATEMENT_MS = 10_000
_LOOKS, _LOOK_S = 40, 0.2


class NotUp(FaultError):
    """PostgreSQL does not take connections in this member; so no session is there either."""


async def ask(cluster: Cluster, member: Member, statement: str, database: str = POSTGRES) -> str:
    """What one statement answers, fields apart by ``|``. FaultError in PostgreSQL's words; NotUp when it is down."""
    connection = f"dbname={database} application_name={_CONTROL} options='-c statement_timeout={_STATEMENT_MS}'"
    said = await cluster.execute(member, _psql(connection, statement), user=POSTGRES)
    text = " ".join(said.output.split())
    if said.ok:
        return text
    if any(words in text for words in _DOWN):
        raise NotUp(f"PostgreSQL in {member.name} takes no connections: {text}")
    raise FaultError(f"PostgreSQL in {member.name}: {text}")


async def hold(
    cluster: Cluster, member: Member, mark: str, statements: Sequence[str], seconds: float, database: str = POSTGRES
) -> None:
    """Start a session that runs the statements, called ``mark``. It ends by itself soon after ``seconds``."""
    lifetime = seconds + MARGIN_S
    options = f"-c statement_timeout={lifetime * 1000:.0f} -c idle_in_transaction_session_timeout=5s"
    command = _psql(f"dbname={database} application_name={mark} options='{options}'", *statements)
    await background.start(cluster, member, mark, command, lifetime, user=POSTGRES)


async def held(cluster: Cluster, member: Member, mark: str) -> int:
    """How many sessions of that name the server has now; 0 when it is down."""
    if await cluster.state(member) not in (RunState.RUNNING, RunState.PAUSED):
        return 0
    try:
        return int(await ask(cluster, member, f"SELECT count(*) {_of(mark)}"))
    except NotUp:
        return 0


async def await_held(cluster: Cluster, member: Member, mark: str, sign: str = "") -> None:
    """Return when the session of that name is there. InjectionError with what it said when it does not come.

    sign:  an SQL condition, true once it has what it is there for; "" when being there is enough
    """
    wanted = f"SELECT {_is_there(mark)}" + (f" AND ({sign})" if sign else "")
    for _ in range(_LOOKS):
        if await ask(cluster, member, wanted) == "t":
            return
        if not await background.count(cluster, member, mark):
            break
        await asyncio.sleep(_LOOK_S)
    said = await background.output(cluster, member, mark)
    raise InjectionError(f"{mark} on {member.name}: {said or 'its session did not get what it is there for'}")


async def release(cluster: Cluster, member: Member, mark: str) -> None:
    """End the sessions of that name, and the processes that hold them. Nothing happens when there are none."""
    if await cluster.state(member) not in (RunState.RUNNING, RunState.PAUSED):
        return
    await background.end(cluster, member, mark)
    try:
        await ask(cluster, member, f"SELECT count(pg_terminate_backend(pid, 5000)) {_of(mark)}")
    except NotUp:
        return


def by_hand(member: Member, mark: str) -> str:
    """A shell command that ends them."""
    end = f'psql -XAtc "SELECT pg_terminate_backend(pid) {_of(mark)}"'
    return f"{background.by_hand(member, mark)}; docker exec -u postgres {member.container_id[:12]} {end}"


def repeated(statement: str, every: float, seconds: float) -> str:
    """A statement again and again for so many seconds, each in a transaction of its own."""
    return (
        f"DO $$ DECLARE ends timestamptz := clock_timestamp() + interval '{seconds:g} s'; BEGIN "
        f"WHILE clock_timestamp() < ends LOOP {statement} COMMIT; PERFORM pg_sleep({every:g}); COMMIT; END LOOP; END $$"
    )


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _of(mark: str) -> str:
    return f"FROM pg_stat_activity WHERE {_is(mark)} AND pid <> pg_backend_pid()"


def _is_there(mark: str) -> str:
    return f"EXISTS (SELECT FROM pg_stat_activity WHERE {_is(mark)})"


def _is(mark: str) -> str:
    return f"application_name = {literal(mark)}"


def _psql(connection: str, *statements: str) -> list[str]:
    commands = [word for statement in statements for word in ("-c", statement)]
    return ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", connection, *commands]
