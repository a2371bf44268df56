"""Processes, sockets and signals: how the application is run.

One worker runs in this process. With more, this process only supervises: it loads the model once,
opens one listening socket per worker on the same port (SO_REUSEPORT) and forks. It keeps the
sockets, so connections that reach the queue of a worker that died are answered by its successor.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from prometheus_client import CollectorRegistry

from recommender.errors import ConfigError
from recommender.placements import DEFAULT_FILE, read_placements
from serving.app import create_app
from serving.bundle_source import BundleSource, ServingModel
from serving.security import Keyring
from serving.settings import Settings
from serving.state import ServiceState
from serving.telemetry import Metrics, mark_process_dead

logger = logging.getLogger(__name__)
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
RESPAWN_SECONDS = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
FAILED = 1


class Worker(uvicorn.Server):
    """One serving process: says that it leaves, waits for those inside, then goes."""

    def __init__(self, config: uvicorn.Config, service: Callable[[], ServiceState]) -> None:
        super().__init__(config)
        self._service = service
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

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(settings: Settings, announce: Callable[[str], None]) -> int:
    """Serve until told to stop.

    Parameters
    ----------
    announce
        Called with the address once connections are taken.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    ConfigError
        The settings name files or an address that cannot be used.
    """
    check(settings)
    sockets = listen(settings.host, settings.port, settings.workers)
    host, port = sockets[0].getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if settings.workers == 1:
        return run_worker(settings, sockets[0], lambda: announce(url))
    return Supervisor(settings, sockets).run(lambda: announce(url))


def check(settings: Settings) -> None:
    """Raise `ConfigError` for files that cannot be used, before anything is started."""
    read_placements(settings.placements or DEFAULT_FILE)
    if not settings.dev:
        Keyring.read(settings.keys_path)


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets that share one port; the system spreads connections over them."""
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sockets: list[socket.socket] = []
    for _ in range(count):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if count > 1:  # alone, a second service on the port must be an error
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            listener.bind(sockets[0].getsockname() if sockets else address)
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        listener.listen(BACKLOG)
        listener.set_inheritable(True)
        sockets.append(listener)
    return sockets


def run_worker(
    settings: Settings,
    listener: socket.socket,
    started: Callable[[], None],
    model: ServingModel | None = None,
) -> int:
    """Answer on one socket until told to stop."""
    app = create_app(settings, model=model, on_started=started)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
    )
    for (
        number
    ) in STOP_SIGNALS:  # the server raises them once more when it is done; we are then, too
        signal.signal(number, lambda *_: None)
    try:
        Worker(config, lambda: app.state.service).run(sockets=[listener])
    except SystemExit:
        return FAILED
    return 0


class Supervisor:
    """Keeps one worker per socket alive."""

    def __init__(self, settings: Settings, sockets: list[socket.socket]) -> None:
        self._settings = settings
        self._sockets = sockets
        self._slots: dict[int, int] = {}
        self._starts: dict[int, float] = {}
        self._is_stopping = False

    def run(self, started: Callable[[], None]) -> int:
        """Supervise until told to stop; then stop every worker and wait for it."""
        model = self._load()
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        gc.collect()
        gc.freeze()  # workers then share these pages for good
        for slot in range(len(self._sockets)):
            self._spawn(slot, model)
        started()
        failed = False
        while self._slots:
            failed |= self._reap(model)
        return FAILED if failed else 0

    def _load(self) -> ServingModel | None:
        placements = read_placements(self._settings.placements or DEFAULT_FILE)
        models = BundleSource(
            self._settings.layout.bundles, placements, math.inf, Metrics(CollectorRegistry())
        )
        models.load_first()
        mark_process_dead(os.getpid())  # what this process uses must not show as in use
        return models.current if models.current.is_loaded else None

    def _spawn(self, slot: int, model: ServingModel | None) -> None:
        self._starts[slot] = time.monotonic()
        pid = os.fork()
        if pid:
            self._slots[pid] = slot
            return
        code = FAILED
        try:
            code = run_worker(self._settings, self._sockets[slot], lambda: None, model)
        except Exception:
            logger.exception("worker failed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self, model: ServingModel | None) -> bool:
        """Wait for one worker to end; put another one in its place unless all are to stop."""
        pid, status = os.wait()
        slot = self._slots.pop(pid)
        mark_process_dead(pid)
        code = os.waitstatus_to_exitcode(status)
        if self._is_stopping:
            return code != 0
        logger.error("worker ended", extra={"slot": slot, "exit_code": code})
        # A worker that dies young is not started in a tight loop.
        time.sleep(max(0.0, RESPAWN_SECONDS - (time.monotonic() - self._starts[slot])))
        if not self._is_stopping:
            self._spawn(slot, model)
        return False

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal API
        self._is_stopping = True
        for pid in list(self._slots):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
