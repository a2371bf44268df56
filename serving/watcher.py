"""A thread that looks at something again and again, until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Watcher:
    """Calls a function every so many seconds, in a thread of its own."""

    def __init__(self, look: Callable[[], object], seconds: float, name: str) -> None:
        self._look, self._seconds = look, seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=name, daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, where it was started."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._look()
