"""What the stale-reads workload sends: registers that only grow, written and read again through Pgpool."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from chaosbench.engine import Attempt, Operation, Session
from chaosbench.outcome import OpClass, Outcome
from chaosbench.staleness import Registers

READ, WRITE = Operation("register-read", OpClass.READ), Operation("register-write", OpClass.WRITE)

# A write that is overtaken by a later one must not set the register back.
_WRITE = """INSERT INTO chaosbench_register (run, id, value) VALUES ($1, $2, $3)
ON CONFLICT (run, id) DO UPDATE SET value = greatest(chaosbench_register.value, excluded.value)"""
# One row in any case: a replica that does not have the register yet says 0, and who it is.
_READ = """SELECT coalesce(host(inet_server_addr()), 'local'),
       coalesce((SELECT value FROM chaosbench_register WHERE run = $1 AND id = $2), 0)"""


class RunningRegisters:
    """Writes and reads; who reads what is up to chance."""

    operations: tuple[Operation, ...] = (READ, WRITE)
    retries = 0

    def __init__(
        self,
        registers: Registers,
        name: Callable[[str], str],
        numbers: Sequence[int],
        read_ratio: float,
        now: Callable[[], int],
    ) -> None:
        self._registers = registers
        self._name = name
        self._numbers = numbers
        self._read_ratio = read_ratio
        self._now = now

    def pick(self, rng: random.Random) -> int:
        """A read or a write."""
        return 0 if rng.random() < self._read_ratio else 1

    async def open(self, connection: Any, rng: random.Random) -> Session:
        """Prepare both statements."""
        registers, now, name, numbers = self._registers, self._now, self._name, self._numbers
        number = len(numbers)
        read = (await connection.prepare(_READ)).fetchrow
        write = (await connection.prepare(_WRITE)).fetchval

        class Both:
            """Reads and writes on one connection."""

            async def run(self, operation: int, attempt: Attempt) -> None:
                """Read or write a register by chance."""
                which = numbers[rng.randrange(number)]
                register = registers.register(which)
                if operation:
                    value = register.next()
                    attempt.effect_sent = True
                    await write(registers.run, which, value)
                    attempt.node = None
                    register.acknowledged(value, now())
                    return
                sent_ns = now()
                address, found = await read(registers.run, which)
                attempt.node = name(address)
                registers.read(which, found, sent_ns, address)

        return Both()

    def settle(self, row: int, outcome: Outcome) -> None:
        """Nothing depends on how a write ended: one that was not acknowledged proves nothing about a read."""
