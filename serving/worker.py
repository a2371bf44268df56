"""One serving process: it answers on one socket until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from serving.app import create_app
from serving.bundle_source import ServingModel
from serving.protocol import bounded_protocol
from serving.settings import Settings
from serving.state import ServiceState

logger = logging.getLogger(__name__)
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
HEAR_OUT_SECONDS = 0.2
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
FAILED = 1


class Worker(uvicorn.Server):
    """One serving process: says that it leaves, waits for those inside, then goes."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Callable[[], ServiceState],
        on_started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._service = service
        self._on_started = on_started
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal API
        """First signal: not ready any more, and stop after the notice. Second one: stop at once."""
        if not self.started or self._stop_at is not None:
            self.should_exit = True
            return
        service = self._service()
        service.is_draining = True
        self._stop_at = time.monotonic() + service.settings.drain_notice_seconds
        logger.info("stopping", extra={"signal": sig})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open everything and begin to answer."""
        await super().startup(sockets)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, hear out those just taken, then stop."""
        held = [listener.dup() for listener in sockets or ()]
        for server in self.servers:
            server.close()
        for listener in held:
            await self._take_last(listener)
        # A connection may be taken whose request is still unread; closing it now would be a reset.
        await asyncio.sleep(HEAR_OUT_SECONDS)
        await super().shutdown(sockets)

    async def _take_last(self, listener: socket.socket) -> None:
        """Take the connections that wait in the system's queue: closing it would reset them."""
        waiting = []
        with listener, contextlib.suppress(BlockingIOError):
            listener.setblocking(False)  # noqa: FBT003 - its signature
            while True:
                waiting.append(listener.accept()[0])
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        make = functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(make, connection)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)


def run_worker(
    settings: Settings,
    listener: socket.socket,
    started: Callable[[], None],
    model: ServingModel | None = None,
) -> int:
    """Answer on one socket until told to stop.

    Parameters
    ----------
    started
        Called once connections are taken.
    model
        A model that is loaded already.
    """
    app = create_app(settings, model=model)
    drain = math.ceil(settings.drain_seconds)
    config = uvicorn.Config(
        app, lifespan="on", timeout_graceful_shutdown=drain, **server_options(settings)
    )
    # Held back until the server is up, so that a stop is never missed. It raises them once more
    # when it is done; we are then done, too, and nothing shall end the way out but ourselves.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    _handle_stops(lambda *_: None)
    try:
        Worker(config, lambda: app.state.service, started).run(sockets=[listener])
    except SystemExit:
        return FAILED
    finally:
        _handle_stops(signal.SIG_IGN)
    return 0


def server_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn serves, whatever the app: what a measured server has in common with ours."""
    return {
        "http": bounded_protocol(settings.body_timeout_seconds),
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
