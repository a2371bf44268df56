"""A TCP proxy that can be told to be slow: ``python -m benchmarks.faults_parts.proxy PORT``.

It prints the port that it listens on, and reads from standard input how many seconds each answer
is to be held back from now on, one number a line; it ends with its input.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass


@dataclass(slots=True)
class Proxy:
    """Passes everything on to a port of this machine; answers come later."""

    to: int
    delay: float = 0.0

    async def serve(self) -> None:
        """Until standard input ends."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            self.delay = float(line)
        server.close()

    async def _connected(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            far, onwards = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            back.transport.abort()
            return
        tasks = [asyncio.create_task(self._there(near, onwards))]
        tasks.append(asyncio.create_task(self._back(far, back)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for writer in (onwards, back):
            writer.transport.abort()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass answers on in their order, each held back from when it came."""
        loop = asyncio.get_running_loop()
        due = 0.0
        while data := await reader.read(1 << 16):
            due = max(due, loop.time() + self.delay)
            loop.call_at(due, writer.write, data)
            due += 1e-6  # so that the next one stays behind it


def main() -> None:
    asyncio.run(Proxy(int(sys.argv[1])).serve())


if __name__ == "__main__":
    main()
