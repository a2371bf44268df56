"""One serving process: it answers on one socket until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn

from serving.app import create_app
from serving.at_once import AtOnce
from serving.inherited_model import Inheritance
from serving.protocol import BoundedProtocol, bounded_protocol
from serving.settings import Settings
from serving.spread import Place, evened
from serving.state import ServiceState

logger = logging.getLogger(__name__)
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
# A stopping worker waits so long for what was just taken; longer, at most so long, while somebody
# has connected and not said anything yet: on a busy machine a caller is that slow.
HEAR_OUT_SECONDS = 0.2
UNHEARD_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
RETIRE_SIGNAL = signal.SIGUSR1
# A retired worker waits so long for callers who are silent on a connection that they keep.
LINGER_SECONDS = 5.0
# One whose parent was killed goes on until its successor is there, but not for ever.
ORPHAN_SECONDS = 60.0
FAILED = 1


@dataclass(frozen=True, slots=True)
class Shared:
    """What a worker shares with others: the model, and the connections."""

    inheritance: Inheritance
    place: Place


class Worker(uvicorn.Server):
    """One serving process: says that it leaves, waits for those inside, then goes.

    A worker that retires has a successor on the same socket. It takes no more connections at once,
    answers those it has with the wish to close them, and goes with the last of them; the service
    stays ready all the while.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        service: Callable[[], ServiceState],
        on_started: Callable[[], None],
        place: Place | None = None,
    ) -> None:
        super().__init__(config)
        self._place = place
        self._service = service
        self._on_started = on_started
        self._stop_at: float | None = None
        self._is_to_retire = False
        self._retired_at: float | None = None
        self._parent = os.getppid() if place else None
        self._orphan_since: float | None = None

    def retire(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal API
        """Signal handler: at the next tick, make way for the successor."""
        self._is_to_retire = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal API
        """First signal: not ready any more, and stop after the notice. Second one: stop at once."""
        if not self.started or self._stop_at is not None:
            self.should_exit = True
            return
        service = self._service()
        service.is_draining = True
        self._leave_place()
        self._stop_at = time.monotonic() + service.settings.drain_notice_seconds
        logger.info("stopping", extra={"signal": sig})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open everything and begin to answer."""
        await super().startup(sockets)
        if self._place:
            self._place.begin(functools.partial(self._protocol(), is_given=True))
        # What is there now stays: the collector need not go through it while somebody waits.
        gc.collect()
        gc.freeze()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        if self._parent is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {RETIRE_SIGNAL})
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, hear out those just taken, then stop."""
        self._leave_place()
        if self._retired_at is None:  # else what waits in the queue is the successor's
            held = [listener.dup() for listener in sockets or ()]
            for server in self.servers:
                server.close()
            for listener in held:
                await self._take_last(listener)
        # A connection may be taken whose request is still unread; closing it now would be a reset.
        await self._hear_out()
        if self._place:
            self._place.end()
        await super().shutdown(sockets)

    async def _hear_out(self) -> None:
        until = time.monotonic() + UNHEARD_SECONDS
        await asyncio.sleep(HEAR_OUT_SECONDS)
        while self._is_somebody_unheard() and time.monotonic() < until:
            await asyncio.sleep(HEAR_OUT_SECONDS / 4)

    def _is_somebody_unheard(self) -> bool:
        return any(
            isinstance(each, BoundedProtocol) and each.is_unheard
            for each in self.server_state.connections
        )

    def _leave_place(self) -> None:
        if self._place:
            self._place.leave()

    async def _take_last(self, listener: socket.socket) -> None:
        """Take the connections that wait in the system's queue: closing it would reset them."""
        waiting = []
        with listener, contextlib.suppress(BlockingIOError):
            listener.setblocking(False)  # noqa: FBT003 - its signature
            while True:
                waiting.append(listener.accept()[0])
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol(), connection)

    def _protocol(self) -> Callable[..., asyncio.Protocol]:
        """Makes the protocol of a connection that the server itself has not accepted."""
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        now = time.monotonic()
        if self._stop_at is not None and now >= self._stop_at:
            self.should_exit = True
        if self._is_to_retire and self._retired_at is None:
            self._retired_at = now
            self._service().is_retiring = True
            self._leave_place()
            for server in self.servers:
                server.close()
        if self._retired_at is not None:
            is_empty = not self.server_state.connections
            self.should_exit |= is_empty or now >= self._retired_at + LINGER_SECONDS
        self._look_for_parent(now)
        return await super().on_tick(counter)

    def _look_for_parent(self, now: float) -> None:
        if self._parent is None or os.getppid() == self._parent:
            return
        if self._orphan_since is None:
            logger.error("the parent of this worker is gone")
            self._orphan_since = now
        if now >= self._orphan_since + ORPHAN_SECONDS and self._stop_at is None:
            self.handle_exit(signal.SIGTERM, None)


def run_worker(
    settings: Settings,
    listener: socket.socket,
    started: Callable[[], None],
    shared: Shared | None = None,
) -> int:
    """Answer on one socket until told to stop.

    Parameters
    ----------
    started
        Called once connections are taken.
    shared
        What it shares with other workers; None: it is alone, and loads models itself.
    """
    app = create_app(settings, inheritance=shared.inheritance if shared else None)
    drain = math.ceil(settings.drain_seconds)
    options = server_options(settings, app.at_once)
    if shared:
        options["http"] = evened(options["http"], shared.place)
    config = uvicorn.Config(app, lifespan="on", timeout_graceful_shutdown=drain, **options)
    # Held back until the server is up, so that a stop is never missed. It raises them once more
    # when it is done; we are then done, too, and nothing shall end the way out but ourselves.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    _handle_stops(lambda *_: None)
    place = shared.place if shared else None
    worker = Worker(config, lambda: app.state.service, started, place)
    if shared:
        signal.signal(RETIRE_SIGNAL, worker.retire)
    try:
        worker.run(sockets=[listener])
    except SystemExit:
        return FAILED
    finally:
        _handle_stops(signal.SIG_IGN)
    return 0


def server_options(settings: Settings, at_once: AtOnce | None = None) -> dict[str, Any]:
    """How uvicorn serves, whatever the app: what a measured server has in common with ours.

    Parameters
    ----------
    at_once
        Answers whole questions without the application, where there is such a thing.
    """
    return {
        "http": bounded_protocol(settings.body_timeout_seconds, at_once),
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
    }


def _handle_stops(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, handler)
