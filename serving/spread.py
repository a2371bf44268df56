"""Connections spread evenly over the workers of a generation.

The system chooses a socket for each connection by chance. That is uneven while connections are few
and stay, as those of a load balancer do. So a worker that has more than another gives a
new connection to that one, over a socket that both inherited, before anything is read from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import socket
from collections.abc import Callable
from typing import Any

import numpy as np

TAKEN, OPEN = 0, 1  # columns before those of what was given to each
CLOSED = np.int64(1) << 40
MOST_AT_ONCE = 64


class Spread:
    """What the workers of a generation know of each other; to be made before the fork.

    Each number is written by one worker alone: how many connections it has open, how many it has
    taken from others since the beginning, and how many it has given to each.

    Parameters
    ----------
    workers
        How many there are.
    """

    def __init__(self, workers: int) -> None:
        page = mmap.mmap(-1, 8 * workers * (workers + 2))
        self._numbers = np.frombuffer(page, np.int64).reshape(workers, workers + 2)
        self._numbers[:, OPEN] = CLOSED
        self._boxes = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(workers)]
        for pair in self._boxes:
            for end in pair:
                end.setblocking(False)  # noqa: FBT003 - its signature

    def close(self) -> None:
        """Close the boxes in this process."""
        for pair in self._boxes:
            for end in pair:
                end.close()

    def place(self, number: int) -> Place:
        """The place of a worker."""
        return Place(self, number)

    def open(self, number: int) -> int:
        """Connections of a worker, those on their way to it included."""
        given = int(self._numbers[:, 2 + number].sum())
        return int(self._numbers[number, OPEN]) + given - int(self._numbers[number, TAKEN])

    def least(self) -> int:
        """Who has the fewest."""
        given = self._numbers[:, 2:].sum(axis=0)
        return int(np.argmin(self._numbers[:, OPEN] + given - self._numbers[:, TAKEN]))

    def count(self, number: int, column: int, change: int) -> None:
        """Write one's own number."""
        self._numbers[number, column] += change

    def begins(self, number: int, *, takes: bool) -> None:
        """A worker begins without connections, or takes no more."""
        self._numbers[number, OPEN] = 0 if takes else CLOSED

    def box(self, number: int) -> tuple[socket.socket, socket.socket]:
        """Where a worker takes connections from, and where others put them in."""
        return self._boxes[number]


class Place:
    """The place of one worker among the others."""

    def __init__(self, spread: Spread, number: int) -> None:
        self._spread, self._number = spread, number
        self._make: Callable[..., asyncio.Protocol] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, make: Callable[..., asyncio.Protocol]) -> None:
        """Take connections from now on; `make` makes the protocol of one that was given."""
        self._make = make
        self._spread.begins(self._number, takes=True)
        asyncio.get_running_loop().add_reader(self._spread.box(self._number)[0], self.take)

    def leave(self) -> None:
        """Be given no more; what is on its way is still taken."""
        self._spread.begins(self._number, takes=False)

    def end(self) -> None:
        """Take no more."""
        if self._make is not None:
            asyncio.get_running_loop().remove_reader(self._spread.box(self._number)[0])

    def take(self) -> None:
        """Take what others have given."""
        box = self._spread.box(self._number)[0]
        loop = asyncio.get_running_loop()
        for _ in range(MOST_AT_ONCE):
            try:
                _, descriptors, _, _ = socket.recv_fds(box, 1, 1)
            except BlockingIOError:
                return
            self._spread.count(self._number, TAKEN, 1)
            for descriptor in descriptors:
                connection = socket.socket(fileno=descriptor)
                if self._make is None:
                    connection.close()
                    continue
                task = loop.create_task(_served(loop, self._make, connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def gives_away(self, connection: socket.socket) -> bool:
        """Whether a new connection was given to a worker that has fewer."""
        spread, own = self._spread, self._number
        other = spread.least()
        if other == own or spread.open(other) >= spread.open(own):
            return False
        try:
            socket.send_fds(spread.box(other)[1], [b"c"], [connection.fileno()])
        except OSError:  # its box is full: it stays here
            return False
        spread.count(own, 2 + other, 1)
        return True

    def opened(self) -> None:
        """One connection more."""
        self._spread.count(self._number, OPEN, 1)

    def closed(self) -> None:
        """One connection less."""
        self._spread.count(self._number, OPEN, -1)


async def _served(
    loop: asyncio.AbstractEventLoop,
    make: Callable[..., asyncio.Protocol],
    connection: socket.socket,
) -> None:
    with contextlib.suppress(OSError):  # it has gone meanwhile
        await loop.connect_accepted_socket(make, connection)


def evened(protocol: type[Any], place: Place) -> type[Any]:
    """The protocol with its connections counted, and those of others given away.

    Its objects are made with ``is_given=True`` for a connection that another worker gave.
    """

    class Evened(protocol):  # type: ignore[misc]
        """One connection."""

        def __init__(self, *args: Any, is_given: bool = False, **options: Any) -> None:
            super().__init__(*args, **options)
            self._is_given, self._is_here = is_given, False

        def connection_made(self, transport: Any) -> None:
            """Keep it, or give it away before anything is read."""
            if not self._is_given and place.gives_away(transport.get_extra_info("socket")):
                transport.abort()  # closes this worker's hold on it, not the connection
                return
            self._is_here = True
            place.opened()
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget it."""
            if self._is_here:
                self._is_here = False
                place.closed()
                super().connection_lost(exc)

    return Evened
