"""How the service is run: its sockets, and one worker or several.

With several workers each has a listening socket of its own on the same port (SO_REUSEPORT), and
this process only supervises them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from recommender.errors import ConfigError
from recommender.merchandising.rules_file import DEFAULT_FILE as RULES_FILE
from recommender.merchandising.rules_file import read_rules
from recommender.placements import DEFAULT_FILE, read_placements
from serving.security import Keyring
from serving.settings import Settings
from serving.supervisor import Supervisor
from serving.worker import BACKLOG, run_worker


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
    sockets = listen(settings.host, settings.port, settings.processes)
    host, port = sockets[0].getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if settings.processes == 1:
        return run_worker(settings, sockets[0], lambda: announce(url))
    return Supervisor(settings, sockets).run(lambda: announce(url))


def check(settings: Settings) -> None:
    """Raise `ConfigError` for files that cannot be used, before anything is started."""
    placements = read_placements(settings.placements or DEFAULT_FILE)
    read_rules(settings.rules or RULES_FILE, placements)
    if not settings.dev:
        Keyring.read(settings.keys_path)


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets that share one port; the system spreads connections over them."""
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"host={host!r} is no address: {error.strerror}") from error
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
