"""A real Redis server for a test: on a free loopback port, without any file of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from feature_store.online.redis_target import RedisTarget

BINARY = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    BINARY is None, reason="no redis-server on PATH: the online store on Redis was NOT tried"
)
START_SECONDS = 10.0


@dataclass(slots=True)
class RedisServer:
    """A server that can be killed, hung and started again on the same port."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it is, as the settings take it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def target(self) -> RedisTarget:
        """Where it is, parsed."""
        return RedisTarget("127.0.0.1", self.port)

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        assert BINARY is not None
        command = [BINARY, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self.folder), *self.options]
        self.child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            assert time.monotonic() < until, "redis-server did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL: everything in it is lost."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

    def hang(self) -> None:
        """SIGSTOP: connections are taken, and nothing is ever answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything."""
        assert self._talk(b"FLUSHALL\r\n").startswith(b"+OK")

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self.child is not None
        os.kill(self.child.pid, number)

    def _answers(self) -> bool:
        try:
            return self._talk(b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def _talk(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(command)
            return connection.recv(1024)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def started(folder: Path, *options: str) -> RedisServer:
    """A new server; the caller stops it."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, free_port(), options)
    server.start()
    return server
