"""A command on this machine, bounded in time, with whatever it starts."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence

from chaosbench.errors import FaultError
from chaosbench.model.cluster import Executed

_OUTPUT = 64 * 1024


async def run(command: Sequence[str], environment: Mapping[str, str], timeout: float) -> Executed:
    """Run it to its end, in a process group of its own, which is killed when its time is over.

    Its output goes to a file, not a pipe, which it could fill, and which what it
    leaves running could keep open. FaultError when it cannot be run or does not end.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except OSError as error:
            raise FaultError(f"{command[0]} cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(timeout):
                code = await process.wait()
        except TimeoutError:
            raise FaultError(f"{command[0]} did not end within {timeout:g} s, so it was killed") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        output.seek(0)
        return Executed(code, output.read(_OUTPUT).decode(errors="replace"))
